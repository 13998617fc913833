"""What is told about a cluster: one plain value a group, node, instance and policy.

These are what readers (the text format, the live configuration, RAPI) build; ``model.build`` checks
them and makes arrays of them. Sizes are MiB.
"""

from __future__ import annotations

from typing import Literal

import msgspec

INTERNAL_MIRROR = "drbd"
"""The one template with a second node."""
SHARED = ("blockdev", "ext", "gluster", "rbd", "sharedfile")
"""Templates whose instances may start on any node."""
TEMPLATES = ("diskless", "drbd", "file", "plain", *SHARED)
LOCAL = ("drbd", "plain")
"""Templates that take room of a node's volume group (the only room that is modelled)."""
MOVABLE = ("drbd", *SHARED)

AllocPolicy = Literal["preferred", "last_resort", "unallocable"]
ALLOC_POLICIES: tuple[AllocPolicy, ...] = ("preferred", "last_resort", "unallocable")

RUNNING = ("running", "ERROR_up")
STATUSES = (
    *RUNNING,
    "ADMIN_down",
    "ADMIN_offline",
    "ERROR_down",
    "ERROR_nodedown",
    "ERROR_nodeoffline",
    "ERROR_wrongnode",
    "USER_down",
)


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of an instance as a policy sees them; ``disk_mib`` is the size of each disk."""

    memory_mib: int
    vcpus: int
    disk_mib: int
    disks: int = 1
    nics: int = 1
    spindles: int = 1


class PolicyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An instance policy: an instance must fit one of the ``ranges`` (smallest, largest)."""

    std: Spec
    ranges: tuple[tuple[Spec, Spec], ...]
    templates: tuple[str, ...] = TEMPLATES
    vcpu_ratio: float = 4.0
    spindle_ratio: float = 32.0


_SMALL = Spec(memory_mib=128, vcpus=1, disk_mib=1024)
_LARGE = Spec(memory_mib=32768, vcpus=8, disk_mib=1048576, disks=16, nics=8, spindles=12)
DEFAULT_POLICY = PolicyFacts(std=_SMALL, ranges=((_SMALL, _LARGE),))
"""Ganeti's."""


class GroupFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A node group."""

    name: str
    uuid: str
    alloc_policy: AllocPolicy = "preferred"
    tags: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    """uuids of the networks that its nodes reach."""
    policy: PolicyFacts | None = None
    """None: the cluster's."""


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A node. What is unknown of a node that is down is 0."""

    name: str
    group: str
    """uuid"""
    memory_total_mib: int = 0
    memory_node_mib: int = 0
    """What the host itself takes."""
    memory_free_mib: int = 0
    disk_total_mib: int = 0
    disk_free_mib: int = 0
    cpus: int = 0
    cpus_node: int = 1
    cpu_speed: float = 1.0
    spindles: int = 1
    spindles_free: int = 0
    exclusive_storage: bool = False
    offline: bool = False
    drained: bool = False
    vm_capable: bool = True
    master: bool = False
    tags: tuple[str, ...] = ()


class Utilisation(msgspec.Struct, frozen=True):
    """Measured load of an instance, in any unit that is the same for all."""

    cpu: float = 1.0
    memory: float = 1.0
    disk: float = 1.0
    network: float = 1.0


IDLE = Utilisation(0.0, 0.0, 0.0, 0.0)


class InstanceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that exists, or (``forthcoming``) is promised room."""

    name: str
    memory_mib: int
    disk_mib: int
    """What its disks take on each node that holds them."""
    vcpus: int
    primary: str
    """Name of a node."""
    secondary: str = ""
    template: str = INTERNAL_MIRROR
    status: str = "running"
    auto_balance: bool = True
    tags: tuple[str, ...] = ()
    spindle_use: int = 1
    spindles: int | None = None
    """Of its disks together; None where unknown (without exclusive storage)."""
    disk_sizes_mib: tuple[int, ...] | None = None
    """None: one disk of ``disk_mib``."""
    nics: int = 1
    networks: tuple[str, ...] = ()
    forthcoming: bool = False
    utilisation: Utilisation | None = None
    """None: 1.0 of everything."""


class ClusterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that placement knows of a cluster."""

    groups: tuple[GroupFacts, ...]
    nodes: tuple[NodeFacts, ...]
    instances: tuple[InstanceFacts, ...] = ()
    tags: tuple[str, ...] = ()
    policy: PolicyFacts = DEFAULT_POLICY
    network_names: dict[str, str] = {}
    """uuid -> name, for sentences; one that is not there goes by its uuid."""
