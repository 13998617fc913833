"""From moves of a plan to the opcodes that carry them out, as Ganeti's hail writes them.

``f`` fails over (a running instance migrates), ``fa:node`` does so to any node, ``r:node`` gives a
new secondary. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clusterd.placement.results import Evacuation, JobSet, Move

Job = tuple[dict[str, Any], ...]


def opcodes(instance: str, steps: Sequence[str], *, early_release: bool = False) -> Job:
    """The opcodes of one move, in order."""
    return tuple(_opcode(instance, step, early_release) for step in steps)


def jobs(evacuation: Evacuation, *, early_release: bool = False) -> tuple[Job, ...]:
    """One job an instance, in the order in which instances first move."""
    steps: dict[str, list[str]] = {}
    for move in evacuation.moves:
        steps.setdefault(move.instance, []).extend(move.steps)
    return tuple(
        opcodes(instance, its, early_release=early_release) for instance, its in steps.items()
    )


def set_by_set(
    planned: Sequence[Move], job_sets: Sequence[JobSet]
) -> list[tuple[str, list[dict[str, Any]]]]:
    """(instance, opcodes) of each job; jobs of a set depend on the success of all of the set
    before, told by negative offset."""
    found: list[tuple[str, list[dict[str, Any]]]] = []
    before: list[int] = []
    for together in job_sets:
        mine = []
        for at in together.moves:
            move = planned[at]
            bodies = [dict(one) for one in opcodes(move.instance, move.steps)]
            place = len(found)
            if before:
                bodies[0]["depends"] = [[earlier - place, ["success"]] for earlier in before]
            mine.append(place)
            found.append((move.instance, bodies))
        before = mine
    return found


def _opcode(instance: str, step: str, early_release: bool) -> dict[str, Any]:
    letter, _, node = step.partition(":")
    if letter == "r":
        return {
            "OP_ID": "OP_INSTANCE_REPLACE_DISKS",
            "instance_name": instance,
            "early_release": early_release,
            "ignore_ipolicy": False,
            "mode": "replace_new_secondary",
            "disks": [],
            "remote_node": node,
        }
    target = {"target_node": node} if letter == "fa" else {}
    return {
        "OP_ID": "OP_INSTANCE_MIGRATE",
        "instance_name": instance,
        **target,
        "allow_runtime_changes": False,
        "ignore_ipolicy": False,
        "cleanup": False,
        "allow_failover": True,
        "ignore_hvversions": True,
    }


def commands(move: Move) -> list[str]:
    """The same for people: ``gnt-instance`` with its arguments."""
    over = "migrate" if move.running else "failover"
    found = []
    for step in move.steps:
        letter, _, node = step.partition(":")
        if letter == "r":
            found.append(f"replace-disks -n {node} {move.instance}")
        elif letter == "fa":
            found.append(f"{over} -f -n {node} {move.instance}")
        else:
            found.append(f"{over} -f {move.instance}")
    return found
