"""Find a mirror for an instance that has none: the primary stays."""

from __future__ import annotations

import numpy as np

from clusterd.placement import suit
from clusterd.placement.allocate import require_nodes
from clusterd.placement.errors import BadRequest
from clusterd.placement.model import NOWHERE, Cluster, Flags, Numbers
from clusterd.placement.options import Options, Request
from clusterd.placement.pairs import Scores
from clusterd.placement.placer import Placer
from clusterd.placement.requests import item_of
from clusterd.placement.results import Allocation, NodeVerdict, Refusal
from clusterd.placement.suit import Test
from clusterd.placement.usage import MEMORY, Item


def allocate_secondary(
    cluster: Cluster, instance: str, options: Options | None = None
) -> Allocation:
    """The best mirror for an instance that has none yet, in its primary's group. Raises
    BadRequest."""
    options = options or Options()
    require_nodes(cluster, options)
    number = cluster.instance(instance)
    if cluster.instances.secondary[number] != NOWHERE:
        raise BadRequest(f"Instance {instance} has a secondary node already")
    placer = Placer(cluster, options)
    primary = int(cluster.instances.primary[number])
    item = _mirrored(placer.usage.item(number), cluster, number)
    placer.usage.put(placer.usage.item(number), primary, NOWHERE, -1)
    return _second(placer, instance, item, primary)


def _mirrored(item: Item, cluster: Cluster, number: int) -> Item:
    """The item as it would be with a mirror."""
    request = Request(
        name="",
        memory_mib=int(cluster.instances.memory[number]),
        vcpus=int(cluster.instances.vcpus[number]),
        disk_sizes_mib=(),
        disk_mib=cluster.facts.instances[number].disk_mib,
        spindle_use=cluster.facts.instances[number].spindle_use,
    )
    like = item_of(cluster, request)
    return item._replace(primary=like.primary, secondary=like.secondary, reserve=like.reserve)


def _second(placer: Placer, name: str, item: Item, primary: int) -> Allocation:
    """The best of all pairs with that primary."""
    usage, nodes = placer.usage, placer.nodes
    group: Flags = nodes.group == nodes.group[primary]
    tests = suit.as_secondary(usage, item)
    fits = suit.allowed(tests, len(nodes.names)) & placer.allowed & group
    fits[primary] = False
    rows, scores = np.arange(len(nodes.names)), Scores(usage, item)
    kept = scores.kept(np.array([primary]), rows)[0]
    fits &= (usage.amounts[MEMORY] > kept) | usage.failing
    best = np.where(fits, scores.pairs(np.array([primary]), rows)[0], np.inf)
    node = int(best.argmin())
    chosen = bool(np.isfinite(best[node]))
    answers = [
        _verdict(placer, row, best, _why(placer, row, primary, tests) if not fits[row] else ())
        for row in np.flatnonzero(group).tolist()
    ]
    if chosen:
        at = [one.node for one in answers].index(nodes.names[node])
        answers[at] = NodeVerdict(
            node=answers[at].node,
            group=answers[at].group,
            verdict="chosen",
            role="secondary",
            score=float(best[node]),
        )
    return Allocation(
        name=name,
        nodes=(nodes.names[node],) if chosen else (),
        group=placer.cluster.facts.groups[int(nodes.group[primary])].uuid,
        score=float(best[node]) if chosen else None,
        successes=int(fits.sum()),
        verdicts=tuple(answers),
        info=f"Chose {nodes.names[node]}" if chosen else f"No node can mirror {name}",
    )


def _why(placer: Placer, row: int, primary: int, tests: list[Test]) -> tuple[Refusal, ...]:
    if row == primary:
        return (Refusal("own_node", "it is the primary node"),)
    if not placer.allowed[row]:
        return (placer.not_considered(row),)
    return suit.refusals(tests, row, "") or (
        Refusal("n1", "not N+1: it could not keep the memory of the instance in reserve"),
    )


def _verdict(placer: Placer, row: int, best: Numbers, why: tuple[Refusal, ...]) -> NodeVerdict:
    group = placer.cluster.facts.groups[int(placer.nodes.group[row])]
    return NodeVerdict(
        node=placer.nodes.names[row],
        group=group.name,
        verdict="refused" if why else "fits",
        score=None if why else float(best[row]),
        refusals=why,
    )
