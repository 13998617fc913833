"""Find places for new instances: the group by its policy, the nodes by the score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import ALLOC_POLICIES, ClusterFacts, GroupFacts
from clusterd.placement.model import Cluster, Flags
from clusterd.placement.options import Options, Request
from clusterd.placement.placer import Found, Placer
from clusterd.placement.requests import item_of, knows, policy_faults, require_possible
from clusterd.placement.results import Allocation, MultiAllocation, NodeVerdict, Refusal


def allocate(cluster: Cluster, request: Request, options: Options | None = None) -> Allocation:
    """The best node, or pair for a mirrored template. Raises BadRequest for an impossible request;
    one that fits nowhere has an answer without nodes."""
    return multi_allocate(cluster, [request], options).allocations[0]


def multi_allocate(
    cluster: Cluster, requests: Sequence[Request], options: Options | None = None
) -> MultiAllocation:
    """One after the other; each counts with those before it. Raises BadRequest."""
    options = options or Options()
    asked: set[str] = set()
    for request in requests:
        require_possible(request)
        if request.name in asked:
            raise BadRequest(f"Instance {request.name} is asked for twice")
        asked.add(request.name)
        if request.name in cluster.instance_number:
            raise BadRequest(f"There is an instance {request.name} already")
        if request.group is not None:
            cluster.group_number(request.group)
    require_nodes(cluster, options)
    cluster = knows(cluster, requests)
    placer = Placer(cluster, options)
    return MultiAllocation(tuple(place(placer, request) for request in requests))


def require_nodes(cluster: Cluster, options: Options) -> None:
    """Raise BadRequest for an unknown node among those allowed."""
    for name in options.restrict_to or ():
        cluster.node(name)


def place(placer: Placer, request: Request) -> Allocation:
    """Find a place and take it."""
    item = item_of(placer.cluster, request)
    closed = {
        number: why
        for number in range(len(placer.cluster.facts.groups))
        if (why := _closed(placer.cluster, request, number)) is not None
    }
    searched: dict[int, Found] = {}
    for number in range(len(placer.cluster.facts.groups)):
        if number not in closed:
            searched[number] = placer.find(item, placer.nodes.group == number)
    fitting = [number for number, found in searched.items() if found.nodes]
    best = min(fitting, key=lambda number: _rank(placer.cluster, searched, number), default=None)
    answer = _answer(placer, request, (searched, closed), best)
    if best is not None:
        placer.put(item, searched[best].nodes)
    return answer


def _rank(cluster: Cluster, searched: dict[int, Found], number: int) -> tuple[int, float]:
    policy = cluster.facts.groups[number].alloc_policy
    return ALLOC_POLICIES.index(policy), searched[number].score


def _closed(cluster: Cluster, request: Request, number: int) -> Refusal | None:
    """Why no node of a group is considered."""
    group = cluster.facts.groups[number]
    if request.group is not None:
        if request.group not in (group.name, group.uuid):
            return Refusal("group", f"group {group.name} was not asked for")
    elif group.alloc_policy == "unallocable":
        return Refusal("group", f"group {group.name} is unallocable")
    apart = unconnected(cluster.facts, group, request.networks)
    if apart is not None:
        return apart
    faults = policy_faults(cluster.policy(number), request)
    if faults:
        return Refusal("policy", f"policy of group {group.name}: " + "; ".join(faults))
    return None


def unconnected(facts: ClusterFacts, group: GroupFacts, networks: Sequence[str]) -> Refusal | None:
    """Why a group cannot take an instance with cards in these networks."""
    missing = [uuid for uuid in networks if uuid not in group.networks]
    if not missing:
        return None
    name = facts.network_names.get(missing[0], missing[0])
    return Refusal("network", f"group {group.name} is not connected to network {name}")


def _answer(
    placer: Placer,
    request: Request,
    outcome: tuple[dict[int, Found], dict[int, Refusal]],
    best: int | None,
) -> Allocation:
    searched, closed = outcome
    failures: Counter[str] = Counter()
    for found in searched.values():
        failures += found.failures
    for number, why in closed.items():
        failures[why.reason] += int((placer.nodes.group == number).sum())
    successes = sum(found.successes for found in searched.values())
    verdicts = _verdicts(placer, searched, closed, best) if placer.options.verdicts else ()
    told = ", ".join(f"{reason}: {count}" for reason, count in sorted(failures.items()))
    failed = sum(failures.values())
    if best is None:
        info = f"No place for {request.name}: {told or 'there are no usable nodes'}"
        return Allocation(name=request.name, failures=dict(failures), verdicts=verdicts, info=info)
    found, group = searched[best], placer.cluster.facts.groups[best]
    names = tuple(placer.nodes.names[node] for node in found.nodes)
    return Allocation(
        name=request.name,
        nodes=names,
        group=group.uuid,
        score=found.score,
        successes=successes,
        failures=dict(failures),
        verdicts=verdicts,
        info=(
            f"Group {group.name} ({group.alloc_policy}): score {found.score:.8f}, successes"
            f" {successes}, failures {failed} ({told}) for node(s) {'/'.join(names)}"
        ),
    )


def _verdicts(
    placer: Placer,
    searched: dict[int, Found],
    closed: dict[int, Refusal],
    best: int | None,
) -> tuple[NodeVerdict, ...]:
    answers: list[NodeVerdict] = []
    for number, group in enumerate(placer.cluster.facts.groups):
        among: Flags = placer.nodes.group == number
        if number in searched:
            found = searched[number]
            answers += placer.verdicts(found if number == best else _unchosen(found), among)
            continue
        answers += [
            NodeVerdict(
                node=placer.nodes.names[node],
                group=group.name,
                verdict="refused",
                refusals=(closed[number],),
            )
            for node in np.flatnonzero(among).tolist()
        ]
    return tuple(answers)


def _unchosen(found: Found) -> Found:
    """Of a group that was not taken."""
    return found._replace(nodes=())
