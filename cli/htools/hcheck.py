"""``hcheck``: the health of a cluster in htools' counters, before and after balancing."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from cli.htools.source import Parser, cluster_of, ended
from clusterd.placement import check
from clusterd.placement.results import Check, GroupCheck

COUNTERS = (
    ("N1_FAIL", "Nodes not N+1 happy"),
    ("CONFLICT_TAGS", "Nodes with conflicting instances"),
    ("OFFLINE_PRI", "Instances having the primary node offline"),
    ("OFFLINE_SEC", "Instances having a secondary node offline"),
    ("GN1_FAIL", "Nodes not directly evacuateable"),
)


def counts(group: GroupCheck) -> dict[str, int]:
    """By the original's keys. Whether every node can be emptied is known, not how many cannot."""
    return {
        "N1_FAIL": len(group.n1_failing),
        "CONFLICT_TAGS": group.conflicting_tags,
        "OFFLINE_PRI": len(group.offline_primary),
        "OFFLINE_SEC": len(group.offline_secondary),
        "GN1_FAIL": int(not group.globally_n1),
    }


def sentences(found: Check, when: str) -> Iterator[str]:
    """For people."""
    total = dict.fromkeys((key for key, _words in COUNTERS), 0)
    for group in found.groups:
        mine = counts(group)
        yield f"\nStatistics for group {group.group} {when}"
        for key, words in COUNTERS:
            yield f"    {words}: {mine[key]}"
            total[key] += mine[key]
        yield f"    Group score: {group.score:.8f}"
    yield f"\nCluster statistics {when}"
    for key, words in COUNTERS:
        yield f"    {words}: {total[key]}"
    yield f"    Cluster is not healthy: {_rebalance(found)}"


def machine_lines(found: Check, phase: str) -> Iterator[str]:
    """For scripts."""
    total = dict.fromkeys((key for key, _words in COUNTERS), 0)
    for number, group in enumerate(found.groups):
        mine = counts(group)
        for key, _words in COUNTERS:
            yield f"HCHECK_{phase}_GROUP_{number}_{key}={mine[key]}"
            total[key] += mine[key]
        yield f"HCHECK_{phase}_GROUP_{number}_SCORE={group.score:.8f}"
    for key, _words in COUNTERS:
        yield f"HCHECK_{phase}_CLUSTER_{key}={total[key]}"
    yield f"HCHECK_{phase}_CLUSTER_NEED_REBALANCE={int(_rebalance(found))}"


def _rebalance(found: Check) -> bool:
    return any(group.needs_rebalance for group in found.groups)


def _run(asked: argparse.Namespace) -> int:
    cluster = cluster_of(asked)
    found = check.check(cluster, not asked.no_simulation)
    if asked.machine_readable == "yes":
        for number, group in enumerate(found.groups):
            print(f"HCHECK_GROUP_UUID_{number}='{group.uuid}'")
        for phase in ("INIT", "FINAL"):
            for line in machine_lines(found, phase):
                print(line)
        print("HCHECK_OK=1")
    else:
        if asked.no_simulation:
            print("Running in no-simulation mode.")
        for line in sentences(found, "initially"):
            print(line)
        for group in found.groups:
            if group.after is not None and group.after.moves:
                print(
                    f"\nRebalancing group {group.group} by {len(group.after.moves)} moves would"
                    f" bring its score to {group.after.score_after:.8f}"
                )
    return int(_rebalance(found))


def main() -> int:
    """The program."""
    parser = Parser("hcheck", "Check the health of a cluster.")
    parser.cluster_source()
    parser.tuning()
    add = parser.add_argument
    add("--no-simulation", action="store_true", help="do not balance")
    add("--machine-readable", nargs="?", const="yes", default="no", choices=("yes", "no"),
        help="lines for scripts")  # fmt: skip
    return ended(parser, _run)
