"""What an operator says of an instance's seed for cloud-init: fields and how they are put together.
Pure."""

from __future__ import annotations

from typing import Annotated, Protocol

from msgspec import Meta

from clusterd.model import CloudInit
from jobqueue.errors import Refused

USER_DATA_MAX_CHARACTERS = 128 * 1024
NETWORK_CONFIG_MAX_CHARACTERS = 64 * 1024
NETWORK_CONFIG_SHAPE = r"""^\s*$|(^|[\s{,"'])version["']?\s*:"""
"""cloud-init takes YAML (or JSON) that says which version it is of, and nothing else."""
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
NetworkConfig = (
    Annotated[
        str,
        Meta(
            max_length=NETWORK_CONFIG_MAX_CHARACTERS,
            pattern=NETWORK_CONFIG_SHAPE,
            description="network configuration for cloud-init, as it is; empty: from the cards",
        ),
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

    @property
    def network_config(self) -> str | None:
        """None: as it was."""


def told(opcode: Asked) -> bool:
    """Whether the guest is to be told something, or something else than before."""
    fields = (opcode.user_data, opcode.ssh_keys, opcode.network_config)
    return any(field is not None for field in fields)


def seed(opcode: Asked, now: CloudInit | None = None) -> CloudInit | None:
    """What the instance is to be seeded with, from what it is now; raises Refused."""
    if opcode.cloud_init is False:
        if told(opcode):
            raise Refused(
                "User data, SSH keys and network configuration reach the guest by cloud-init, which"
                " is refused at the same time (--no-cloud-init)",
                "wrong_input",
            )
        return None
    if not told(opcode) and not opcode.cloud_init:
        return now
    former = now or CloudInit()
    return CloudInit(
        user_data=former.user_data if opcode.user_data is None else opcode.user_data,
        ssh_keys=former.ssh_keys if opcode.ssh_keys is None else opcode.ssh_keys,
        network_config=former.network_config
        if opcode.network_config is None
        else opcode.network_config.strip() and opcode.network_config,
    )
