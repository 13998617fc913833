"""Rolling reboots: batches of nodes that may be down together.

Two nodes are kept apart when one mirrors the other, and (unless instances are shut down anyway)
when they have a secondary in common, which would have to take over for both. The batches are
colours of that graph, by the better of two orders: most neighbours first, and most constrained
first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clusterd.placement.evacuate import evacuate
from clusterd.placement.facts import INTERNAL_MIRROR, SHARED
from clusterd.placement.model import NOWHERE, Cluster
from clusterd.placement.options import Options, RebootOptions
from clusterd.placement.results import Evacuation, Move, RebootPlan

Graph = dict[int, set[int]]
ATTEMPTS = 24


def reboot_plan(cluster: Cluster, options: RebootOptions | None = None) -> RebootPlan:
    """The batches; raises BadRequest for an unknown group."""
    options = options or RebootOptions()
    skipped: list[tuple[str, str]] = []
    nodes = [row for row in _wanted(cluster, options) if _may_go(cluster, options, row, skipped)]
    batches = _master_last(cluster, _smallest(_graph(cluster, nodes, options)))
    names: list[tuple[str, ...]] = []
    moves: list[tuple[Move, ...]] = []
    for batch in batches:
        for part, plan in _emptied(cluster, batch, options, skipped):
            names.append(tuple(cluster.nodes.names[row] for row in part))
            moves.append(plan)
    if options.one_step_only:
        names, moves = names[:1], moves[:1]
    return RebootPlan(batches=tuple(names), moves=tuple(moves), skipped=tuple(skipped))


def _wanted(cluster: Cluster, options: RebootOptions) -> list[int]:
    group = cluster.group_number(options.group) if options.group else None
    tags = set(options.node_tags)
    return [
        row
        for row, fact in enumerate(cluster.facts.nodes)
        if cluster.nodes.usable[row]
        and (group is None or cluster.nodes.group[row] == group)
        and (not tags or tags & set(fact.tags))
    ]


def _may_go(
    cluster: Cluster, options: RebootOptions, node: int, skipped: list[tuple[str, str]]
) -> bool:
    """Whether no instance would go down that nobody allowed to."""
    if options.ignore_non_redundant or options.offline_maintenance:
        return True
    name = cluster.nodes.names[node]
    alone = [
        one.name
        for one in cluster.facts.instances
        if one.primary == name and one.template not in (INTERNAL_MIRROR, *SHARED, "diskless")
    ]
    if alone:
        why = f"instance {alone[0]} has its disks on this node only"
        skipped.append((name, why if not options.skip_non_redundant else "not redundant: " + why))
    return not alone


def _graph(cluster: Cluster, nodes: Sequence[int], options: RebootOptions) -> Graph:
    graph: Graph = {node: set() for node in nodes}
    under: dict[int, set[int]] = {}
    p, s = cluster.instances.primary, cluster.instances.secondary
    for row in np.flatnonzero(s != NOWHERE).tolist():
        one, other = int(p[row]), int(s[row])
        under.setdefault(other, set()).add(one)
        _join(graph, one, other)
    if not options.offline_maintenance:
        for primaries in under.values():
            for one in primaries:
                for other in primaries:
                    _join(graph, one, other)
    return graph


def _join(graph: Graph, one: int, other: int) -> None:
    if one != other and one in graph and other in graph:
        graph[one].add(other)
        graph[other].add(one)


def _smallest(graph: Graph) -> list[list[int]]:
    """The colouring with fewer colours."""
    by_degree = sorted(graph, key=lambda node: (-len(graph[node]), node))
    best = min((_in_order(graph, by_degree), _saturated(graph)), key=len)
    for attempt in range(ATTEMPTS):
        # Nodes of one colour beside each other: the number of colours cannot grow, and may shrink.
        ordered = sorted(best, key=len, reverse=True) if attempt % 2 else best[::-1]
        again = _in_order(graph, [node for batch in ordered for node in batch])
        best = again if len(again) <= len(best) else best
    return best


def _in_order(graph: Graph, order: Sequence[int]) -> list[list[int]]:
    colour: dict[int, int] = {}
    for node in order:
        colour[node] = _free(graph, colour, node)
    return _by_colour(colour)


def _saturated(graph: Graph) -> list[list[int]]:
    """Always the node whose neighbours have most colours."""
    colour: dict[int, int] = {}
    seen: dict[int, set[int]] = {node: set() for node in graph}
    left = set(graph)
    while left:
        node = min(left, key=lambda one: (-len(seen[one]), -len(graph[one]), one))
        left.remove(node)
        colour[node] = _free(graph, colour, node)
        for other in graph[node]:
            seen[other].add(colour[node])
    return _by_colour(colour)


def _free(graph: Graph, colour: dict[int, int], node: int) -> int:
    taken = {colour[other] for other in graph[node] if other in colour}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def _by_colour(colour: dict[int, int]) -> list[list[int]]:
    batches: list[list[int]] = [[] for _ in range(len(set(colour.values())))]
    for node in sorted(colour):
        batches[colour[node]].append(node)
    return batches


def _master_last(cluster: Cluster, batches: list[list[int]]) -> list[list[int]]:
    """The master goes down last: its batch is the last, and it the last of it."""

    def is_master(node: int) -> bool:
        return cluster.facts.nodes[node].master

    ordered = sorted(batches, key=lambda batch: any(map(is_master, batch)))
    return [sorted(batch, key=lambda node: (is_master(node), node)) for batch in ordered]


def _emptied(
    cluster: Cluster, batch: list[int], options: RebootOptions, skipped: list[tuple[str, str]]
) -> list[tuple[list[int], tuple[Move, ...]]]:
    """The batch with what must leave before; in parts if it cannot leave all at once."""
    if options.offline_maintenance:
        return [(batch, ())]
    plan = _leave(cluster, batch, options)
    if not plan.failed:
        return [(batch, plan.moves)]
    if len(batch) == 1:
        instance, why = plan.failed[0]
        skipped.append((cluster.nodes.names[batch[0]], f"instance {instance} cannot leave: {why}"))
        return []
    half = len(batch) // 2
    return _emptied(cluster, batch[:half], options, skipped) + _emptied(
        cluster, batch[half:], options, skipped
    )


def _leave(cluster: Cluster, batch: list[int], options: RebootOptions) -> Evacuation:
    """What is on shared storage, or with full evacuation what is mirrored as well; to nodes that
    stay up."""
    names = {cluster.nodes.names[row] for row in batch}
    others = Options(restrict_to=tuple(one for one in cluster.nodes.names if one not in names))
    facts = cluster.facts.instances
    shared = [
        one.name for one in facts if one.primary in names and one.template in (*SHARED, "diskless")
    ]
    if not options.full_evacuation:
        return evacuate(cluster, shared, "primary-only", others)
    mirrored = [
        one.name
        for one in facts
        if one.template == INTERNAL_MIRROR and {one.primary, one.secondary} & names
    ]
    return evacuate(cluster, [*shared, *mirrored], "all", others)
