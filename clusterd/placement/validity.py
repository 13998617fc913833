"""Which descriptions of a cluster are refused, and with which words. Pure.

The rule: whatever would make a plan meaningless is refused by name; what is merely bad (a node over
its limits, an instance split over two groups) is kept, shown and never made worse.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from clusterd.placement.errors import BadCluster
from clusterd.placement.facts import (
    ALLOC_POLICIES,
    INTERNAL_MIRROR,
    STATUSES,
    TEMPLATES,
    ClusterFacts,
    InstanceFacts,
    NodeFacts,
    PolicyFacts,
    Spec,
)

LARGEST_MIB = 1 << 50
"""2**50 MiB: beyond it sums would lose whole MiB."""


def require_valid(facts: ClusterFacts) -> None:
    """Raise BadCluster, naming the object, unless all of ``facts`` fits together."""
    _unique("group", (one.name for one in facts.groups))
    groups = _unique("group uuid", (one.uuid for one in facts.groups))
    nodes = _unique("node", (one.name for one in facts.nodes))
    _unique("instance", (one.name for one in facts.instances))
    if not facts.groups:
        raise BadCluster("There is no node group: it is no cluster")
    if not facts.nodes:
        raise BadCluster("There is no node: it is no cluster")
    require_policy("the cluster", facts.policy)
    _require_standard("the cluster", facts.policy)
    for group in facts.groups:
        if group.alloc_policy not in ALLOC_POLICIES:
            raise BadCluster(
                f"Group {group.name}: unknown allocation policy {group.alloc_policy!r};"
                f" known are {', '.join(ALLOC_POLICIES)}"
            )
        if group.policy is not None:
            require_policy(f"group {group.name}", group.policy)
    for node in facts.nodes:
        _require_node(node, groups)
    for instance in facts.instances:
        _require_instance(instance, nodes)


def _unique(what: str, names: Iterable[str]) -> frozenset[str]:
    seen: set[str] = set()
    for name in names:
        if not name:
            raise BadCluster(f"There is a {what} without a name")
        if name in seen:
            raise BadCluster(f"The {what} {name} is there twice")
        if not name.isprintable():
            raise BadCluster(f"The {what} {name!r}: its name has characters that cannot be shown")
        seen.add(name)
    return frozenset(seen)


def _sizes(what: str, value: msgspec.Struct, fields: Iterable[str]) -> None:
    for field in fields:
        size = getattr(value, field)
        if size is not None and not 0 <= size <= LARGEST_MIB:
            raise BadCluster(f"{what}: {field} {size} is no possible size")


NODE_SIZES = (
    "memory_total_mib",
    "memory_node_mib",
    "disk_total_mib",
    "disk_free_mib",
    "cpus",
    "cpus_node",
    "spindles",
)


def _require_node(node: NodeFacts, groups: frozenset[str]) -> None:
    what = f"Node {node.name}"
    if node.group not in groups:
        raise BadCluster(f"{what}: there is no group {node.group}")
    _sizes(what, node, NODE_SIZES)
    if abs(node.memory_free_mib) > LARGEST_MIB or abs(node.spindles_free) > LARGEST_MIB:
        raise BadCluster(f"{what}: memory_free_mib or spindles_free is no possible size")
    if node.offline or node.drained or not node.vm_capable:
        return
    for total, free, name in (
        (node.memory_total_mib, node.memory_free_mib, "memory"),
        (node.disk_total_mib, node.disk_free_mib, "disk"),
    ):
        if free > total:
            raise BadCluster(f"{what}: {free} MiB of {name} are free, but it has only {total} MiB")
    if not node.memory_total_mib or not node.cpus or not 0 < node.cpu_speed < 1e6:
        raise BadCluster(f"{what}: an online node needs memory, CPUs and a CPU speed above 0")


INSTANCE_SIZES = ("memory_mib", "disk_mib", "vcpus", "spindle_use", "spindles", "nics")


def _require_instance(instance: InstanceFacts, nodes: frozenset[str]) -> None:
    what = f"Instance {instance.name}"
    _sizes(what, instance, INSTANCE_SIZES)
    if instance.template not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise BadCluster(f"{what}: unknown disk template {instance.template!r}; known are {known}")
    if instance.status not in STATUSES:
        raise BadCluster(f"{what}: unknown status {instance.status!r}")
    for node in (instance.primary, instance.secondary):
        if node and node not in nodes:
            raise BadCluster(f"{what}: there is no node {node}")
    if not instance.primary:
        raise BadCluster(f"{what}: it has no primary node")
    if instance.primary == instance.secondary:
        raise BadCluster(f"{what}: its primary and secondary node are the same, {instance.primary}")
    if bool(instance.secondary) != (instance.template == INTERNAL_MIRROR):
        wrong = "has no secondary node" if not instance.secondary else "has a secondary node"
        raise BadCluster(f"{what}: its template is {instance.template}, but it {wrong}")


def require_policy(owner: str, policy: PolicyFacts) -> None:
    """Raise BadCluster for a policy that nothing could ever fit."""
    what = f"The instance policy of {owner}"
    unknown = [name for name in policy.templates if name not in TEMPLATES]
    if unknown:
        raise BadCluster(f"{what}: unknown disk template {unknown[0]!r}")
    for name, ratio in (("vcpu", policy.vcpu_ratio), ("spindle", policy.spindle_ratio)):
        if not 0 < ratio < 1e9:
            raise BadCluster(f"{what}: a {name} ratio of {ratio} is impossible")
    if not policy.ranges:
        raise BadCluster(f"{what} has no pair of smallest and largest sizes")
    for small, large in policy.ranges:
        for field in Spec.__struct_fields__:
            low, high = getattr(small, field), getattr(large, field)
            if low < 0 or high > LARGEST_MIB:
                raise BadCluster(f"{what}: {field} from {low} to {high} is no possible range")
            if low > high:
                raise BadCluster(
                    f"{what} contradicts itself: smallest {field} {low}, largest {high}"
                )


def _require_standard(owner: str, policy: PolicyFacts) -> None:
    """The standard size counts for the whole cluster, so a group's ranges may leave it out."""
    what = f"The instance policy of {owner}"
    if not any(
        all(
            getattr(small, field) <= getattr(policy.std, field) <= getattr(large, field)
            for field in Spec.__struct_fields__
        )
        for small, large in policy.ranges
    ):
        raise BadCluster(f"{what} contradicts itself: its standard size fits none of its ranges")
