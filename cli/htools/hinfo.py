"""``hinfo``: what a cluster is like: N+1, the components of its score, groups."""

from __future__ import annotations

import argparse
import sys

import numpy as np

from cli.htools import tables
from cli.htools.parser import Parser
from cli.htools.source import cluster_of, ended, show_tables
from clusterd.placement import score
from clusterd.placement.model import NOWHERE, Cluster
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
    print(f"Loaded cluster tags: {','.join(facts.tags)}")
    print(
        f"Loaded {len(facts.nodes)} nodes, {len(facts.instances)} instances, {many} node"
        f" group{'' if many == 1 else 's'}"
    )
    _tell_split(cluster, asked.verbose)
    if asked.verbose > 1:
        _tell_groups(cluster)
    found = score.components(cluster)
    print("Cluster is N+1 happy" if not found["n1_cnt"] else "Cluster is N+1 unhappy")
    print("\n".join(coefficients(cluster)))
    print(f"Cluster score: {score.total(cluster):.8f}")
    return 0


def _tell_split(cluster: Cluster, verbose: int) -> None:
    """The instances with nodes in two groups, their names on the standard error."""
    one, group = cluster.instances, cluster.nodes.group
    apart = (one.secondary != NOWHERE) & (group[one.primary] != group[one.secondary])
    split = [one.names[row] for row in np.flatnonzero(apart).tolist()]
    if split:
        print("Found instances belonging to multiple node groups:")
    elif verbose > 1:
        print("No split instances found")
    for name in split:
        print(f"  {name}", file=sys.stderr)


def _tell_groups(cluster: Cluster) -> None:
    """Each group's health, as a table."""
    print("Node group information:")
    rows = [HEAD, *(_group_row(cluster, number) for number in range(len(cluster.facts.groups)))]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD))]
    for row in rows:
        cells = (
            f"{text:<{width}}" if title in LEFT else f"{text:>{width}}"
            for title, text, width in zip(HEAD, row, widths, strict=True)
        )
        print(f"   {' '.join(cells)}")


HEAD = ("Group", "Nodes", "Instances", "Bad_Nodes", "Bad_Instances", "N+1", "Score")
LEFT = ("Group", "N+1")


def _group_row(cluster: Cluster, number: int) -> tuple[str, ...]:
    usage, here = Usage(cluster), cluster.nodes.group == number
    failing = np.flatnonzero(usage.failing & here)
    own = here[usage.primary]
    held = np.isin(usage.primary, failing) | np.isin(usage.secondary, failing)
    return (
        cluster.facts.groups[number].name,
        str(int(here.sum())),
        str(int(own.sum())),
        str(len(failing)),
        str(int(held.sum())),
        str(not len(failing)),
        f"{score.weighed(score.components_of(usage, here)):.8f}",
    )


def main() -> int:
    """The program."""
    parser = Parser("hinfo", "Show what a cluster is like.")
    parser.cluster_source()
    parser.tables()
    parser.tuning()
    parser.monitoring(strict=False, xen=False)
    return ended(parser, _run)
