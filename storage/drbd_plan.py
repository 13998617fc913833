"""What to do with a DRBD device, decided from values. Pure: answers commands, runs none.

The device of minor N is ``/dev/drbdN`` in a resource ``resourceN``, Ganeti's name. A device that
some other name already holds is taken as it is found.
"""

from __future__ import annotations

import hashlib
import math

import msgspec

from storage.drbd_options import DrbdParameters, disk_options, endpoints, net_options
from storage.drbd_state import JUST_CREATED, SECTORS_PER_MIB, Generation, Minor, Resource
from storage.errors import (
    BadParameter,
    NotUpToDate,
    SecondPrimary,
    SplitBrain,
    StorageError,
    VolumeBusy,
)
from storage.logical_volumes import device_path, full_name
from storage.lvm_report import MIB
from storage.volume import Health, Link, Mirror, Volume

Argv = tuple[str, ...]

BITMAP_BYTES_PER_BIT = 4096
BITMAP_WORD_BITS = 64
CONSISTENT_UP_TO_DATE_AL_CLEAN = 0x91
"""Flags of metadata whose data are good and whose activity log is empty."""


def device(mirror: Mirror) -> str:
    """The path of the mirrored device."""
    return f"/dev/drbd{mirror.minor}"


def resource_name(mirror: Mirror) -> str:
    """The name that a new resource gets."""
    return f"resource{mirror.minor}"


def data_name(volume: Volume) -> str:
    """LVM's name of the data."""
    return full_name(volume.pool, volume.name)


def meta_name(mirror: Mirror) -> str:
    """LVM's name of the metadata."""
    return full_name(mirror.meta_pool, mirror.meta_name)


def meta_command(mirror: Mirror, *words: str) -> Argv:
    """A drbdmeta command on the metadata of a device that is not attached."""
    path = device_path(mirror.meta_pool, mirror.meta_name)
    return ("drbdmeta", "--force", str(mirror.minor), "v08", path, "flex-external", *words)


def create_metadata(mirror: Mirror) -> Argv:
    """The command that makes metadata in a volume that nobody uses yet; ``-``: also while the minor
    serves the data that these are to replace."""
    path = device_path(mirror.meta_pool, mirror.meta_name)
    return ("drbdmeta", "--force", "-", "v08", path, "flex-external", "create-md")


def occupant(volume: Volume, found: Resource | None) -> StorageError | None:
    """Why the minor cannot be used for ``volume``: another disk is attached to it."""
    if found is None or found.data in (None, device_path(volume.pool, volume.name)):
        return None
    return VolumeBusy(
        f"{found.name} holds {found.data}, not {volume.name}; detach that volume first",
        subject=volume.name,
    )


def bring_up(
    volume: Volume, mirror: Mirror, parameters: DrbdParameters, found: Resource | None
) -> tuple[Argv, ...]:
    """The commands that are still missing until the device is attached and connects."""
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
            meta_command(mirror, "apply-al"),
            (
                "drbdsetup",
                "attach",
                minor,
                device_path(volume.pool, volume.name),
                device_path(mirror.meta_pool, mirror.meta_name),
                "flexible",
                *disk_options(parameters, volume.size_mib),
            ),
        ]
    return (*commands, *connect(mirror, parameters, found))


def exchange(
    volume: Volume, mirror: Mirror, parameters: DrbdParameters, found: Resource
) -> tuple[Argv, ...]:
    """The commands that give the attached device these local data instead of those it has.

    Without its peer it has no whole copy for a while: it had better stand still then than fail.
    """
    freeze = ("drbdsetup", "resource-options", found.name, "--on-no-data-accessible=suspend-io")
    detach = ("drbdsetup", "detach", str(mirror.minor))
    bare = msgspec.structs.replace(found, data=None)
    leave = (freeze, detach) if found.data is not None else (freeze,)
    return (*leave, *bring_up(volume, mirror, parameters, bare))


def connect(
    mirror: Mirror,
    parameters: DrbdParameters,
    found: Resource | None,
    *,
    two_primaries: bool = False,
    discard_local: bool = False,
) -> tuple[Argv, ...]:
    """The commands that make it connect to the right peer; none when it does already.

    ``discard_local`` always makes a new connection, as only that can give up local changes.
    """
    local, peer = endpoints(mirror)
    name = found.name if found else resource_name(mirror)
    commands: list[Argv] = []
    if found is not None and found.peer is not None and found.local is not None:
        right = (found.local, found.peer, found.secret) == (local, peer, mirror.secret)
        if right and not discard_local:
            return ()
        commands.append(("drbdsetup", "disconnect", found.local, found.peer))
    options = net_options(parameters, mirror, two_primaries=two_primaries)
    discard = ("--discard-my-data=yes",) if discard_local else ()
    commands.append(("drbdsetup", "connect", name, local, peer, *options, *discard))
    return tuple(commands)


