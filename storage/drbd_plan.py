"""What may be done with a DRBD device of either version, decided from values. Pure.

The device of minor N is ``/dev/drbdN`` in a resource ``resourceN``, Ganeti's name. How a version is
told stands in ``drbd_plan_eight`` and ``drbd_plan_nine``, which are both a ``Plan``.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import msgspec

from storage.drbd_options import DrbdParameters
from storage.drbd_state import JUST_CREATED, Generation, Minor, Resource
from storage.errors import (
    NotUpToDate,
    SecondPrimary,
    SplitBrain,
    StorageError,
    VolumeBusy,
)
from storage.logical_volumes import device_path, full_name
from storage.volume import Health, Link, Mirror, Volume

Argv = tuple[str, ...]


class Plan(Protocol):
    """The commands of one version of DRBD. Nothing is run."""

    def create_metadata(self, mirror: Mirror) -> Argv:
        """Makes metadata in a volume that nobody uses yet, also while the minor serves the data
        that these are to replace."""

    def stored_generation(self, mirror: Mirror) -> Argv:
        """Tells the generation of data that are not attached."""

    def live_generation(self, mirror: Mirror) -> Argv:
        """Tells the generation of attached data."""

    def start_clean(self, volume: Volume, mirror: Mirror) -> tuple[Argv, str | None]:
        """Makes metadata that were never used say that the copy is good; with what it reads."""

    def bring_up(
        self, volume: Volume, mirror: Mirror, parameters: DrbdParameters, found: Resource | None
    ) -> tuple[Argv, ...]:
        """What is still missing until the device is attached and connects."""

    def connect(
        self,
        mirror: Mirror,
        parameters: DrbdParameters,
        found: Resource | None,
        *,
        discard_local: bool = False,
    ) -> tuple[Argv, ...]:
        """Makes it connect to the right peer; nothing when it does already. ``discard_local``
        always makes a new connection, as only that can give up local changes."""

    def allow_two_primaries(
        self, mirror: Mirror, found: Resource, protocol: str, *, allowed: bool
    ) -> Argv:
        """Opens or closes the window in which both sides may be primary; ``protocol`` is the usual
        one."""

    def primary(self, mirror: Mirror, found: Resource, *, overwrite: bool) -> Argv:
        """Opens it here; ``overwrite`` takes data that never were synchronised for good ones."""

    def secondary(self, mirror: Mirror, found: Resource) -> Argv:
        """Closes it here."""


def device(mirror: Mirror) -> str:
    """The path of the mirrored device."""
    return f"/dev/drbd{mirror.minor}"


def resource_name(mirror: Mirror) -> str:
    """The name that a new resource gets."""
    return f"resource{mirror.minor}"


def meta_command(mirror: Mirror, version: str, *words: str) -> Argv:
    """A drbdmeta command on the metadata, of this version, of a device that is not attached."""
    path = device_path(mirror.meta_pool, mirror.meta_name)
    return ("drbdmeta", "--force", str(mirror.minor), version, path, "flex-external", *words)


def attach_command(volume: Volume, mirror: Mirror, options: tuple[str, ...]) -> Argv:
    """The device gets its data and metadata."""
    data = device_path(volume.pool, volume.name)
    meta = device_path(mirror.meta_pool, mirror.meta_name)
    return ("drbdsetup", "attach", str(mirror.minor), data, meta, "flexible", *options)


def data_name(volume: Volume) -> str:
    """LVM's name of the data."""
    return full_name(volume.pool, volume.name)


def meta_name(mirror: Mirror) -> str:
    """LVM's name of the metadata."""
    return full_name(mirror.meta_pool, mirror.meta_name)


def occupant(volume: Volume, found: Resource | None) -> StorageError | None:
    """Why the minor cannot be used for ``volume``: another disk is attached to it."""
    if found is None or found.data in (None, device_path(volume.pool, volume.name)):
        return None
    return VolumeBusy(
        f"{found.name} holds {found.data}, not {volume.name}; detach that volume first",
        subject=volume.name,
    )


def exchange(
    plan: Plan, volume: Volume, mirror: Mirror, parameters: DrbdParameters, found: Resource
) -> tuple[Argv, ...]:
    """The commands that give the attached device these local data instead of those it has.

    Without its peer it has no whole copy for a while: it had better stand still then than fail.
    """
    freeze = ("drbdsetup", "resource-options", found.name, "--on-no-data-accessible=suspend-io")
    detach = ("drbdsetup", "detach", str(mirror.minor))
    bare = msgspec.structs.replace(found, data=None)
    leave = (freeze, detach) if found.data is not None else (freeze,)
    return (*leave, *plan.bring_up(volume, mirror, parameters, bare))


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


def must_change_sharing(
    volume: Volume, state: Minor, found: Resource | None, *, allowed: bool
) -> bool:
    """Whether two sides are yet to be let be primary, or no longer.

    A connected peer takes the change over. Without a connection it is refused: two sides that
    differ in this when they meet would refuse each other.
    """
    if found is None or found.bare:
        return False
    if allowed and state.link not in (Link.CONNECTED, Link.SYNCING):
        raise NotUpToDate(
            f"{volume.name}: the peer is not connected, so two cannot write it; wait for it",
            subject=volume.name,
        )
    if found.two_primaries is allowed or found.local is None or found.peer is None:
        return False
    if not allowed and state.role == state.peer_role == "Primary":
        raise VolumeBusy(f"{volume.name}: both sides are primary; close one", subject=volume.name)
    return True


def window_options(protocol: str, allowed: bool) -> tuple[str, ...]:
    """The options that let two sides be primary, which needs protocol C while it lasts."""
    option = f"--allow-two-primaries={'yes' if allowed else 'no'}"
    if protocol == "C":
        return (option,)
    return (f"--protocol={'C' if allowed else protocol}", option)


def clean_generation(volume: Volume, mirror: Mirror) -> int:
    """The first generation of a mirror whose copies are new and equal by definition.

    Both nodes come to the same number alone, and no other pair of copies ever does: a replaced
    copy is a stranger to DRBD, never mistaken for an equal one. Bit 0 is DRBD's mark of a primary.
    """
    sides = sorted([(mirror.local_name, mirror.minor), (mirror.peer_name, mirror.peer_minor)])
    identity = "\n".join([volume.uuid, mirror.secret, str(sides)])
    number = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") & ~1
    return number if number > JUST_CREATED else number + JUST_CREATED + 2
