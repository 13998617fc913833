"""``hcheck``: the health of a cluster in htools' counters, before and after balancing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import msgspec

from cli.htools import tables
from cli.htools.parser import Parser
from cli.htools.source import balancing, cluster_of, ended
from clusterd.placement import balance
from clusterd.placement.model import NOWHERE, Cluster
from clusterd.placement.part import only_group
from clusterd.placement.redundancy import stuck_nodes
from clusterd.placement.score import components_of, weighed
from clusterd.placement.usage import Usage

COUNTERS = {
    "N1_FAIL": "Nodes not N+1 happy",
    "CONFLICT_TAGS": "Nodes with conflicting instances",
    "OFFLINE_PRI": "Instances having the primary node offline",
    "OFFLINE_SEC": "Instances having a secondary node offline",
    "GN1_FAIL": "Nodes not directly evacuateable",
}


class Health(msgspec.Struct, frozen=True):
    """Of one group."""

    group: str
    counts: dict[str, int]
    """By the original's keys."""
    score: float


def health(name: str, usage: Usage, capacity: bool) -> Health:
    """``capacity``: whether each node can be emptied counts, too. What the original calls instances
    with an offline secondary is its number of offline nodes; scripts get the same."""
    found = components_of(usage)
    usable = usage.cluster.nodes.usable
    counts = {
        "N1_FAIL": int(usage.failing.sum()),
        "CONFLICT_TAGS": int((usage.tags > 1).any(axis=0).sum()),
        "OFFLINE_PRI": int((usage.real & ~usable[usage.primary]).sum()),
        "OFFLINE_SEC": int((~usable).sum()),
    }
    if capacity:
        counts["GN1_FAIL"] = stuck_nodes(usage)
    return Health(name, counts, weighed(found))


def total(groups: list[Health]) -> dict[str, int]:
    """Of the cluster."""
    keys = groups[0].counts if groups else ()
    return {key: sum(group.counts[key] for group in groups) for key in keys}


def ill(groups: list[Health]) -> bool:
    """Whether anything is counted. What it was before balancing is told after it, too."""
    return any(total(groups).values())


def sentences(groups: list[Health], needed: bool, when: str) -> Iterator[str]:
    """For people."""
    for group in groups:
        yield f"\nStatistics for group {group.group} {when}"
        for key, count in group.counts.items():
            yield f"    {COUNTERS[key]}: {count}"
        yield f"    Group score: {group.score:.8f}"
    yield f"\nCluster statistics {when}"
    for key, count in total(groups).items():
        yield f"    {COUNTERS[key]}: {count}"
    yield f"    Cluster is not healthy: {needed}"


def machine_lines(groups: list[Health], needed: bool, phase: str) -> Iterator[str]:
    """For scripts."""
    for number, group in enumerate(groups):
        for key, count in group.counts.items():
            yield f"HCHECK_{phase}_GROUP_{number}_{key}={count}"
        yield f"HCHECK_{phase}_GROUP_{number}_SCORE={group.score:.8f}"
    for key, count in total(groups).items():
        yield f"HCHECK_{phase}_CLUSTER_{key}={count}"
    yield f"HCHECK_{phase}_CLUSTER_NEED_REBALANCE={int(needed)}"


def _balanced(asked: argparse.Namespace, cluster: Cluster, usages: list[Usage]) -> None:
    """Move all groups to where ``hbal`` would bring them."""
    for group, usage in zip(cluster.facts.groups, usages, strict=True):
        numbers, nodes = usage.cluster.instance_number, usage.cluster.node_number
        for move in balance.balance(cluster, balancing(asked, group.uuid)).moves:
            new = [nodes[name] for name in move.new] + [NOWHERE]
            usage.move(numbers[move.instance], new[0], new[1])


def _run(asked: argparse.Namespace) -> int:
    cluster = cluster_of(asked)
    for line in tables.missing(tables.State(cluster, Usage(cluster))):
        print(line, file=sys.stderr)
    names = [group.name for group in cluster.facts.groups]
    usages = [Usage(only_group(cluster, number)) for number in range(len(names))]

    def look() -> list[Health]:
        pairs = zip(names, usages, strict=True)
        return [health(name, usage, not asked.no_capacity_checks) for name, usage in pairs]

    before = after = look()
    needed = ill(before)
    simulated = needed and not asked.no_simulation
    if simulated:
        _balanced(asked, cluster, usages)
        after = look()
    if asked.machine_readable == "yes":
        _print_machine(cluster, before, after)
    else:
        _print_people(asked, before, after if simulated else None)
    return int(simulated)


def _print_machine(cluster: Cluster, before: list[Health], after: list[Health]) -> None:
    for number, group in enumerate(cluster.facts.groups):
        print(f"HCHECK_GROUP_UUID_{number}='{group.uuid}'")
    for groups, phase in ((before, "INIT"), (after, "FINAL")):
        for line in machine_lines(groups, ill(before), phase):
            print(line)
    print("HCHECK_OK=1")


def _print_people(
    asked: argparse.Namespace, before: list[Health], after: list[Health] | None
) -> None:
    if asked.no_simulation:
        print("Running in no-simulation mode.")
    elif after is None:
        print("No need to rebalance cluster, no problems found.")
    else:
        print("Cluster needs rebalancing.")
    for groups, when in ((before, "initially"), (after, "after rebalancing")):
        for line in sentences(groups, ill(before), when) if groups is not None else ():
            print(line)


def main() -> int:
    """The program."""
    parser = Parser("hcheck", "Check the health of a cluster.")
    parser.cluster_source()
    parser.tuning()
    parser.balancing()
    add = parser.add_argument
    add("--no-simulation", action="store_true", help="do not balance")
    add("--no-capacity-checks", action="store_true", help="ignore whether nodes can be emptied")
    add("--machine-readable", nargs="?", const="yes", default="no", choices=("yes", "no"),
        help="lines for scripts")  # fmt: skip
    return ended(parser, _run)
