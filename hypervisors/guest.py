"""Values that describe a guest and what was found of it. No behaviour, no I/O. Memory is MiB."""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

ParamValue = str | int | float | bool


class NetworkDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the guest's process reaches a disk without a device on the node."""

    protocol: Literal["rbd", "gluster", "nbd", "iscsi"]
    name: str
    hosts: tuple[tuple[str, int], ...] = ()
    socket: str = ""
    """Path of a local socket instead of a host."""
    config: str = ""
    """Configuration file on the node."""
    user: str = ""
    keyring: str = ""
    """File on the node with the user's key; without, the service's own rules find one."""


class GuestDisk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One disk in the order the guest sees it; ``path`` is a block device or an image file."""

    path: str
    uuid: str
    index: int
    kind: Literal["block", "file"] = "block"
    access: Literal["rw", "ro"] = "rw"
    format: Literal["raw", "qcow2"] = "raw"
    size_mib: int = 0
    """Of a file that is not raw, whose length says nothing of what the guest sees; 0: unknown."""
    source: NetworkDisk | None = None
    """Where the disk really is, if not at ``path``, which is only its name then."""
    travels: bool = False
    """Its contents are on the source of a migration alone: they are copied to ``path`` on the
    target, where there is room for them."""


class GuestNic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One network card."""

    mac: str
    uuid: str
    index: int
    mode: Literal["bridged", "routed", "openvswitch"] = "bridged"
    link: str = ""
    ip: str | None = None
    vlan: str = ""


class Guest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a driver needs to start a guest. ``params`` are the effective hvparams.

    Invariant: the same value means the same virtual hardware on each node.
    """

    name: str
    uuid: str
    memory_mib: int
    vcpus: int
    disks: tuple[GuestDisk, ...] = ()
    nics: tuple[GuestNic, ...] = ()
    params: dict[str, ParamValue] = {}
    network_port: int | None = None
    """TCP port of the graphical console, from the cluster's pool."""


class GuestState(enum.StrEnum):
    """What a node says of a guest."""

    RUNNING = "running"
    PAUSED = "paused"
    """Also while it is being received by a migration."""
    SHUTDOWN = "shutdown"
    """Known here but not running."""
    CRASHED = "crashed"


class GuestStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One guest as a node sees it."""

    name: str
    uuid: str
    state: GuestState
    memory_mib: int = 0
    vcpus: int = 0
    cpu_time_s: float = 0.0
    incoming: bool = False
    """True while the guest's memory is still arriving here."""
    unreleased: bool = False
    """True while a complete copy stands still that came by a migration and has never run here."""

    @property
    def alive(self) -> bool:
        """True while the guest's processors may run here."""
        return self.state in (GuestState.RUNNING, GuestState.PAUSED) and not self.incoming


class MigrationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of an outgoing live migration, and its figures once ended."""

    state: Literal["none", "running", "completed", "failed", "cancelled"]
    transferred_mib: float = 0.0
    remaining_mib: float = 0.0
    total_mib: float = 0.0
    iteration: int = 0
    elapsed_ms: int = 0
    downtime_ms: int | None = None
    message: str = ""
    disks_total_mib: float = 0.0
    disks_remaining_mib: float = 0.0
    """Of disks that travel, too."""


class NodeHardware(msgspec.Struct, frozen=True, kw_only=True):
    """What the hypervisor says of its host."""

    memory_total_mib: int
    memory_free_mib: int
    memory_host_mib: int
    """Used by the host itself (Ganeti's mnode)."""
    cpus: int
    cpu_sockets: int
    cpu_nodes: int
    host_cpus: int
    version: str
