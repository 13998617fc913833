"""What nodes see and push up: frozen values with their age. Observed, never stored.

Reads are answered from the latest observation of each node; it says when it was made.
"""

from __future__ import annotations

import msgspec

from hypervisors.guest import GuestStatus, NodeHardware
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
    capacity: tuple[Capacity, ...] = ()
    stored: tuple[Stored, ...] = ()
    """All storage found, also what nobody knows."""
    volumes: tuple[VolumeStatus, ...] = ()
    """Status of the volumes that the master asked to watch."""
    oses: tuple[OsFound, ...] = ()
    bridges: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Sentences about parts of the node that do not work."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """The master's latest knowledge of a node. ``received`` is the master's clock."""

    observation: Observation | None = None
    received: float = 0.0
    connected: bool = False
