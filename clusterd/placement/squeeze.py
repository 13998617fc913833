"""Power nodes up or down so that spare room stays between two bounds, as ``hsqueeze``.

Spare room is counted on every online node: it must have room for so many times the standard
instance. Only nodes without mirrors and without local disks are powered down, the fullest last;
only offline nodes with a standby tag are powered up.
"""

from __future__ import annotations

import msgspec
import numpy as np

from clusterd.placement import suit
from clusterd.placement.balance import balance
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import LOCAL
from clusterd.placement.model import Cluster, build, without
from clusterd.placement.options import BalanceOptions, Request, SqueezeOptions
from clusterd.placement.requests import item_of
from clusterd.placement.results import BalancePlan, SqueezePlan
from clusterd.placement.tag_rules import STANDBY
from clusterd.placement.usage import Usage


def squeeze(cluster: Cluster, options: SqueezeOptions | None = None) -> SqueezePlan:
    """Which nodes, and what moves. Raises BadRequest for bounds that contradict each other."""
    options = options or SqueezeOptions()
    if not 0 <= options.minimal_resources <= options.target_resources:
        raise BadRequest(
            f"The minimum of {options.minimal_resources} standard instances must not exceed the"
            f" target of {options.target_resources}"
        )
    if not _room(Usage(cluster), options.minimal_resources):
        return _power_up(cluster, options)
    down: list[str] = []
    for name in _candidates(cluster):
        if _survives(cluster, [*down, name], options.target_resources):
            down.append(name)
    if not down:
        return SqueezePlan(action="none", nodes=(), plans=(), text="Nothing to do")
    plans = _balanced(without(cluster, down))[1]
    text = f"{len(down)} nodes are not needed for the spare room that is wanted"
    return SqueezePlan(action="power_down", nodes=tuple(down), plans=plans, text=text)


def _power_up(cluster: Cluster, options: SqueezeOptions) -> SqueezePlan:
    standby = [
        node.name
        for node in cluster.facts.nodes
        if node.offline and any(tag.startswith(STANDBY.rstrip(":")) for tag in node.tags)
    ]
    for count in range(1, len(standby) + 1):
        with_more = _online(cluster, standby[:count])
        usage, plans = _balanced(with_more)
        if _room(usage, options.minimal_resources):
            text = f"{count} more nodes give the least spare room"
            return SqueezePlan(
                action="power_up", nodes=tuple(standby[:count]), plans=plans, text=text
            )
    text = "Spare room is short, and all nodes on standby together do not give enough"
    plans = _balanced(_online(cluster, standby))[1] if standby else ()
    if not standby:
        return SqueezePlan(action="none", nodes=(), plans=(), text=text)
    return SqueezePlan(action="power_up", nodes=tuple(standby), plans=plans, text=text)


def _online(cluster: Cluster, names: list[str]) -> Cluster:
    nodes = tuple(
        msgspec.structs.replace(one, offline=False) if one.name in names else one
        for one in cluster.facts.nodes
    )
    return build(msgspec.structs.replace(cluster.facts, nodes=nodes), cluster.tuning)


def _candidates(cluster: Cluster) -> list[str]:
    """Nodes that may go down, those with the fewest instances first."""
    bound = {one.secondary for one in cluster.facts.instances} | {
        one.primary for one in cluster.facts.instances if one.template in LOCAL
    }
    count = dict.fromkeys(cluster.nodes.names, 0)
    for one in cluster.facts.instances:
        count[one.primary] += 1
    found = [
        node.name
        for row, node in enumerate(cluster.facts.nodes)
        if cluster.nodes.usable[row] and not node.master and node.name not in bound
    ]
    return sorted(found, key=lambda name: (count[name], name))


def _survives(cluster: Cluster, down: list[str], factor: float) -> bool:
    usage, _ = _balanced(without(cluster, down))
    on = usage.cluster.nodes.usable
    return bool(on.any()) and bool(on[usage.primary].all()) and _room(usage, factor)


def _balanced(cluster: Cluster) -> tuple[Usage, tuple[BalancePlan, ...]]:
    """The state after balancing every group."""
    usage = Usage(cluster)
    plans = []
    for group in cluster.facts.groups:
        plan = balance(cluster, BalanceOptions(group=group.uuid, min_gain=0.0, min_gain_limit=0.0))
        plans.append(plan)
        for move in plan.moves:
            nodes = [cluster.node(name) for name in move.new]
            usage.move(cluster.instance(move.instance), nodes[0], [*nodes, -1][1])
    return usage, tuple(one for one in plans if one.moves)


def _room(usage: Usage, factor: float) -> bool:
    """Whether every online node has room for ``factor`` standard instances."""
    cluster = usage.cluster
    std = cluster.facts.policy.std
    request = Request(
        name="room",
        memory_mib=int(std.memory_mib * factor),
        vcpus=int(std.vcpus * factor),
        disk_sizes_mib=(),
        template="ext",
        spindle_use=int(std.spindles * factor),
    )
    tests = suit.as_primary(usage, item_of(cluster, request), True)
    fits = suit.allowed(tests, len(cluster.nodes.names))
    return bool(np.all(fits[cluster.nodes.usable]))
