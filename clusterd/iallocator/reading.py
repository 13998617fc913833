"""From the file that an iallocator is given to facts and a request: the protocol, read.

Decided here: what a file must hold. What is wrong is refused with the object and the key. Pure.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType, field

from clusterd.iallocator.live import policy_facts
from clusterd.iallocator.requests import (
    Allocate,
    AllocateSecondary,
    ChangeGroup,
    EvacuationMode,
    MultiAllocate,
    NewInstance,
    NodeEvacuate,
    Relocate,
    Request,
)
from clusterd.model import Policy
from clusterd.names import IALLOCATOR_VERSION
from clusterd.placement.facts import (
    INTERNAL_MIRROR,
    TEMPLATES,
    AllocPolicy,
    ClusterFacts,
    GroupFacts,
    InstanceFacts,
    NodeFacts,
)
from jobqueue.errors import Refused

T = TypeVar("T")


class _Group(msgspec.Struct, frozen=True):
    name: str
    alloc_policy: AllocPolicy
    ipolicy: Policy
    networks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class _NodeParams(msgspec.Struct, frozen=True):
    spindle_count: int = 1
    exclusive_storage: bool = False
    cpu_speed: float = 1.0


class _Node(msgspec.Struct, frozen=True):
    group: str
    offline: bool
    drained: bool = False
    vm_capable: bool = True
    tags: tuple[str, ...] = ()
    ndparams: _NodeParams = _NodeParams()
    total_memory: int = 0
    reserved_memory: int = 0
    free_memory: int = 0
    total_disk: int = 0
    free_disk: int = 0
    total_spindles: int = 0
    free_spindles: int = 0
    total_cpus: int = 0
    reserved_cpus: int = 1


class _Disk(msgspec.Struct, frozen=True):
    size: int
    mode: str = "rw"
    spindles: int | None = None


class _Instance(msgspec.Struct, frozen=True):
    nodes: tuple[str, ...]
    memory: int
    vcpus: int
    disk_template: str
    disk_space_total: int
    disks: tuple[_Disk, ...] = ()
    nics: tuple[dict[str, Any], ...] = ()
    tags: tuple[str, ...] = ()
    spindle_use: int = 1
    admin_state: str = "up"
    forthcoming: bool = False


class _New(msgspec.Struct, frozen=True):
    name: str
    memory: int
    vcpus: int
    disk_template: str
    disks: tuple[_Disk, ...]
    disk_space_total: int
    required_nodes: int | UnsetType = UNSET
    nics: tuple[dict[str, Any], ...] = ()
    tags: tuple[str, ...] = ()
    spindle_use: int = 1
    os: str = ""
    hypervisor: str = ""
    group_name: str | None = None


class _Asked(msgspec.Struct, frozen=True):
    type: Literal[
        "allocate", "multi-allocate", "relocate", "node-evacuate", "change-group",
        "allocate-secondary",
    ]  # fmt: skip
    name: str = ""
    instances: tuple[Any, ...] = ()
    relocate_from: tuple[str, ...] = ()
    disk_space_total: int = 0
    evac_mode: EvacuationMode = "all"
    target_groups: tuple[str, ...] = ()
    ignore_soft: bool | UnsetType = field(name="ignore-soft-errors", default=UNSET)
    only: tuple[str, ...] | UnsetType = field(name="restrict-to-nodes", default=UNSET)


class _File(msgspec.Struct, frozen=True):
    version: int
    nodegroups: dict[str, _Group]
    nodes: dict[str, _Node]
    instances: dict[str, _Instance]
    request: dict[str, Any]
    ipolicy: Policy
    cluster_tags: tuple[str, ...] = ()
    enabled_hypervisors: tuple[str, ...] = ()


STATIC_KVM_MIB = 4096
"""Memory of a host with KVM: what it reports is mostly its guests' (a default of htools)."""


def read(text: str, static_mib: int | None = None) -> tuple[ClusterFacts, Request]:
    """The cluster and what is asked; raises Refused naming the place. ``static_mib``: what hosts
    with KVM take, 0 what they report; None is the default."""
    try:
        file = msgspec.json.decode(text, type=_File)
    except msgspec.DecodeError as error:
        raise Refused(f"The request cannot be read: {error}") from None
    if file.version != IALLOCATOR_VERSION:
        raise Refused(f"The request is of version {file.version}, not {IALLOCATOR_VERSION}")
    static = STATIC_KVM_MIB if static_mib is None else static_mib
    facts = _facts(file)
    if static and file.enabled_hypervisors[:1] == ("kvm",):
        facts = hosts_take(facts, static)
    return facts, _request(file)


def hosts_take(facts: ClusterFacts, memory_mib: int) -> ClusterFacts:
    """With this memory of each host's own."""
    nodes = (
        msgspec.structs.replace(one, memory_node_mib=min(memory_mib, one.memory_total_mib))
        for one in facts.nodes
    )
    return msgspec.structs.replace(facts, nodes=tuple(nodes))


