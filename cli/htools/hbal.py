"""``hbal``: moves that make one node group even, printed as the original prints them, or run."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.htools.source import Parser, cluster_of, ended, group_of
from clusterd.iallocator import moves
from clusterd.placement import balance, score, text_format
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import ClusterFacts
from clusterd.placement.model import Cluster
from clusterd.placement.options import BalanceOptions
from clusterd.placement.results import BalancePlan


def _run(asked: argparse.Namespace) -> int:
    cluster = cluster_of(asked)
    number = group_of(cluster, asked.group)
    group = cluster.facts.groups[number]
    _introduce(asked, cluster, number)
    initial = score.total(cluster, group.name)
    if initial < asked.min_score:
        print(
            f"Cluster is already well balanced (initial score {initial:.6g},\n"
            f"minimum score {asked.min_score:.6g}).\nNothing to do, exiting"
        )
        return 0
    if asked.verbose >= 0:
        print(f"Initial score: {initial:.8f}")
        print("Trying to minimize the CV...")
    plan = balance.balance(cluster, _options(asked, group.name))
    print("\n".join(solution(plan, asked.verbose)))
    if asked.print_commands is not None:
        text = "\n".join(commands(plan))
        if asked.print_commands:
            Path(asked.print_commands).write_text(f"#!/bin/sh\n\n{text}\n", "utf-8")
            print(f"The commands have been written to file '{asked.print_commands}'")
        else:
            print(f"\nCommands to run to reach the above solution:\n{text}")
    if asked.save_cluster:
        Path(f"{asked.save_cluster}.original").write_text(
            text_format.render(cluster.facts), "utf-8"
        )
        print(f"The cluster state has been written to file '{asked.save_cluster}.original'")
    return _execute(plan) if asked.exec_jobs and plan.moves else 0


def _introduce(asked: argparse.Namespace, cluster: Cluster, number: int) -> None:
    if asked.verbose < 0:
        return
    facts = cluster.facts
    uuid = facts.groups[number].uuid
    names = {node.name for node in facts.nodes if node.group == uuid}
    inside = [one for one in facts.instances if one.primary in names]
    print(f"Loaded {len(facts.nodes)} nodes, {len(facts.instances)} instances")
    print(f"Group size {len(names)} nodes, {len(inside)} instances")
    print(f"Selected node group: {facts.groups[number].name}")
    bad = _bad_nodes(cluster, facts, names)
    if asked.verbose > 0:
        print(
            f"Initial check done: {len(bad)} bad nodes,"
            f" {sum(one.primary in bad for one in inside)} bad instances."
        )


def _bad_nodes(cluster: Cluster, facts: ClusterFacts, names: set[str]) -> set[str]:
    """Nodes that cannot take over for another: less free memory than they keep for one."""
    kept: dict[str, dict[str, float]] = {}
    for row, one in enumerate(facts.instances):
        if one.secondary and one.auto_balance:
            mine = kept.setdefault(one.secondary, {})
            reserved = float(cluster.instances.memory_reserved[row])
            mine[one.primary] = mine.get(one.primary, 0.0) + reserved
    free = {node.name: node.memory_free_mib for node in facts.nodes if not node.offline}
    return {
        name
        for name in names
        if name in free and max(kept.get(name, {}).values(), default=0.0) > free[name]
    }


def _options(asked: argparse.Namespace, group: str) -> BalanceOptions:
    limit = asked.max_length
    return BalanceOptions(
        group=group,
        max_moves=None if limit is None or limit < 0 else limit,
        min_score=asked.min_score,
        min_gain=asked.min_gain,
        min_gain_limit=asked.min_gain_limit,
        disk_moves=not asked.no_disk_moves,
        instance_moves=not asked.no_instance_moves,
        evac_mode=asked.evac_mode,
        restricted_migration=asked.restricted_migration,
        select=tuple(one for one in asked.select_instances.split(",") if one),
        exclude=tuple(one for one in asked.exclude_instances.split(",") if one),
        ignore_soft_errors=asked.ignore_soft_errors,
    )


def solution(plan: BalancePlan, verbose: int) -> list[str]:
    """The moves in the original's columns, and how the score changed."""
    name = max((len(move.instance) for move in plan.moves), default=0)
    pair = 2 * max((len(n) for move in plan.moves for n in (*move.old, *move.new)), default=0) + 1
    lines = [
        f"  {number:3d}. {move.instance:<{name}} {':'.join(move.old):<{pair}} =>"
        f" {':'.join(move.new):<{pair}} {move.score:12.8f} a={' '.join(move.steps)}"
        for number, move in enumerate(plan.moves, 1)
    ]
    if plan.moves:
        lines.append(
            f"Cluster score improved from {plan.score_before:.8f} to {plan.score_after:.8f}"
        )
    else:
        lines.append("No solution found")
    if verbose > 0:
        lines.append(f"Solution length={len(plan.moves)}")
    return lines


def commands(plan: BalancePlan) -> list[str]:
    """The shell commands, job set by job set."""
    lines = []
    for number, together in enumerate(plan.job_sets, 1):
        count = len(together.moves)
        lines += ["  ", f"  echo jobset {number}, {count} jobs"]
        for place, at in enumerate(together.moves, 1):
            lines.append(f"    echo job {number}/{place}")
            lines += [f"    gnt-instance {words}" for words in moves.commands(plan.moves[at])]
    return lines


def _execute(plan: BalancePlan) -> int:
    from cli import jobs
    from cli.command import Call
    from cli.planning import job_bodies
    from cli.session import RealSession

    session = RealSession()
    try:
        call = Call(tool="hbal", name="balance", options={}, arguments=(), session=session)
        together = jobs.JobSet(call, verbose=True)
        for label, bodies in job_bodies([plan]):
            together.queue(label, *bodies)
        return jobs.exit_code(together.finish())
    finally:
        session.close()


def _checked(asked: argparse.Namespace) -> int:
    if asked.exec_jobs and asked.luxi is None:
        raise BadRequest("Execution of commands possible only on LUXI")
    return _run(asked)


def main() -> int:
    """The program."""
    parser = Parser("hbal", "Balance a node group.")
    parser.cluster_source()
    parser.tuning()
    add = parser.add_argument
    add("-G", "--group", metavar="ID", help="the node group")
    add("-C", "--print-commands", metavar="FILE", nargs="?", const="", help="print commands")
    add("-X", "--exec", dest="exec_jobs", action="store_true", help="submit jobs (with -L)")
    add("-S", "--save", dest="save_cluster", metavar="FILE", help="write FILE.original")
    add("-l", "--max-length", type=int, metavar="N", help="at most so many moves")
    add("-e", "--min-score", type=float, default=1e-9, metavar="EPSILON", help="good enough")
    add("-g", "--min-gain", type=float, default=0.01, metavar="DELTA", help="least gain of a move")
    add("--min-gain-limit", type=float, default=0.1, metavar="SCORE",
        help="below this score a move must gain --min-gain")  # fmt: skip
    add("--no-disk-moves", action="store_true", help="only failovers and migrations")
    add("--no-instance-moves", action="store_true", help="only new secondaries")
    add("-E", "--evac-mode", action="store_true", help="only what is on offline nodes")
    add("--restricted-migration", action="store_true", help="no failover onto a new secondary")
    add("--select-instances", default="", metavar="NAME,...", help="move only these")
    add("--exclude-instances", default="", metavar="NAME,...", help="never move these")
    add("--ignore-soft-errors", action="store_true", help="overstep soft limits")
    return ended(parser, _checked)
