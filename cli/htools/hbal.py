"""``hbal``: moves that make one node group even, printed as the original prints them, or run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cli.htools import filled, tables
from cli.htools.parser import Parser
from cli.htools.source import balancing, cluster_of, ended, group_of, show_tables
from cli.spelling import PRIORITIES
from clusterd.iallocator import moves
from clusterd.names import SOFTWARE_VERSION
from clusterd.placement import balance, score, text_format
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import ClusterFacts
from clusterd.placement.part import only_group
from clusterd.placement.results import BalancePlan, Move
from clusterd.placement.usage import Usage

ALL_COMMANDS = "Commands to run to reach the above solution:"


def _run(asked: argparse.Namespace) -> int:
    cluster = cluster_of(asked)
    number = group_of(cluster, asked.group)
    group = cluster.facts.groups[number]
    state = tables.State(cluster, Usage(only_group(cluster, number)))
    _introduce(asked, state, group.name)
    for line in tables.missing(tables.State(cluster, Usage(cluster))):
        print(line, file=sys.stderr)
    if asked.save_cluster:
        _save(f"{asked.save_cluster}.original", cluster.facts, "before")
    show_tables(asked, state, "Initial")
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
    plan = balance.balance(cluster, balancing(asked, group.uuid))
    moves_of_all = plan.moves
    shown = msgspec.structs.replace(plan, moves=called(plan.moves, state.short))
    print("\n".join(solution(shown, state.widths(), asked.verbose)))
    if asked.first_job_group:
        plan, shown = _first_set(plan), _first_set(shown)
    if asked.print_commands is not None:
        text = "\n".join(commands(shown))
        if asked.print_commands:
            Path(asked.print_commands).write_text(f"#!/bin/sh\n\n{text}\n", "utf-8")
            print(f"The commands have been written to file '{asked.print_commands}'")
        else:
            title = "First set of jobs:" if asked.first_job_group else ALL_COMMANDS
            print(f"\n{title}\n{text}")
    state.apply(moves_of_all)
    if asked.save_cluster:
        _save(f"{asked.save_cluster}.balanced", filled.moved(state), "after")
    show_tables(asked, state, "Final")
    return _execute(plan, asked) if asked.exec_jobs and plan.moves else 0


def _first_set(plan: BalancePlan) -> BalancePlan:
    return msgspec.structs.replace(plan, job_sets=plan.job_sets[:1])


def _save(path: str, facts: ClusterFacts, when: str) -> None:
    Path(path).write_text(text_format.render(facts), "utf-8")
    print(f"The cluster state {when} balancing has been written to file '{path}'", file=sys.stderr)


def _introduce(asked: argparse.Namespace, state: tables.State, group: str) -> None:
    if asked.verbose < 0:
        return
    facts, usage = state.whole.facts, state.usage
    print(f"Loaded {len(facts.nodes)} nodes, {len(facts.instances)} instances")
    print(f"Group size {len(usage.failing)} nodes, {len(usage.primary)} instances")
    print(f"Selected node group: {group}")
    bad, there = state.bad()
    if asked.verbose > 0:
        print(f"Initial check done: {bad} bad nodes, {there} bad instances.")
    if bad:
        print(
            "Cluster is not N+1 happy, continuing but no guarantee that the cluster will end"
            " N+1 happy."
        )
    if broken := state.breaking():
        print(
            f"The cluster contains {broken} policy-violating nodes.\nContinuing, but the set of"
            " moves might be too restricted; consider using the --ignore-soft-errors option."
        )


def called(moves: tuple[Move, ...], short: dict[str, str]) -> tuple[Move, ...]:
    """The moves with the names that people see."""

    def step(word: str) -> str:
        letters, colon, node = word.partition(":")
        return letters + colon + short.get(node, node)

    return tuple(
        msgspec.structs.replace(
            move,
            instance=short[move.instance],
            old=tuple(short[name] for name in move.old),
            new=tuple(short[name] for name in move.new),
            steps=tuple(map(step, move.steps)),
        )
        for move in moves
    )


def solution(plan: BalancePlan, widths: tuple[int, int], verbose: int) -> list[str]:
    """The moves in the original's columns, and how the score changed. ``widths`` of the longest
    name of an instance and of a node."""
    name, pair = widths[0], 2 * widths[1] + 1
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


def _execute(plan: BalancePlan, asked: argparse.Namespace) -> int:
    from cli import jobs
    from cli.command import Call
    from cli.planning import job_bodies
    from cli.session import RealSession

    session = RealSession()
    try:
        options = {
            "reason": asked.reason or f"hbal {SOFTWARE_VERSION} called",
            "priority": None if asked.priority is None else PRIORITIES[asked.priority],
        }
        call = Call(tool="hbal", name="balance", options=options, arguments=(), session=session)
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
    parser.tables()
    parser.tuning()
    parser.balancing()
    parser.monitoring()
    add = parser.add_argument
    add("-G", "--group", metavar="ID", help="the node group")
    add("-C", "--print-commands", metavar="FILE", nargs="?", const="", help="print commands")
    add("-X", "--exec", dest="exec_jobs", action="store_true", help="submit jobs (with -L)")
    add("--first-job-group", action="store_true", help="only the first set of jobs")
    add("--reason", help="why the jobs are submitted")
    add("--priority", choices=tuple(PRIORITIES), help="of the jobs")
    add(
        "-S",
        "--save",
        dest="save_cluster",
        metavar="FILE",
        help="write FILE.original and FILE.balanced",
    )
    return ended(parser, _checked)
