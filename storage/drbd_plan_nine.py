"""How DRBD 9 is told what to do. Pure: answers commands, runs none.

A resource has one volume, numbered 0, and one peer. The node ids are the two sides of the pair,
which stay when one of them is exchanged: DRBD keeps its own in the metadata and refuses another.
"""

from __future__ import annotations

from storage.drbd_options import (
    DrbdParameters,
    backing_options,
    connection_options,
    endpoints,
    peer_options,
)
from storage.drbd_plan import (
    Argv,
    attach_command,
    clean_generation,
    meta_command,
    resource_name,
    window_options,
)
from storage.drbd_state import Resource
from storage.logical_volumes import device_path
from storage.volume import Mirror, Volume

METADATA = "v09"
"""The version of what is written beside the data."""
PEERS_MAX = 1
VOLUME = "0"


def create_metadata(mirror: Mirror) -> Argv:
    """See ``Plan``; ``-`` is drbdmeta's word for no minor."""
    path = device_path(mirror.meta_pool, mirror.meta_name)
    return (
        "drbdmeta",
        "--force",
        "-",
        METADATA,
        path,
        "flex-external",
        "create-md",
        str(PEERS_MAX),
    )


def stored_generation(mirror: Mirror) -> Argv:
    """See ``Plan``."""
    return meta_command(mirror, METADATA, "get-gi", "--node-id", _peer(mirror))


def live_generation(mirror: Mirror) -> Argv:
    """See ``Plan``."""
    return ("drbdsetup", "get-gi", resource_name(mirror), _peer(mirror), VOLUME)


def start_clean(volume: Volume, mirror: Mirror) -> tuple[Argv, str | None]:
    """See ``Plan``. Both sides write the same generation: consistent, and up to date."""
    generation = f"{clean_generation(volume, mirror):016X}:0:0:0:1:1"
    return meta_command(mirror, METADATA, "set-gi", "--node-id", _peer(mirror), generation), None


def bring_up(
    volume: Volume, mirror: Mirror, parameters: DrbdParameters, found: Resource | None
) -> tuple[Argv, ...]:
    """See ``Plan``. Opening a device must never make it primary by itself, as DRBD 9 would."""
    name = found.name if found else resource_name(mirror)
    minor = str(mirror.minor)
    commands: list[Argv] = []
    if found is None:
        commands.append(("drbdsetup", "new-resource", name, str(mirror.side), "--auto-promote=no"))
    if found is None or found.minor is None:
        commands.append(("drbdsetup", "new-minor", name, minor, VOLUME))
    if found is None or found.data is None:
        commands += [
            meta_command(mirror, METADATA, "apply-al"),
            attach_command(volume, mirror, backing_options(parameters, volume.size_mib)),
        ]
    return (*commands, *connect(mirror, parameters, found))


def connect(
    mirror: Mirror,
    parameters: DrbdParameters,
    found: Resource | None,
    *,
    discard_local: bool = False,
) -> tuple[Argv, ...]:
    """See ``Plan``. A peer that is known is taken back; another is forgotten first."""
    local, remote = endpoints(mirror)
    name = found.name if found else resource_name(mirror)
    peer = _peer(mirror)
    commands: list[Argv] = []
    if found is not None and found.peer_id is not None:
        known = str(found.peer_id)
        right = (found.local, found.peer, found.secret) == (local, remote, mirror.secret)
        if right and known == peer and not discard_local and not found.parted:
            return ()
        if not found.parted:
            commands.append(("drbdsetup", "disconnect", name, known))
        if right and known == peer:
            return (*commands, _connect(name, peer, discard_local=discard_local))
        commands.append(("drbdsetup", "del-peer", name, known))
    return (
        *commands,
        ("drbdsetup", "new-peer", name, peer, *connection_options(parameters, mirror)),
        ("drbdsetup", "peer-device-options", name, peer, VOLUME, *peer_options(parameters)),
        ("drbdsetup", "new-path", name, peer, local, remote),
        _connect(name, peer, discard_local=discard_local),
    )


def allow_two_primaries(mirror: Mirror, found: Resource, protocol: str, *, allowed: bool) -> Argv:
    """See ``Plan``."""
    peer = _peer(mirror) if found.peer_id is None else str(found.peer_id)
    return ("drbdsetup", "net-options", found.name, peer, *window_options(protocol, allowed))


def primary(mirror: Mirror, found: Resource, *, overwrite: bool) -> Argv:
    """See ``Plan``."""
    return ("drbdsetup", "primary", found.name, *(("--force",) if overwrite else ()))


def secondary(mirror: Mirror, found: Resource) -> Argv:
    """See ``Plan``."""
    return ("drbdsetup", "secondary", found.name)


def _peer(mirror: Mirror) -> str:
    """The peer's node id."""
    return str(1 - mirror.side)


def _connect(name: str, peer: str, *, discard_local: bool) -> Argv:
    return ("drbdsetup", "connect", name, peer, *(("--discard-my-data",) if discard_local else ()))
