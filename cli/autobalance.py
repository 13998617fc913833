"""``gnt-cluster balance --auto`` and ``--history``: the rules by which the master keeps the cluster
even by itself, and what it has done.

Decided here: rules that are not named stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from cli import jobs
from cli.command import Call
from cli.exits import CommandError, Exit
from cli.notation import split
from cli.output import unit

RULES = {
    "begin_gain": "begin_gain",
    "end_gain": "end_gain",
    "min_gain": "least_gain",
    "round_pause": "round_pause_s",
    "instance_pause": "instance_pause_s",
    "max_moves": "max_moves",
    "cost": "cost_per_gib",
    "timezone": "timezone",
}
"""Option -> rule that takes its value."""

ONLY_AUTO = ("begin_gain", "end_gain", "round_pause", "instance_pause", "quiet_hours", "timezone",
             "disk_moves")  # fmt: skip
NEVER_AUTO = ("plan", "apply", "evac_mode", "no_instance_moves", "node_group", "max_time")
LAST_ROUNDS = 5


def is_meant(call: Call) -> bool:
    """Whether the master is to be told or asked; refuses rules that would be ignored."""
    meant = bool(call.given("auto") or call.given("history"))
    stray = [name for name in ONLY_AUTO if call.given(name) is not None and call.given(name)]
    if stray and call.given("auto") != "on":
        raise CommandError(f"--{stray[0].replace('_', '-')} goes with --auto on")
    return meant


def run(call: Call) -> int:
    """``gnt-cluster balance --auto on|off|status`` and ``--history``"""
    wrong = [name for name in NEVER_AUTO if call.given(name)]
    if wrong:
        asked = "--auto" if call.given("auto") else "--history"
        raise CommandError(f"--{wrong[0].replace('_', '-')} does not go with {asked}")
    if call.given("auto") and call.given("history"):
        raise CommandError("Only one of --auto and --history can be given")
    if call.given("auto") in ("on", "off"):
        body = {"OP_ID": "OP_CLUSTER_SET_PARAMS", "balancing": _given(call)}
        jobs.submit_or_run(call, body)
        return Exit.SUCCESS
    answer = call.session.door.call("QueryBalancing")
    if call.given("history"):
        lines = [line for one in answer["rounds"] for line in told(one, moves=True)]
        lines = lines or ["Nothing was done yet"]
    else:
        lines = status(answer)
    for line in lines:
        call.session.out(line)
    return Exit.SUCCESS


def _given(call: Call) -> dict[str, Any]:
    if call.given("auto") == "off":
        return {"enabled": False}
    if call.given("disk_moves") and call.given("no_disk_moves"):
        raise CommandError("Only one of --disk-moves and --no-disk-moves can be given")
    rules: dict[str, Any] = {"enabled": True}
    for option, rule in RULES.items():
        if call.given(option) is not None:
            rules[rule] = call.given(option)
    hours = call.given("quiet_hours")
    if hours is not None:
        rules["quiet_hours"] = [] if hours in ("none", "") else split(hours)
    if call.given("disk_moves") or call.given("no_disk_moves"):
        rules["disk_moves"] = bool(call.given("disk_moves"))
    return rules


def status(answer: Mapping[str, Any]) -> list[str]:
    """Rules, what it does or waits for, and the last rounds."""
    rules = answer["rules"]
    hours = f"{', '.join(rules['quiet_hours'])} ({rules['timezone']})"
    disks = f"yes, at {rules['cost_per_gib']:g} a GiB" if rules["disk_moves"] else "no"
    lines = [
        f"Automatic balancing: {'on' if rules['enabled'] else 'off'}",
        f"  State: {answer['state']}",
        f"  Begins at a gain of: {rules['begin_gain']:g}",
        f"  Goes on at a gain of: {rules['end_gain']:g}",
        f"  Least gain of a move: {rules['least_gain']:g}",
        f"  Moves in a round: {rules['max_moves']}",
        f"  Pause between rounds: {rules['round_pause_s']:g}s",
        f"  Pause of an instance: {rules['instance_pause_s']:g}s",
        f"  Copies disks: {disks}",
        f"  Quiet hours: {hours if rules['quiet_hours'] else 'none'}",
    ]
    rounds = answer["rounds"][-LAST_ROUNDS:]
    return lines + [f"  {line}" for one in rounds for line in told(one, moves=False)]


def told(one: Mapping[str, Any], *, moves: bool) -> list[str]:
    """One round for people."""
    after = one["score_after"]
    found = f"found {after:.6f}" if after is not None else "under way"
    if after is None and one["ended"] is not None:
        found = "ended"
    failed = f", {len(one['failed'])} failed" if one["failed"] else ""
    head = (
        f"Round {one['number']} {_local(one['began'])} {one['group']}:"
        f" score {one['score_before']:.6f} -> {one['score_planned']:.6f} planned, {found};"
        f" {len(one['moves'])} moves, {len(one['jobs'])} jobs{failed}"
    )
    if not moves:
        return [head]
    numbers = ", ".join(map(str, one["jobs"]))
    lines = [head, f"  Reason: {one['reason']}", f"  Jobs: {numbers}"]
    if one["failed"]:
        lines.append(f"  Failed: {', '.join(map(str, one['failed']))}")
    return lines + [f"  {_move(move)}" for move in one["moves"]]


def _move(move: Mapping[str, Any]) -> str:
    copies = f", copies {unit(move['copied_mib'], 'h')}" if move["copied_mib"] else ""
    route = f"{':'.join(move['old'])} => {':'.join(move['new'])}"
    return f"{move['instance']}: {route} (gain {move['gain']:.6f}{copies})"


def _local(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