def _facts(file: _File) -> ClusterFacts:
    return ClusterFacts(
        groups=tuple(
            GroupFacts(
                name=group.name,
                uuid=uuid,
                alloc_policy=group.alloc_policy,
                tags=group.tags,
                networks=group.networks,
                policy=policy_facts(group.ipolicy),
            )
            for uuid, group in file.nodegroups.items()
        ),
        nodes=tuple(_node(name, node) for name, node in file.nodes.items()),
        instances=tuple(_instance(name, one) for name, one in file.instances.items()),
        tags=file.cluster_tags,
        policy=policy_facts(file.ipolicy),
    )


def _node(name: str, node: _Node) -> NodeFacts:
    return NodeFacts(
        name=name,
        group=node.group,
        memory_total_mib=node.total_memory,
        memory_node_mib=node.reserved_memory,
        memory_free_mib=max(node.free_memory, 0),
        disk_total_mib=node.total_disk,
        disk_free_mib=max(node.free_disk, 0),
        cpus=node.total_cpus,
        cpus_node=node.reserved_cpus,
        cpu_speed=node.ndparams.cpu_speed,
        spindles=node.ndparams.spindle_count,
        spindles_free=node.free_spindles,
        exclusive_storage=node.ndparams.exclusive_storage,
        offline=node.offline,
        drained=node.drained,
        vm_capable=node.vm_capable,
        tags=node.tags,
    )


def _instance(name: str, one: _Instance) -> InstanceFacts:
    if not 0 < len(one.nodes) <= 2:
        raise Refused(f"Instance {name}: it has {len(one.nodes)} nodes, not one or two")
    return InstanceFacts(
        name=name,
        memory_mib=one.memory,
        disk_mib=one.disk_space_total,
        vcpus=one.vcpus,
        primary=one.nodes[0],
        secondary=one.nodes[1] if len(one.nodes) > 1 else "",
        template=one.disk_template,
        tags=one.tags,
        spindle_use=one.spindle_use,
        spindles=_spindles(one.disks),
        disk_sizes_mib=tuple(disk.size for disk in one.disks),
        nics=len(one.nics),
        networks=_networks(one.nics),
        forthcoming=one.forthcoming,
    )


def _networks(nics: tuple[dict[str, Any], ...]) -> tuple[str, ...]:
    return tuple(str(nic["network"]) for nic in nics if nic.get("network"))


def _spindles(disks: tuple[_Disk, ...]) -> int | None:
    """Of all disks; None where one's are not known."""
    known = [disk.spindles for disk in disks if disk.spindles is not None]
    return sum(known) if len(known) == len(disks) else None


def _request(file: _File) -> Request:
    asked = _converted(file.request, _Asked, "request")
    only = None if isinstance(asked.only, UnsetType) else asked.only
    excluded = {} if only is None else {
        node: "is not among the nodes allowed" for node in file.nodes if node not in only
    }  # fmt: skip
    match asked.type:
        case "allocate":
            return Allocate(instance=_new(file, file.request, "request"), excluded=excluded)
        case "multi-allocate":
            new = tuple(
                _new(file, one, f"request, instance {at}") for at, one in enumerate(asked.instances)
            )
            return MultiAllocate(instances=new, excluded=excluded)
        case "relocate":
            return Relocate(
                name=asked.name,
                relocate_from=asked.relocate_from,
                disk_total_mib=asked.disk_space_total,
                excluded=excluded,
            )
        case "allocate-secondary":
            return AllocateSecondary(name=asked.name, excluded=excluded)
        case "node-evacuate":
            return NodeEvacuate(
                instances=_names(asked),
                mode=asked.evac_mode,
                ignore_soft_errors=asked.ignore_soft is True,
                excluded=excluded,
            )
        case "change-group":
            return ChangeGroup(
                instances=_names(asked), target_groups=asked.target_groups, excluded=excluded
            )


def _names(asked: _Asked) -> tuple[str, ...]:
    return _converted(asked.instances, tuple[str, ...], "request, instances")


def _new(file: _File, body: Any, where: str) -> NewInstance:
    new = _converted(body, _New, where)
    group = None
    if new.group_name is not None:
        found = [u for u, one in file.nodegroups.items() if new.group_name in (u, one.name)]
        if not found:
            raise Refused(f"{where}: there is no node group {new.group_name}")
        group = found[0]
    needed = 2 if new.disk_template == INTERNAL_MIRROR else 1
    if new.disk_template not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise Refused(f"{where}: unknown disk template {new.disk_template!r}; known are {known}")
    if new.required_nodes not in (UNSET, needed):
        raise Refused(
            f"{where}: disk template {new.disk_template} takes {needed} node"
            f"{'s' if needed > 1 else ''}, not {new.required_nodes}"
        )
    return NewInstance(
        name=new.name,
        disk_template=new.disk_template,
        vcpus=new.vcpus,
        memory_mib=new.memory,
        disk_sizes_mib=tuple(disk.size for disk in new.disks),
        disk_total_mib=new.disk_space_total,
        nics=new.nics,
        networks=_networks(new.nics),
        spindle_use=new.spindle_use,
        spindles=_spindles(new.disks),
        os=new.os,
        hypervisor=new.hypervisor,
        tags=new.tags,
        required_nodes=needed,
        group=group,
    )


def _converted(value: Any, shape: type[T], where: str) -> T:
    try:
        return msgspec.convert(value, type=shape)
    except msgspec.ValidationError as error:
        raise Refused(f"{where}: {error}") from None
