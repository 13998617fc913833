"""Jobs as they are queried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from clusterd.queries.field import (
    UNAVAILABLE,
    Cell,
    Field,
    Resource,
    Value,
    by_name,
    normal,
    present,
)
from clusterd.queries.sources import Sources
from jobqueue.job import timestamp
from jobqueue.journal import Known
from jobqueue.live import Job
from jobqueue.opcode import OP_ID, Opcode

SECRETS = ("osparams_private", "osparams_secret")
REDACTED = "<redacted>"
ALWAYS_SHOWN = ("depends", "comment")
"""Parameters that are shown although they are null."""


class Missing(msgspec.Struct, frozen=True):
    """Stands for a job that was asked for by number and is not there."""

    id: int


def shown(opcode: Opcode) -> dict[str, Any]:
    """An opcode as users see it: what is null left out, secrets blackened."""
    fields: dict[str, Any] = msgspec.to_builtins(opcode)
    visible = {
        name: value for name, value in fields.items() if value is not None or name in ALWAYS_SHOWN
    }
    for name in SECRETS:
        if isinstance(visible.get(name), dict):
            visible[name] = dict.fromkeys(visible[name], REDACTED)
    visible[OP_ID] = opcode.op_id()
    return visible


def _log(job: Job) -> list[Any]:
    return [
        [[entry.serial, timestamp(entry.time), entry.kind, entry.text] for entry in job.logs(index)]
        for index in range(len(job.opcodes))
    ]


def _of(get: Callable[[Job], Any]) -> Value:
    def value(_sources: Sources, job: Job | Missing) -> Cell:
        return UNAVAILABLE if isinstance(job, Missing) else present(get(job))

    return value


def _each(get: Callable[[Known], Any]) -> Value:
    return _of(lambda job: [get(known) for known in job.known])


FIELDS = (
    Field("id", "ID", "number", "Number of the job", lambda _s, job: normal(job.id)),
    Field("status", "Status", "text", "How far it is", _of(lambda j: str(j.status))),
    Field("priority", "Priority", "number", "Smaller runs first", _of(lambda j: j.priority)),
    Field("archived", "Archived", "bool", "Whether it is archived", _of(lambda j: j.archived)),
    Field("summary", "Summary", "other", "What it does", _of(lambda j: j.summary)),
    Field("ops", "OpCodes", "other", "Opcodes", _of(lambda j: [shown(o) for o in j.opcodes])),
    Field("opresult", "OpCode_result", "other", "Results", _each(lambda known: known.result)),
    Field(
        "opstatus",
        "OpCode_status",
        "other",
        "Statuses of the opcodes",
        _of(lambda j: [str(status) for status in j.statuses]),
    ),
    Field("oplog", "OpCode_log", "other", "Logs of the opcodes", _of(_log)),
    Field(
        "opstart",
        "OpCode_start",
        "other",
        "When the opcodes began to wait for locks",
        _each(lambda known: timestamp(known.start)),
    ),
    Field(
        "opexec",
        "OpCode_exec",
        "other",
        "When the opcodes had their locks",
        _each(lambda known: timestamp(known.exec)),
    ),
    Field(
        "opend",
        "OpCode_end",
        "other",
        "When the opcodes ended",
        _each(lambda known: timestamp(known.end)),
    ),
    Field(
        "oppriority",
        "OpCode_prio",
        "other",
        "Priorities of the opcodes",
        _of(lambda j: list(j.priorities)),
    ),
    Field(
        "opverdicts",
        "OpCode_verdicts",
        "other",
        "Why each node was or was not chosen",
        _each(lambda known: known.verdicts),
    ),
    Field(
        "stuck_reason",
        "Stuck_reason",
        "text",
        "Why it needs an operator",
        _of(lambda j: j.stuck_reason or None),
    ),
    Field("received_ts", "Received", "other", "When it came", _of(lambda j: timestamp(j.received))),
    Field("start_ts", "Start", "other", "When it began", _of(lambda j: timestamp(j.started))),
    Field("end_ts", "End", "other", "When it ended", _of(lambda j: timestamp(j.ended))),
)


def number_of(name: Any) -> int | None:
    """A job's number; digits in text are taken too."""
    if isinstance(name, bool):
        return None
    if isinstance(name, int):
        return name
    digits = isinstance(name, str) and name.isascii() and name.isdigit() and len(name) <= 18
    return int(name) if digits else None


def find(sources: Sources, name: Any) -> Job | Missing | None:
    """A job by number; one that is not there is a row of its own, as Ganeti has it."""
    number = number_of(name)
    if number is None:
        return None
    return sources.jobs.job(number) or Missing(number)


RESOURCE = Resource(
    what="job",
    word="Job",
    key="id",
    fields=by_name(FIELDS),
    all=lambda sources: sources.jobs.jobs(),
    find=find,
    name_of=lambda job: job.id,
)
