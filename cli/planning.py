"""``gnt-cluster balance``: what to move so that the cluster is even, shown or carried out.

Decided here: the plan is computed in this process, on what the master knows at one moment; it is
carried out by jobs, each set waiting for the success of the one before, so that what fails stops
the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from cli import autobalance, jobs
from cli.command import Call, Session
from cli.exits import CommandError, Exit
from cli.output import unit
from clusterd.iallocator import moves
from clusterd.placement import balance, model
from clusterd.placement.facts import ClusterFacts
from clusterd.placement.options import BalanceOptions
from clusterd.placement.results import BalancePlan, Move


def live_facts(session: Session) -> ClusterFacts:
    """The cluster as its master knows it now."""
    return msgspec.convert(session.door.call("QueryPlacement"), type=ClusterFacts)


def until(session: Session, seconds: float | None) -> Callable[[], bool]:
    """Whether there is time left."""
    if seconds is None:
        return lambda: True
    deadline_ns = session.now_ns() + int(seconds * 1e9)
    return lambda: session.now_ns() < deadline_ns


def run_balance(call: Call) -> int:
    """``gnt-cluster balance``"""
    if autobalance.is_meant(call):
        return autobalance.run(call)
    if call.given("plan") and call.given("apply"):
        raise CommandError("Only one of --plan and --apply can be given")
    facts = live_facts(call.session)
    cluster = model.build(facts)
    asked = call.given("node_group")
    names = [asked] if asked else [group.name for group in facts.groups]
    keep_going = until(call.session, call.given("max_time"))
    plans = [balance.balance(cluster, _options(call, name), keep_going) for name in names]
    for plan in plans:
        for line in shown(plan):
            call.session.out(line)
    if not call.given("apply"):
        return Exit.SUCCESS
    if not any(plan.moves for plan in plans):
        return Exit.SUCCESS
    count = sum(len(plan.moves) for plan in plans)
    if not call.given("force") and not call.session.ask(f"Make these {count} moves?"):
        return Exit.CONFIRMATION
    return _apply(call, plans)


def _options(call: Call, group: str) -> BalanceOptions:
    return BalanceOptions(
        group=group,
        max_moves=call.given("max_moves"),
        disk_moves=not call.given("no_disk_moves"),
        instance_moves=not call.given("no_instance_moves"),
        evac_mode=bool(call.given("evac_mode")),
        min_gain=_or(call.given("min_gain"), 0.01),
        cost_per_gib=_or(call.given("cost"), 0.0),
    )


def _or(given: float | None, usual: float) -> float:
    return usual if given is None else given


def shown(plan: BalancePlan) -> list[str]:
    """A plan for people: sets that run together, each move with its gain and what it copies."""
    head = f"Group {plan.group}: score {plan.score_before:.6f}"
    if not plan.moves:
        return [f"{head}, nothing to move"]
    lines = [f"{head} -> {plan.score_after:.6f} by {len(plan.moves)} moves"
             f" in {len(plan.job_sets)} sets, copying {unit(plan.copied_mib, 'h')}"]  # fmt: skip
    for number, together in enumerate(plan.job_sets, 1):
        lines.append(f"  Set {number}:")
        lines += [f"    {_move_line(plan.moves[at])}" for at in together.moves]
    if plan.ended in ("time", "max_moves"):
        why = "time" if plan.ended == "time" else "number of moves"
        lines.append(f"  Stopped by the limit of {why}; more moves may help")
    return lines


def _move_line(move: Move) -> str:
    copies = f", copies {unit(move.copied_mib, 'h')}" if move.copied_mib else ""
    return (
        f"{move.instance}: {':'.join(move.old)} => {':'.join(move.new)}"
        f" ({' '.join(move.steps)}; gain {move.gain:.6f}{copies})"
    )


def job_bodies(plans: Sequence[BalancePlan]) -> list[tuple[str, list[dict[str, Any]]]]:
    """(instance, opcodes) of each job; jobs of a set depend on all of the set before."""
    return [job for plan in plans for job in moves.set_by_set(plan.moves, plan.job_sets)]


def _apply(call: Call, plans: Sequence[BalancePlan]) -> int:
    together = jobs.JobSet(call, verbose=True)
    for label, bodies in job_bodies(plans):
        together.queue(label, *bodies)
    return jobs.exit_code(together.finish())
