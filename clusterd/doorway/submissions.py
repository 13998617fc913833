"""Many jobs in one request, each with its own verdict.

Negative dependencies count back over the jobs of the request. A job that is refused takes those
that depend on it along; the offsets of the others are counted anew without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from clusterd.doorway.desk import Desk
from jobqueue.errors import Refused
from jobqueue.intake import check
from jobqueue.opcode import Opcode

Decoded = list[Opcode] | str
"""A job's opcodes, or why it is refused."""


async def submit_many(
    desk: Desk, submitter: str, jobs: Sequence[list[Any]], name: str
) -> list[Any]:
    """``[[true, number] | [false, sentence], ...]``; a drained or full queue raises. The same
    ``name`` submits once, if it is not empty."""
    verdicts = settle([_decode(desk, opcodes) for opcodes in jobs], desk.jobs.last_id + 1)
    accepted = [verdict for verdict in verdicts if not isinstance(verdict, str)]
    submitted = await desk.jobs.submit(accepted, submitter, name=name) if accepted else []
    numbers = iter(submitted)
    return [
        [False, verdict] if isinstance(verdict, str) else [True, next(numbers)]
        for verdict in verdicts
    ]


def settle(jobs: Sequence[Decoded], number: int = 1) -> list[Decoded]:
    """Verdicts in order: opcodes with offsets among the accepted jobs, or a sentence. ``number``:
    that of the first one that is accepted."""
    verdicts: list[Decoded] = []
    places: list[int | None] = []
    """Each job's place among the accepted ones."""
    taken = 0
    for job in jobs:
        verdict = job if isinstance(job, str) else _settled(job, places, taken, number)
        verdicts.append(verdict)
        refused = isinstance(verdict, str)
        places.append(None if refused else taken)
        taken += not refused
    return verdicts


def _settled(job: list[Opcode], places: list[int | None], own: int, number: int) -> Decoded:
    try:
        check(job, number + own)
    except Refused as refused:
        return refused.message
    opcodes = []
    for opcode in job:
        depends = []
        for target, statuses in opcode.depends or ():
            if target >= 0:
                depends.append((target, statuses))
                continue
            if len(places) + target < 0:
                return f"Depends on job {target}, but only {len(places)} came before it"
            place = places[len(places) + target]
            if place is None:
                return f"Depends on job {target}, which was refused"
            depends.append((place - own, statuses))
        if opcode.depends:
            opcode = msgspec.structs.replace(opcode, depends=tuple(depends))  # noqa: PLW2901
        opcodes.append(opcode)
    return opcodes


def _decode(desk: Desk, opcodes: list[Any]) -> Decoded:
    if not opcodes:
        return "A job needs at least one opcode"
    try:
        return [desk.registry.decode(opcode) for opcode in opcodes]
    except Refused as refused:
        return refused.message
