"""How DRBD 8.4 is told what to do. Pure: answers commands, runs none.

A device that some other name already holds is taken as it is found.
"""

from __future__ import annotations

import math

from storage.drbd_options import DrbdParameters, disk_options, endpoints, net_options
from storage.drbd_plan import (
    Argv,
    attach_command,
    clean_generation,
    meta_command,
    resource_name,
    window_options,
)
from storage.drbd_state import SECTORS_PER_MIB, Resource
from storage.logical_volumes import device_path
from storage.lvm_report import MIB
from storage.volume import Mirror, Volume

METADATA = "v08"
"""The version of what is written beside the data."""
BITMAP_BYTES_PER_BIT = 4096
BITMAP_WORD_BITS = 64
CONSISTENT_UP_TO_DATE_AL_CLEAN = 0x91
"""Flags of metadata whose data are good and whose activity log is empty."""


def create_metadata(mirror: Mirror) -> Argv:
    """See ``Plan``; ``-`` is drbdmeta's word for no minor."""
    path = device_path(mirror.meta_pool, mirror.meta_name)
    return ("drbdmeta", "--force", "-", METADATA, path, "flex-external", "create-md")


def stored_generation(mirror: Mirror) -> Argv:
    """See ``Plan``."""
    return meta_command(mirror, METADATA, "get-gi")


def live_generation(mirror: Mirror) -> Argv:
    """See ``Plan``."""
    return ("drbdsetup", "get-gi", str(mirror.minor))


def start_clean(volume: Volume, mirror: Mirror) -> tuple[Argv, str | None]:
    """See ``Plan``."""
    argv = meta_command(mirror, METADATA, "restore-md", "/proc/self/fd/0")
    return argv, clean_metadata(volume, mirror)


def allow_two_primaries(mirror: Mirror, found: Resource, protocol: str, *, allowed: bool) -> Argv:
    """See ``Plan``."""
    local, peer = endpoints(mirror)
    ends = (found.local or local, found.peer or peer)
    return ("drbdsetup", "net-options", *ends, *window_options(protocol, allowed))


def primary(mirror: Mirror, found: Resource, *, overwrite: bool) -> Argv:
    """See ``Plan``."""
    return ("drbdsetup", "primary", str(mirror.minor), *(("--force",) if overwrite else ()))


def secondary(mirror: Mirror, found: Resource) -> Argv:
    """See ``Plan``."""
    return ("drbdsetup", "secondary", str(mirror.minor))


def bring_up(
    volume: Volume, mirror: Mirror, parameters: DrbdParameters, found: Resource | None
) -> tuple[Argv, ...]:
    """See ``Plan``."""
    name = found.name if found else resource_name(mirror)
    minor = str(mirror.minor)
    commands: list[Argv] = []
    if found is None:
        commands += [
            ("drbdsetup", "new-resource", name),
            ("drbdsetup", "new-minor", name, minor, "0"),
        ]
    if found is None or found.data is None:
        # A detach leaves the activity log unapplied too, so this cannot wait for a refusal.
        commands += [
            meta_command(mirror, METADATA, "apply-al"),
            attach_command(volume, mirror, disk_options(parameters, volume.size_mib)),
        ]
    return (*commands, *connect(mirror, parameters, found))


def connect(
    mirror: Mirror,
    parameters: DrbdParameters,
    found: Resource | None,
    *,
    discard_local: bool = False,
) -> tuple[Argv, ...]:
    """See ``Plan``."""
    local, peer = endpoints(mirror)
    name = found.name if found else resource_name(mirror)
    commands: list[Argv] = []
    if found is not None and found.peer is not None and found.local is not None:
        right = (found.local, found.peer, found.secret) == (local, peer, mirror.secret)
        if right and not discard_local:
            return ()
        commands.append(("drbdsetup", "disconnect", found.local, found.peer))
    options = net_options(parameters, mirror)
    discard = ("--discard-my-data=yes",) if discard_local else ()
    commands.append(("drbdsetup", "connect", name, local, peer, *options, *discard))
    return tuple(commands)


def clean_metadata(volume: Volume, mirror: Mirror) -> str:
    """Metadata, as ``drbdmeta restore-md`` takes it, of a copy that lacks nothing.

    The bitmap is written too: were only the generation set, DRBD would mark all blocks as out of
    sync when it first sees the size, and copy them after the next reconnection.
    """
    bits = math.ceil(volume.size_mib * MIB / BITMAP_BYTES_PER_BIT)
    words = math.ceil(bits / BITMAP_WORD_BITS)
    none = f"0x{0:016X}"
    return "\n".join(
        [
            'version "v08";',
            f"uuid {{ 0x{clean_generation(volume, mirror):016X}; {none}; {none}; {none};",
            f"    flags 0x{CONSISTENT_UP_TO_DATE_AL_CLEAN:08X}; }}",
            f"la-size-sect {volume.size_mib * SECTORS_PER_MIB};",
            f"bm-byte-per-bit {BITMAP_BYTES_PER_BIT};",
            f"device-uuid {none};",
            "la-peer-max-bio-size 0;",
            "al-stripes 1;",
            "al-stripe-size-4k 8;",
            f"bm {{ {words} times {none}; }}",
            "",
        ]
    )
