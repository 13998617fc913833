"""A cluster after new instances or moves: its table of nodes (``-p``) and its file (``-S``)."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from cli.htools import tables
from clusterd.placement import model
from clusterd.placement.facts import LOCAL, ClusterFacts, InstanceFacts
from clusterd.placement.model import NOWHERE
from clusterd.placement.results import Capacity
from clusterd.placement.usage import DISK, Usage


def instances(found: Capacity, template: str, spindle_use: int) -> list[InstanceFacts]:
    """The new ones, by the original's names."""
    specs = [one.spec for one in found.fitted for _each in range(one.count)]
    return [
        InstanceFacts(
            name=f"new-{number}",
            memory_mib=spec.memory_mib,
            disk_mib=spec.disk_mib,
            vcpus=spec.vcpus,
            primary=nodes[0],
            secondary=nodes[1] if len(nodes) > 1 else "",
            template=template,
            status="running",
            spindle_use=spindle_use,
            spindles=spec.spindles,
        )
        for number, (spec, nodes) in enumerate(zip(specs, found.placements, strict=True))
    ]


def facts_after(
    facts: ClusterFacts, new: list[InstanceFacts], *, first: bool = False
) -> ClusterFacts:
    """With the new instances, behind the others or ``first``; nodes tell the same free memory as
    before, as there."""
    disk: Counter[str] = Counter()
    for one in new:
        if one.template in LOCAL:
            disk[one.primary] += one.disk_mib
            disk[one.secondary] += one.disk_mib
    return replace(
        facts,
        nodes=tuple(
            replace(node, disk_free_mib=node.disk_free_mib - disk[node.name])
            for node in facts.nodes
        ),
        instances=(*new, *facts.instances) if first else (*facts.instances, *new),
    )


def state_after(cluster: model.Cluster, new: list[InstanceFacts]) -> tables.State:
    """For the table: what new instances take is no longer usable, but told as free."""
    taken: Counter[str] = Counter()
    for one in new:
        taken[one.primary] += one.memory_mib
    after = facts_after(cluster.facts, new)
    nodes = tuple(
        replace(node, memory_free_mib=node.memory_free_mib - taken[node.name])
        for node in after.nodes
    )
    built = model.build(replace(after, nodes=nodes), cluster.tuning)
    state = tables.State(built, Usage(built))
    state.memory_free = cluster.nodes.memory_free
    return state


def moved(state: tables.State) -> ClusterFacts:
    """The cluster or group after moves. The nodes tell the same free memory as before, as there."""
    facts, usage = state.whole.facts, state.usage
    names = usage.cluster.nodes.names
    nodes, instances = usage.cluster.node_number, usage.cluster.instance_number

    def placed(one: InstanceFacts) -> InstanceFacts:
        row = instances[one.name]
        mirror = int(usage.secondary[row])
        return replace(
            one,
            primary=names[usage.primary[row]],
            secondary=names[mirror] if mirror != NOWHERE else "",
        )

    return replace(
        facts,
        nodes=tuple(
            replace(one, disk_free_mib=int(usage.amounts[DISK, nodes[one.name]]))
            for one in facts.nodes
            if one.name in nodes
        ),
        instances=tuple(placed(one) for one in facts.instances if one.name in instances),
    )
