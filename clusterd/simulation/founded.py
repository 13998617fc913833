"""A cluster at rest as a value: what outlives a start of all daemons, and what they find.

Taken once of a cluster that was built up step by step, and given to any number of new ones, which
begin where it was: the store, the random source, each host's disks, devices, guests and memory.
Not kept: what travels on a link, timers, and what daemons know only in memory.
"""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.simulation.pretended_streams import Dump
from hypervisors.guest import Guest
from hypervisors.machine_room import Presence, Resident
from jobqueue.store.interface import Entry
from jobqueue.store.memory import MemoryDisk
from storage.shelf import Attachment, Key, Piece, Shelf
from storage.volume import Template


class Lodger(msgspec.Struct, frozen=True, kw_only=True):
    """One guest on a host."""

    guest: Guest
    presence: Presence = Presence.RUNNING
    boots: int = 1


class FoundedHost(msgspec.Struct, frozen=True, kw_only=True):
    """What is on one host."""

    powered: bool = True
    boots: int = 1
    keep: dict[str, bytes] = {}
    """What its daemon must not forget."""
    links: dict[str, str] = {}
    """Name of a guest's disk -> device."""
    own: dict[Key, Piece] = {}
    attached: dict[Key, Attachment] = {}
    writes: int = 0
    lodgers: tuple[Lodger, ...] = ()
    exports: tuple[Dump, ...] = ()
    pools: dict[str, int] | None = None
    """Pool -> total MiB; None: the usual ones."""
    told: dict[Template, tuple[str, ...]] = {}
    """With ``pools``: see ``Shelf.told``."""
    memory_mib: int | None = None
    cpus: int | None = None
    bridges: tuple[str, ...] = ()
    """Beside the usual one."""


class Founded(msgspec.Struct, frozen=True, kw_only=True):
    """A whole cluster. Invariant: what can be changed in place is never handed out, only copied."""

    now: float
    random: Any
    """The state of its random source: what was drawn once is not drawn again."""
    entries: dict[str, Entry]
    revision: int
    shared: dict[Key, Piece]
    hosts: dict[str, FoundedHost]

    def disk(self) -> MemoryDisk:
        """A disk with the store as it was."""
        disk = MemoryDisk()
        disk.entries = dict(self.entries)
        disk.keys = sorted(self.entries)
        disk.revision = self.revision
        return disk


class Blueprint(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster to simulate."""

    nodes: tuple[str, ...] = ("node1", "node2", "node3")
    """The first is the master."""
    outside: tuple[str, ...] = ()
    """Further hosts that are up but not in the configuration."""
    hypervisors: tuple[str, ...] = ("memory",)
    """All are pretended."""
    oses: dict[str, tuple[str, ...]] = {}
    """OS definitions beside the usual one -> variants."""
    seed: int = 0
    founded: Founded | None = None
    """What it begins with, of the same hosts; None: an empty cluster."""


def stored(shelf: Shelf) -> tuple[dict[Key, Piece], dict[Key, Attachment]]:
    """Copies of a shelf's pieces and of what is attached."""
    return copied(shelf.own), {
        key: msgspec.structs.replace(one) for key, one in shelf.attached.items()
    }


def copied(pieces: dict[Key, Piece]) -> dict[Key, Piece]:
    """Pieces that can be changed without changing these."""
    return {
        key: msgspec.structs.replace(
            piece,
            snapshots={
                name: msgspec.structs.replace(taken) for name, taken in piece.snapshots.items()
            },
        )
        for key, piece in pieces.items()
    }


def shelved(shelf: Shelf, host: FoundedHost) -> None:
    """Put a host's disks on a shelf."""
    shelf.own.update(copied(host.own))
    for key, one in host.attached.items():
        shelf.attached[key] = msgspec.structs.replace(one)
    shelf.writes = host.writes


def lodgers(residents: dict[str, Resident]) -> tuple[Lodger, ...]:
    """The guests of a machine."""
    return tuple(
        Lodger(guest=one.guest, presence=one.presence, boots=one.boots)
        for _, one in sorted(residents.items())
    )


def moved_in(residents: dict[str, Resident], found: tuple[Lodger, ...]) -> None:
    """Put guests on a machine."""
    for one in found:
        resident = Resident(one.guest, one.presence)
        resident.boots = one.boots
        residents[one.guest.name] = resident
