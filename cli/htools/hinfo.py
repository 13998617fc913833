"""``hinfo``: what a cluster is like: N+1, the components of its score, groups."""

from __future__ import annotations

import argparse
import sys

from cli.htools import tables
from cli.htools.parser import Parser
from cli.htools.source import cluster_of, ended, show_tables
from clusterd.placement import score
from clusterd.placement.model import Cluster
from clusterd.placement.usage import Usage


def coefficients(cluster: Cluster) -> list[str]:
    """The table of the score's components."""
    found = score.components(cluster)
    width = max(len(f"{value:.8f}") for value in found.values()) + 1
    lines = ["Cluster coefficients:", f"   {'Field':<24}{'Value':>{width}} {'Weight':>6}"]
    for name, weight in score.WEIGHTS.items():
        shown = f"x{weight:.2f}"
        lines.append(f"   {name:<24}{found[name]:>{width}.8f} {shown:>6}")
    return lines


def _run(asked: argparse.Namespace) -> int:
    cluster = cluster_of(asked)
    facts = cluster.facts
    many = len(facts.groups)
    state = tables.State(cluster, Usage(cluster))
    for line in tables.missing(state):
        print(line, file=sys.stderr)
    show_tables(asked, state, "")
    if asked.verbose > 0:
        print(f"Loaded cluster tags: {','.join(facts.tags)}")
        print(
            f"Loaded {len(facts.nodes)} nodes, {len(facts.instances)} instances, {many} node"
            f" group{'' if many == 1 else 's'}"
        )
    found = score.components(cluster)
    print("Cluster is N+1 happy" if not found["n1_cnt"] else "Cluster is N+1 unhappy")
    print("\n".join(coefficients(cluster)))
    print(f"Cluster score: {score.total(cluster):.8f}")
    if asked.verbose > 1:
        print("\n".join(_groups(cluster)))
    return 0


def _groups(cluster: Cluster) -> list[str]:
    lines = ["Node groups:"]
    for number, group in enumerate(cluster.facts.groups):
        nodes = int((cluster.nodes.group == number).sum())
        lines.append(f"  {group.name} {group.uuid} {group.alloc_policy} {nodes} nodes")
    return lines


def main() -> int:
    """The program."""
    parser = Parser("hinfo", "Show what a cluster is like.")
    parser.cluster_source()
    parser.tables()
    parser.tuning()
    parser.monitoring(strict=False, xen=False)
    return ended(parser, _run)
