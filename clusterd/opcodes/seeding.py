"""What an operator says of an instance's seed for cloud-init: fields and how they are put together.
Pure."""

from __future__ import annotations

from typing import Annotated, Protocol

from msgspec import Meta

from clusterd.model import CloudInit
from jobqueue.errors import Refused

USER_DATA_MAX_CHARACTERS = 128 * 1024
SSH_KEYS_MAX = 64
KEY_SHAPE = r"^(ssh|ecdsa|sk)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/]{16,}=*( [^\x00-\x1f]*)?$(?!\n)"
"""As ``ssh-keygen`` writes them: kind, key, comment."""

CloudInitWanted = Annotated[
    bool | None,
    Meta(description="seed the guest by cloud-init; default is to do so if something is told"),
]
UserData = (
    Annotated[
        str,
        Meta(max_length=USER_DATA_MAX_CHARACTERS, description="user data for cloud-init, as it is"),
    ]
    | None
)
SshKeys = (
    Annotated[
        tuple[
            Annotated[
                str,
                Meta(
                    max_length=16 * 1024,
                    pattern=KEY_SHAPE,
                ),
            ],
            ...,
        ],
        Meta(max_length=SSH_KEYS_MAX, description="public SSH keys of the guest's usual user"),
    ]
    | None
)


class Asked(Protocol):
    """The fields of an opcode."""

    @property
    def cloud_init(self) -> bool | None:
        """Whether it is seeded at all."""

    @property
    def user_data(self) -> str | None:
        """None: as it was."""

    @property
    def ssh_keys(self) -> tuple[str, ...] | None:
        """None: as they were."""


def seed(opcode: Asked, now: CloudInit | None = None) -> CloudInit | None:
    """What the instance is to be seeded with, from what it is now; raises Refused."""
    told = opcode.user_data is not None or opcode.ssh_keys is not None
    if opcode.cloud_init is False:
        if told:
            raise Refused(
                "User data and SSH keys reach the guest by cloud-init, which is refused at the same"
                " time (--no-cloud-init)",
                "wrong_input",
            )
        return None
    if not told and not opcode.cloud_init:
        return now
    former = now or CloudInit()
    return CloudInit(
        user_data=former.user_data if opcode.user_data is None else opcode.user_data,
        ssh_keys=former.ssh_keys if opcode.ssh_keys is None else opcode.ssh_keys,
    )
