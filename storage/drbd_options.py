"""Disk parameters of template ``drbd`` and the options for DRBD 8.4 that they stand for. Pure.

Names and defaults are Ganeti's. Beside them stand this project's own decisions: a dead peer is
noticed within 5 s (DRBD's defaults take 11 s, during which writes stall), connections are tried
every 3 s, and a disk that fails is given up while the peer's copy serves on.
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


def disk_options(parameters: DrbdParameters, size_mib: int) -> tuple[str, ...]:
    """Options for ``drbdsetup attach``. Raises BadParameter."""
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
    return _spelled(options | _custom("disk-custom", parameters.disk_custom))


def net_options(
    parameters: DrbdParameters, mirror: Mirror, *, two_primaries: bool = False
) -> tuple[str, ...]:
    """Options for ``drbdsetup connect``. Raises BadParameter."""
    options = {"protocol": parameters.protocol, **CONNECTION, "shared-secret": mirror.secret}
    options |= _custom("net-custom", parameters.net_custom)
    if two_primaries:
        options["allow-two-primaries"] = "yes"
    return _spelled(options)


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
