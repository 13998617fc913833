"""``hscan``: write the state of clusters to files that the other tools read, and a line on each.

Decided here: a cluster that cannot be read is told and the others are still written; the exit code
says so (2, as the original's).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.htools import tables
from cli.htools.parser import Parser
from cli.htools.source import ended, facts_of
from clusterd.placement import model, text_format
from clusterd.placement.facts import ClusterFacts
from clusterd.placement.score import total
from clusterd.placement.usage import Usage
from jobqueue.errors import Refused

LOCAL = "LOCAL"
HEADS = ("Nodes", "Inst", "BNode", "BInst")
SUMS = ("t_mem", "f_mem", "t_disk", "f_disk")
GIB = 1024
FAILED = 2


def head(width: int) -> str:
    """The line above the clusters."""
    counts = " ".join(f"{word:>5}" for word in HEADS)
    sums = " ".join(f"{word:>6}" for word in SUMS)
    return f"{'Name':<{width}} {counts} {sums} {'Score':>10}"


def line(name: str, width: int, facts: ClusterFacts) -> str:
    """One cluster in numbers: nodes, instances, those that fail N+1, memory (MiB), disk (GiB)."""
    cluster = model.build(facts)
    bad, there = tables.State(cluster, Usage(cluster)).bad()
    sums = (
        sum(one.memory_total_mib for one in facts.nodes),
        sum(one.memory_free_mib for one in facts.nodes),
        round(sum(one.disk_total_mib for one in facts.nodes) / GIB),
        sum(one.disk_free_mib for one in facts.nodes) // GIB,
    )
    counts = (len(facts.nodes), len(facts.instances), bad, there)
    told = " ".join([*(f"{one:5d}" for one in counts), *(f"{one:6d}" for one in sums)])
    return f"{name:<{width}} {told} {total(cluster):.8f}"


def file_of(directory: str, name: str) -> Path:
    """Where a cluster is written."""
    return Path(directory) / f"{name.replace('/', '_')}.data"


def _run(asked: argparse.Namespace) -> int:
    names = asked.clusters or [LOCAL]
    width = max(map(len, names))
    if not asked.no_headers:
        print(head(width))
    failed = False
    for name in names:
        asked.master = None if name == LOCAL else name
        asked.luxi = (asked.socket or "") if name == LOCAL else None
        try:
            facts = facts_of(asked)
            told = line(name, width, facts)
            file_of(asked.output_dir, name).write_text(text_format.render(facts), "utf-8")
        except (Refused, OSError) as error:
            print(f"\nError for {name}: failed to load data. Details:\n{error}")
            failed = True
            continue
        print(told)
        if asked.print_nodes is not None:
            cluster = model.build(facts)
            state = tables.State(cluster, Usage(cluster))
            print("\n".join(tables.node_table(state, asked.print_nodes)))
    return FAILED if failed else 0


def main() -> int:
    """The program."""
    parser = Parser("hscan", "Write the state of clusters to files, and show a line on each.")
    parser.tables(instances=False)
    parser.static_memory()
    add = parser.add_argument
    add("-d", "--output-dir", default=".", metavar="PATH", help="where the files are written")
    add("-L", "--luxi", dest="socket", nargs="?", const="", metavar="SOCKET",
        help="the socket of the master daemon here")  # fmt: skip
    add("--no-headers", action="store_true", help="no line above the clusters")
    add("clusters", nargs="*", metavar="CLUSTER", help="remote APIs; none: the master here")
    return ended(parser, _run)
