"""Disk parameters of template ``drbd`` and the options of drbdsetup that they stand for. Pure.

Names and defaults are Ganeti's. Beside them stand this project's own decisions: a dead peer is
noticed within 5 s (DRBD's defaults take 11 s, during which writes stall), connections are tried
every 3 s, and a disk that fails is given up while the peer's copy serves on. A static rate also
turns DRBD's own controller off, which would not obey it.
"""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

import msgspec

from storage.errors import BadParameter
from storage.plugin import checked_parameters
from storage.volume import Mirror, Volume

Rate = Annotated[int, msgspec.Meta(ge=1)]
"""KiB a second."""
Natural = Annotated[int, msgspec.Meta(ge=0)]


class DrbdParameters(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """Disk parameters of ``drbd``; names and defaults are Ganeti's, ``wipe`` is ours."""

    resync_rate: Rate = 61440
    """Of a static resynchronisation."""
    data_stripes: Annotated[int, msgspec.Meta(ge=1)] = 1
    meta_stripes: Annotated[int, msgspec.Meta(ge=1)] = 1
    disk_barriers: Annotated[str, msgspec.Meta(pattern="^(n|[bfd]+)$")] = "n"
    """What is disabled: ``n`` nothing, or some of b (barriers), f (flushes), d (drain)."""
    meta_barriers: bool = False
    """Whether flushes of the metadata are disabled."""
    metavg: str = "xenvg"
    """Volume group of the metadata; used when a disk is placed, not here."""
    disk_custom: str = ""
    """Further options for the disk, as drbdsetup takes them."""
    net_custom: str = ""
    """Further options for the connection, as drbdsetup takes them."""
    protocol: Literal["A", "B", "C"] = "C"
    dynamic_resync: bool = False
    c_plan_ahead: Natural = 20
    """Tenths of a second."""
    c_delay_target: Natural = 1
    """Tenths of a second."""
    c_fill_target: Natural = 0
    """Sectors."""
    c_max_rate: Rate = 61440
    c_min_rate: Natural = 4096
    wipe: bool = False
    """Fill new data volumes with zeros, so that nothing of their former owner can be read."""

    def __post_init__(self) -> None:
        if self.dynamic_resync and self.c_plan_ahead == 0:
            raise ValueError(
                "c-plan-ahead=0 turns the dynamic controller off; set dynamic-resync=False instead"
            )


CONNECTION = {
    "cram-hmac-alg": "md5",
    "after-sb-0pri": "discard-zero-changes",
    "after-sb-1pri": "consensus",
    # tenths of a second: pings are sent after 3 s of silence and must be answered within 2 s
    "ping-int": "3",
    "ping-timeout": "20",
    "timeout": "25",
    # else each new connection waits for ping-timeout, and two that call at once miss each other
    "connect-int": "3",
    "socket-check-timeout": "2",
}
"""after-sb-*: only a side without any change since the split gives way by itself."""

_BARRIERS = {"b": "disk-barrier", "f": "disk-flushes", "d": "disk-drain"}


_PER_PEER = ("resync-rate", "c-")
"""What the names of those options begin with that DRBD 9 keeps for each peer, not with the disk."""
_OF_CONNECTION = frozenset({"fencing"})
"""Options of the disk in DRBD 8.4 that belong to the connection in 9."""


def disk_options(parameters: DrbdParameters, size_mib: int) -> tuple[str, ...]:
    """Options for ``drbdsetup attach`` of DRBD 8.4. Raises BadParameter."""
    return _spelled(_of_disk(parameters, size_mib))


def backing_options(parameters: DrbdParameters, size_mib: int) -> tuple[str, ...]:
    """Options for ``drbdsetup attach`` of DRBD 9. Raises BadParameter."""
    options = _of_disk(parameters, size_mib)
    return _spelled({name: text for name, text in options.items() if _stays_with_disk(name)})


def peer_options(parameters: DrbdParameters) -> tuple[str, ...]:
    """Options for ``drbdsetup peer-device-options`` of DRBD 9. Raises BadParameter."""
    options = _of_disk(parameters, 0)
    return _spelled({name: text for name, text in options.items() if name.startswith(_PER_PEER)})


def net_options(parameters: DrbdParameters, mirror: Mirror) -> tuple[str, ...]:
    """Options for ``drbdsetup connect`` of DRBD 8.4. Raises BadParameter."""
    return _spelled(_of_net(parameters, mirror))


def connection_options(parameters: DrbdParameters, mirror: Mirror) -> tuple[str, ...]:
    """Options for ``drbdsetup new-peer`` of DRBD 9, which wants a name too. Raises BadParameter."""
    moved = {name: text for name, text in _of_disk(parameters, 0).items() if name in _OF_CONNECTION}
    return _spelled({"_name": mirror.peer_name, **moved, **_of_net(parameters, mirror)})


def _stays_with_disk(name: str) -> bool:
    return not name.startswith(_PER_PEER) and name not in _OF_CONNECTION


def _of_disk(parameters: DrbdParameters, size_mib: int) -> dict[str, str]:
    options = {"size": f"{size_mib}M", "on-io-error": "detach"}
    if parameters.dynamic_resync:
        options |= {
            "c-plan-ahead": str(parameters.c_plan_ahead),
            "c-delay-target": str(parameters.c_delay_target),
            "c-fill-target": str(parameters.c_fill_target),
            "c-max-rate": str(parameters.c_max_rate),
            "c-min-rate": str(parameters.c_min_rate),
        }
    else:
        options |= {"c-plan-ahead": "0", "resync-rate": str(parameters.resync_rate)}
    options |= {_BARRIERS[letter]: "no" for letter in parameters.disk_barriers if letter != "n"}
    if parameters.meta_barriers:
        options["md-flushes"] = "no"
    return options | _custom("disk-custom", parameters.disk_custom)


def _of_net(parameters: DrbdParameters, mirror: Mirror) -> dict[str, str]:
    options = {"protocol": parameters.protocol, **CONNECTION, "shared-secret": mirror.secret}
    return options | _custom("net-custom", parameters.net_custom)


def endpoints(mirror: Mirror) -> tuple[str, str]:
    """Local and peer address as drbdsetup takes them."""
    return (
        _endpoint(mirror.local_address, mirror.port),
        _endpoint(mirror.peer_address, mirror.port),
    )


def _endpoint(address: str, port: int) -> str:
    return f"ipv6:[{address}]:{port}" if ":" in address else f"ipv4:{address}:{port}"


def _spelled(options: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"--{name}={value}" for name, value in options.items())


def _custom(parameter: str, text: str) -> dict[str, str]:
    """``--name=value``, ``--name value`` and ``--flag`` as a dictionary; later ones win."""
    options: dict[str, str] = {}
    name = ""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadParameter(f"{parameter}: {error}", subject=parameter) from None
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            options[name] = value if equals else "yes"
            name = "" if equals else name
        elif name:
            options[name] = word
            name = ""
        else:
            raise BadParameter(
                f"{parameter}: {word!r} is no option; write --name=value", subject=parameter
            )
    return options


def mirror_of(volume: Volume) -> Mirror:
    """The volume's mirror; raises BadParameter without one."""
    if volume.mirror is None:
        raise BadParameter(f"{volume.name}: a drbd volume needs its mirror", subject=volume.name)
    return volume.mirror


def described(volume: Volume) -> tuple[Mirror, DrbdParameters]:
    """The volume's mirror and parameters; raises BadParameter."""
    return mirror_of(volume), checked_parameters(volume, DrbdParameters)
