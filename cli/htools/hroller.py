"""``hroller``: which nodes can be rebooted together."""

from __future__ import annotations

import argparse

from cli.htools.parser import Parser
from cli.htools.source import cluster_of, ended
from clusterd.placement import reboots
from clusterd.placement.errors import BadRequest
from clusterd.placement.options import RebootOptions


def _run(asked: argparse.Namespace) -> int:
    cluster = cluster_of(asked)
    if not asked.force and not any(node.master for node in cluster.facts.nodes):
        raise BadRequest("No master node found (maybe not supported by backend).")
    plan = reboots.reboot_plan(
        cluster,
        RebootOptions(
            group=asked.group or "",
            node_tags=tuple(tag for tag in asked.node_tags.split(",") if tag),
            skip_non_redundant=asked.skip_non_redundant,
            ignore_non_redundant=asked.ignore_non_redundant,
            offline_maintenance=asked.offline_maintenance,
            full_evacuation=asked.full_evacuation,
            one_step_only=asked.one_step_only,
        ),
    )
    if asked.no_headers:
        pass
    elif asked.one_step_only:
        print("'First Reboot Group'")
    else:
        print("'Node Reboot Groups'")
    for number, batch in enumerate(plan.batches):
        print("\n".join(batch) if asked.one_step_only else ",".join(batch))
        if asked.print_moves:
            for move in plan.moves[number]:
                print(f"  {move.instance} {' '.join(move.new)}")
    return 0


def main() -> int:
    """The program."""
    parser = Parser("hroller", "Plan the reboots of nodes.")
    parser.cluster_source()
    parser.tuning()
    add = parser.add_argument
    add("-G", "--group", metavar="ID", help="only this node group")
    add("--no-headers", action="store_true", help="no line before the groups")
    add("--node-tags", default="", metavar="TAG,...", help="only nodes with one of these tags")
    add("--skip-non-redundant", action="store_true",
        help="leave out nodes whose instances cannot run elsewhere")  # fmt: skip
    add("--ignore-non-redundant", action="store_true", help="such instances may be down")
    add("--offline-maintenance", action="store_true", help="all instances are shut down")
    add("--full-evacuation", action="store_true", help="mirrors leave too")
    add("--one-step-only", action="store_true", help="only the first group")
    add("--print-moves", action="store_true", help="show what must move before")
    add("-f", "--force", action="store_true", help="also without a master node")
    return ended(parser, _run)