def needs_generation(state: Minor, *, force: bool) -> bool:
    """Whether ``refuse_open`` must know the local generation to decide."""
    return state.link is Link.STANDALONE or (force and state.disk == "Inconsistent")


def refuse_open(
    volume: Volume, state: Minor, found: Resource, generation: Generation | None, *, force: bool
) -> StorageError | None:
    """Why the local copy must not become primary, or None.

    Invariant: a copy that may be older than its peer's is opened by ``force`` only, and one that is
    known to be older, or half synchronised, never.
    """
    if state.peer_role == "Primary" and not found.two_primaries:
        return SecondPrimary(
            f"{volume.name}: the peer is primary; close it there first", subject=volume.name
        )
    if state.health is Health.OK:
        return None if force else _refuse_lonely(volume, state, generation)
    never_synced = (
        state.disk == "Inconsistent"
        and state.link is not Link.SYNCING
        and state.peer_health is not Health.OK
        and generation is not None
        and generation.fresh
    )
    if force and never_synced:
        return None
    return NotUpToDate(
        f"{volume.name}: the local copy is {state.disk}, so it must not be written here",
        subject=volume.name,
    )


def _refuse_lonely(
    volume: Volume, state: Minor, generation: Generation | None
) -> StorageError | None:
    if state.link in (Link.CONNECTED, Link.SYNCING):
        return None
    if state.link is Link.STANDALONE and generation is not None and generation.bitmap:
        return SplitBrain(
            f"{volume.name}: stands alone with changes that its peer has not got; both copies were"
            " written separately: reconnect the one to keep, and the other giving up its changes",
            subject=volume.name,
        )
    return NotUpToDate(
        f"{volume.name}: the peer is not connected and may have newer data; wait for it, or force"
        " if it is known to be dead",
        subject=volume.name,
    )


def refuse_swap(volume: Volume, state: Minor) -> StorageError | None:
    """Why the local data must not be given up for new ones, or None: the peer has the only copy
    then."""
    if state.link in (Link.CONNECTED, Link.SYNCING) and state.peer_health is Health.OK:
        return None
    return NotUpToDate(
        f"{volume.name}: the peer's copy is not connected and up to date, and it would be the only"
        " one; wait for it",
        subject=volume.name,
    )


def refuse_still(volume: Volume, state: Minor) -> StorageError | None:
    """Why the local data are no picture of the volume, or None."""
    if state.health is Health.OK:
        return None
    return NotUpToDate(
        f"{volume.name}: this node's copy is not up to date; wait for it", subject=volume.name
    )


def change_sharing(
    volume: Volume, protocol: str, state: Minor, found: Resource | None, *, allowed: bool
) -> tuple[Argv, ...]:
    """The commands that let two sides be primary, or no longer; none when it is so already.

    A connected peer takes the change over. Without a connection it is refused: two sides that
    differ in this when they meet would refuse each other.
    """
    if found is None or found.bare:
        return ()
    if allowed and state.link not in (Link.CONNECTED, Link.SYNCING):
        raise NotUpToDate(
            f"{volume.name}: the peer is not connected, so two cannot write it; wait for it",
            subject=volume.name,
        )
    if found.two_primaries is allowed or found.local is None or found.peer is None:
        return ()
    if allowed and protocol != "C":
        raise BadParameter(
            f"{volume.name}: two primaries need protocol C, not {protocol}", subject=volume.name
        )
    if not allowed and state.role == state.peer_role == "Primary":
        raise VolumeBusy(f"{volume.name}: both sides are primary; close one", subject=volume.name)
    option = f"--allow-two-primaries={'yes' if allowed else 'no'}"
    return (("drbdsetup", "net-options", found.local, found.peer, option),)


def clean_generation(volume: Volume, mirror: Mirror) -> int:
    """The first generation of a mirror whose copies are new and equal by definition.

    Both nodes come to the same number alone, and no other pair of copies ever does: a replaced
    copy is a stranger to DRBD, never mistaken for an equal one. Bit 0 is DRBD's mark of a primary.
    """
    sides = sorted([(mirror.local_name, mirror.minor), (mirror.peer_name, mirror.peer_minor)])
    identity = "\n".join([volume.uuid, mirror.secret, str(sides)])
    number = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") & ~1
    return number if number > JUST_CREATED else number + JUST_CREATED + 2


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
