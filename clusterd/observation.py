"""What nodes see and push up: frozen values with their age. Observed, never stored.

Reads are answered from the latest observation of each node; it says when it was made.
"""

from __future__ import annotations

import msgspec

from hypervisors.guest import GuestStatus, NodeHardware
from storage.external_providers import ProviderFound
from storage.volume import Capacity, Stored, VolumeStatus


class OsFound(msgspec.Struct, frozen=True, kw_only=True):
    """One OS definition on a node."""

    name: str
    path: str
    valid: bool
    message: str = ""
    variants: tuple[str, ...] = ()
    api_versions: tuple[int, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    """(name, description)"""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """One node as it saw itself at ``time`` (its own clock, seconds since the epoch)."""

    node: str
    """Host name."""
    time: float
    boot_id: str = ""
    version: str = ""
    hardware: NodeHardware | None = None
    """None while the hypervisor does not answer."""
    hypervisor_errors: dict[str, str] = {}
    guests: dict[str, tuple[GuestStatus, ...]] = {}
    """By hypervisor; a hypervisor that does not answer is missing here."""
    storage_errors: dict[str, str] = {}
    """By template: why its room could not be told."""
    capacity: tuple[Capacity, ...] = ()
    stored: tuple[Stored, ...] = ()
    """All storage found, also what nobody knows."""
    volumes: tuple[VolumeStatus, ...] = ()
    """Status of the volumes that the master asked to watch."""
    oses: tuple[OsFound, ...] = ()
    providers: tuple[ProviderFound, ...] = ()
    """Ext-storage providers."""
    bridges: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    """Names of instances that the node keeps an export of, sorted."""
    problems: tuple[str, ...] = ()
    """Sentences about parts of the node that do not work."""


_ALIVE: dict[str, tuple[Observation, frozenset[str]]] = {}
"""Node -> its latest observation that was asked about, and what ``alive`` said of it."""


def alive(observation: Observation) -> frozenset[str]:
    """Names of the guests that are alive; the same observation is gone through only once."""
    known = _ALIVE.get(observation.node)
    if known is None or known[0] is not observation:
        names = frozenset(
            guest.name for found in observation.guests.values() for guest in found if guest.alive
        )
        known = _ALIVE[observation.node] = (observation, names)
    return known[1]


class Glimpse(msgspec.Struct, frozen=True):
    """What was seen of one guest that was just changed; None: it is not there."""

    hypervisor: str
    name: str
    status: GuestStatus | None


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """The master's latest knowledge of a node. ``received`` is the master's clock."""

    observation: Observation | None = None
    received: float = 0.0
    connected: bool = False


def with_guest(observation: Observation, regarded: Glimpse) -> Observation:
    """The observation with what is known better of one guest."""
    found = observation.guests.get(regarded.hypervisor)
    if found is None:
        return observation
    others = [guest for guest in found if guest.name != regarded.name]
    if regarded.status is not None:
        others.append(regarded.status)
    guests = {
        **observation.guests,
        regarded.hypervisor: tuple(sorted(others, key=lambda guest: guest.name)),
    }
    return msgspec.structs.replace(observation, guests=guests)
