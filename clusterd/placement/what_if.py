"""What a loss or an addition would bring: what restarts where, in which order, what does not fit.

Mirrored instances restart on their secondary, which is the only place; they come first, the
largest first. Those on shared storage then take the best of what is left. In an emergency only
memory and disk bind; the other limits that are overstepped are told.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from msgspec.structs import replace

from clusterd.placement import suit
from clusterd.placement.allocate import place
from clusterd.placement.errors import BadRequest
from clusterd.placement.model import NOWHERE, Cluster, build, without
from clusterd.placement.options import Change
from clusterd.placement.placer import Placer
from clusterd.placement.requests import knows, require_possible
from clusterd.placement.results import Lost, Refusal, Restart, WhatIf
from clusterd.placement.score import components_of, weighed
from clusterd.placement.steps import Steps
from clusterd.placement.survey import ANY, FAILOVER
from clusterd.placement.usage import Usage


def what_if(cluster: Cluster, change: Change) -> WhatIf:
    """The state after the change, compared. Raises BadRequest, BadCluster."""
    lost = _lost_nodes(cluster, change)
    for request in change.add_instances:
        require_possible(request)
        if request.name in cluster.instance_number:
            raise BadRequest(f"There is an instance {request.name} already")
    before = Usage(cluster)
    changed = knows(without(cluster, lost, change.add_nodes), change.add_instances)
    usage = Usage(changed)
    restarts, gone = _restart(usage, set(lost))
    degraded = [
        name
        for row, name in enumerate(changed.instances.names)
        if usage.secondary[row] != NOWHERE
        and changed.nodes.usable[usage.primary[row]]
        and changed.nodes.names[usage.secondary[row]] in lost
    ]
    placer = Placer(changed, change.options, usage)
    allocations = tuple(place(placer, request) for request in change.add_instances)
    return WhatIf(
        lost_nodes=tuple(sorted(lost)),
        restarts=tuple(restarts),
        lost=tuple(gone),
        degraded=tuple(degraded),
        allocations=allocations,
        score_before=weighed(components_of(before)),
        score_after=weighed(components_of(usage)),
        n1_failing_before=_failing(before),
        n1_failing_after=_failing(usage),
    )


def after(cluster: Cluster, change: Change, found: WhatIf) -> Cluster:
    """The cluster as it stands when all that can restart has done so: ``found`` is the answer about
    ``change``; what was to be added is not in it."""
    target = {one.instance: one.node for one in found.restarts}
    gone = {one.instance for one in found.lost}
    taken: Counter[str] = Counter()
    instances = []
    for row, one in enumerate(cluster.facts.instances):
        node = target.get(one.name)
        if node is None:
            stopped = one.name in gone
            instances.append(replace(one, status="ERROR_nodeoffline") if stopped else one)
            continue
        taken[node] += int(cluster.instances.memory_used[row])
        mirror = one.primary if one.secondary else ""
        instances.append(replace(one, primary=node, secondary=mirror))
    changed = without(cluster, found.lost_nodes, change.add_nodes)
    nodes = tuple(
        replace(one, memory_free_mib=max(one.memory_free_mib - taken[one.name], 0))
        for one in changed.facts.nodes
    )
    facts = replace(changed.facts, nodes=nodes, instances=tuple(instances))
    return build(facts, changed.tuning)


def _lost_nodes(cluster: Cluster, change: Change) -> frozenset[str]:
    groups = {cluster.group_number(name) for name in change.lose_groups}
    for name in change.lose_nodes:
        cluster.node(name)
    tagged: list[str] = []
    for tag in change.lose_node_tags:
        mine = [node.name for node in cluster.facts.nodes if tag in node.tags]
        if not mine:
            raise BadRequest(f"No node has the tag {tag}")
        tagged += mine
    inside = [
        name
        for row, name in enumerate(cluster.nodes.names)
        if int(cluster.nodes.group[row]) in groups
    ]
    return frozenset((*change.lose_nodes, *tagged, *inside))


def _restart(usage: Usage, lost: set[str]) -> tuple[list[Restart], list[Lost]]:
    """Instances that ran on lost nodes, in the order of their restart."""
    cluster, instances = usage.cluster, usage.cluster.instances
    hit = [
        row
        for row in range(len(instances.names))
        if cluster.nodes.names[int(usage.primary[row])] in lost and instances.memory_used[row] > 0
    ]
    steps = Steps(usage)
    restarts: list[Restart] = []
    gone: list[Lost] = []
    for row in sorted(hit, key=lambda row: (not instances.mirrored[row], -instances.memory[row])):
        name = instances.names[row]
        if instances.mirrored[row]:
            kind, cols = FAILOVER, np.array([0])
        elif instances.shared[row] or cluster.facts.instances[row].template == "diskless":
            group = cluster.nodes.group == cluster.nodes.group[usage.primary[row]]
            kind, cols = ANY, np.flatnonzero(cluster.nodes.usable & group)
        else:
            gone.append(Lost(name, f"its disks are on {_home(usage, row)} only"))
            continue
        scores = steps.scores(row, kind, cols) if len(cols) else np.array([np.inf])
        best = int(scores.argmin())
        if not np.isfinite(scores[best]):
            gone.append(Lost(name, _no_room(usage, row, kind)))
            continue
        target = int(usage.secondary[row]) if kind == FAILOVER else int(cols[best])
        ignored = _overstepped(usage, row, target)
        steps.take(row, kind, target if kind == ANY else NOWHERE, float(scores[best]))
        how = cluster.nodes.names[target]
        restarts.append(
            Restart(
                instance=name,
                node=how,
                how="failover" if kind == FAILOVER else "start",
                ignored=ignored,
            )
        )
    return restarts, gone


def _home(usage: Usage, row: int) -> str:
    return usage.cluster.nodes.names[int(usage.primary[row])]


def _no_room(usage: Usage, row: int, kind: int) -> str:
    nodes = usage.cluster.nodes
    if kind == ANY:
        need = usage.items.takeover[row]
        return f"no node of its group has {need:.0f} MiB of memory left"
    mirror = int(usage.secondary[row])
    if not nodes.usable[mirror]:
        return f"its mirror on {nodes.names[mirror]} is lost or offline, too"
    whys = suit.refusals(suit.as_primary(usage, usage.item(row), False), mirror, "")
    said = "; ".join(one.text for one in whys) or "migration tags forbid it"
    return f"its mirror {nodes.names[mirror]} cannot run it: {said}"


def _overstepped(usage: Usage, row: int, target: int) -> tuple[Refusal, ...]:
    """The soft limits that a restart there breaks."""
    item = usage.item(row)
    home = int(usage.primary[row]), int(usage.secondary[row])
    usage.put(item, *home, -1)
    found = suit.refusals(suit.as_primary(usage, item, True), target, "")
    usage.put(item, *home, 1)
    return found


def _failing(usage: Usage) -> tuple[str, ...]:
    names = usage.cluster.nodes.names
    return tuple(names[row] for row in np.flatnonzero(usage.failing).tolist())
