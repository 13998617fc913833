"""The methods of the door: a table of name, shape of the arguments, and what is done.

Ganeti's methods keep Ganeti's names, arguments and results. Ours are ``SubmitJobFor``, which
takes ``[opcodes, submitter]`` and lets the RAPI say on whose behalf it asks, and ``QueryLikeness``.
All that submit take one argument more, the name of the request: the same name submits once.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from clusterd.doorway import filters
from clusterd.doorway.desk import Desk
from clusterd.doorway.submissions import submit_many
from clusterd.doorway.waiting import Waiting
from jobqueue.errors import Refused
from jobqueue.job import Priority
from jobqueue.opcode import Opcode

LONGEST_ARCHIVING_S = 60.0
"""What a client that says nothing lets archiving take."""

Names = list[str]
Ids = list[int | str]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """One request's surroundings."""

    desk: Desk
    waiting: Waiting
    submitter: str
    """Who asks: ``uid:0``."""


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. ``shapes``: accepted argument lists, most usual first."""

    shapes: tuple[Any, ...]
    call: Callable[..., Awaitable[Any]]


async def call(caller: Caller, name: str, args: Any) -> Any:
    """Carry out one request; raises Refused and the errors of queue and cluster."""
    method = METHODS.get(name)
    if method is None:
        if name in UNSERVED:
            raise Refused(f"{name} is not served: {UNSERVED[name]}", "wrong_input")
        raise Refused(f"There is no LUXI method '{name}'", "wrong_input")
    return await method.call(caller, *_arguments(name, method, args))


def _arguments(name: str, method: Method, args: Any) -> tuple[Any, ...]:
    problem = ""
    for shape in method.shapes:
        try:
            converted: tuple[Any, ...] = msgspec.convert(args, type=shape, strict=True)
            return converted
        except msgspec.ValidationError as error:
            problem = problem or str(error)
    raise Refused(f"Arguments of {name}: {problem}", "wrong_input")


def _number(job_id: int | str) -> int:
    """Job numbers may come as strings of digits."""
    if isinstance(job_id, int):
        return job_id
    if re.fullmatch(r"[0-9]{1,18}", job_id):
        return int(job_id)
    raise Refused(f"'{job_id:.80}' is not a job number", "wrong_input")


# -- jobs ---------------------------------------------------------------------------------------


def _decode(caller: Caller, opcodes: list[Any]) -> list[Opcode]:
    return [caller.desk.registry.decode(opcode) for opcode in opcodes]


async def _submit(caller: Caller, opcodes: list[Any], name: str | None = None) -> int:
    jobs = caller.desk.jobs
    job = _decode(caller, opcodes)
    return (await jobs.submit([job], caller.submitter, name=name or ""))[0]


async def _submit_drained(caller: Caller, opcodes: list[Any]) -> int:
    jobs = caller.desk.jobs
    job = _decode(caller, opcodes)
    return (await jobs.submit([job], caller.submitter, even_drained=True))[0]


async def _submit_for(
    caller: Caller, opcodes: list[Any], submitter: str, name: str | None = None
) -> int:
    if not re.fullmatch(r"rapi:[\x21-\x7e]{0,64}", submitter):
        raise Refused(f"'{submitter:.80}' does not name a user of the RAPI", "wrong_input")
    job = _decode(caller, opcodes)
    return (await caller.desk.jobs.submit([job], submitter, name=name or ""))[0]


async def _submit_many(caller: Caller, jobs: list[list[Any]], name: str | None = None) -> list[Any]:
    return await submit_many(caller.desk, caller.submitter, jobs, name or "")


async def _wait(
    caller: Caller, job_id: int | str, fields: Names, seen: Any, serial: Any, timeout_s: float
) -> Any:
    serial = serial if isinstance(serial, int) else None
    return await caller.waiting.change(_number(job_id), fields, seen, serial, timeout_s)


async def _cancel(caller: Caller, job_id: int | str, kill: bool | None = None) -> list[Any]:
    if kill:
        raise Refused(
            "Jobs have no process of their own to kill; cancel unwinds a running job", "wrong_input"
        )
    return list(await caller.desk.running.cancel(_number(job_id)))


async def _resume(caller: Caller, job_id: int | str, reason: str) -> list[Any]:
    return list(await caller.desk.running.resume(_number(job_id), reason))


async def _unwind(caller: Caller, job_id: int | str, reason: str) -> list[Any]:
    return list(await caller.desk.running.unwind(_number(job_id), reason))


async def _abandon(caller: Caller, job_id: int | str, reason: str) -> list[Any]:
    return list(await caller.desk.running.abandon(_number(job_id), reason))


async def _priority(caller: Caller, job_id: int | str, priority: int) -> list[Any]:
    if not Priority.HIGHEST <= priority <= Priority.LOWEST:
        raise Refused(
            f"Priority {priority} is not between {Priority.HIGHEST:d} and {Priority.LOWEST:d}",
            "wrong_input",
        )
    return list(await caller.desk.running.change_priority(_number(job_id), priority))


async def _archive(caller: Caller, job_id: int | str) -> bool:
    return await caller.desk.jobs.archive(_number(job_id))


async def _auto_archive(caller: Caller, age_s: float, timeout_s: float | None) -> list[int]:
    now = caller.desk.clock.seconds
    end = now() + (LONGEST_ARCHIVING_S if timeout_s is None else timeout_s)
    age = None if age_s < 0 else age_s
    return list(await caller.desk.jobs.auto_archive(age, lambda: now() < end))


async def _drain(caller: Caller, flag: bool) -> bool:
    await caller.desk.jobs.set_drained(flag)
    return True


async def _export(caller: Caller) -> list[Any]:
    if caller.desk.export is None:
        raise Refused("This master does not tell what is in its store", "wrong_state")
    entries = await caller.desk.export()
    return [[e.key, base64.b64encode(e.value).decode(), e.version] for e in entries]


async def _pause(caller: Caller, until: float | None) -> float | None:
    await caller.desk.set_watcher_pause(until)
    return until


# -- reads --------------------------------------------------------------------------------------


async def _query(caller: Caller, what: str, fields: Names, qfilter: Any) -> Any:
    return await caller.desk.answers.query(what, fields, qfilter)


async def _query_fields(caller: Caller, what: str, fields: Names | None) -> Any:
    return caller.desk.answers.query_fields(what, fields)


async def _query_jobs(caller: Caller, ids: Ids | None, fields: Names) -> Any:
    numbers = None if ids is None else [_number(job_id) for job_id in ids]
    return await caller.desk.answers.job_rows(numbers, fields)


def _named(what: str) -> Method:
    async def call(caller: Caller, names: Names, fields: Names, locking: bool = False) -> Any:
        if locking:
            raise Refused("Sync queries are not allowed", "wrong_input")
        return caller.desk.answers.rows(what, names or None, fields)

    return Method(shapes=(tuple[Names, Names, bool], tuple[Names, Names]), call=call)


async def _query_filters(caller: Caller, uuids: Names | None, fields: Names) -> Any:
    return caller.desk.answers.rows("filter", uuids, fields)


async def _cluster_info(caller: Caller) -> Any:
    return caller.desk.answers.cluster_info()


async def _likeness(caller: Caller) -> Any:
    return caller.desk.answers.likeness()


async def _exports(caller: Caller, nodes: Names | None, locking: bool = False) -> Any:
    if locking:
        raise Refused("Sync queries are not allowed", "wrong_input")
    return caller.desk.answers.exports(nodes)


async def _config_values(caller: Caller, names: Names) -> Any:
    return caller.desk.answers.config_values(names)


async def _placement(caller: Caller) -> Any:
    return caller.desk.placement()


async def _balancing(caller: Caller) -> Any:
    return caller.desk.balancing()


async def _tags(caller: Caller, kind: str, name: str | None = None) -> Any:
    return caller.desk.answers.tags(kind, name)


METHODS: dict[str, Method] = {
    "SubmitJob": Method(shapes=(tuple[list[Any]], tuple[list[Any], str | None]), call=_submit),
    "SubmitJobToDrainedQueue": Method(shapes=(tuple[list[Any]],), call=_submit_drained),
    "SubmitJobFor": Method(
        shapes=(tuple[list[Any], str], tuple[list[Any], str, str | None]), call=_submit_for
    ),
    "SubmitManyJobs": Method(
        shapes=(tuple[list[list[Any]]], tuple[list[list[Any]], str | None]), call=_submit_many
    ),
    "WaitForJobChange": Method(shapes=(tuple[int | str, Names, Any, Any, float],), call=_wait),
    "CancelJob": Method(shapes=(tuple[int | str], tuple[int | str, bool | None]), call=_cancel),
    "ResumeJob": Method(shapes=(tuple[int | str, str],), call=_resume),
    "UnwindJob": Method(shapes=(tuple[int | str, str],), call=_unwind),
    "AbandonJob": Method(shapes=(tuple[int | str, str],), call=_abandon),
    "ChangeJobPriority": Method(shapes=(tuple[int | str, int],), call=_priority),
    "ArchiveJob": Method(shapes=(tuple[int | str],), call=_archive),
    "AutoArchiveJobs": Method(shapes=(tuple[float, float | None],), call=_auto_archive),
    "ReplaceFilter": Method(
        shapes=(tuple[str | None, int, list[Any], Any, list[Any]],), call=filters.replace
    ),
    "DeleteFilter": Method(shapes=(tuple[str],), call=filters.delete),
    "SetDrainFlag": Method(shapes=(tuple[bool],), call=_drain),
    "ExportStore": Method(shapes=(tuple[()],), call=_export),
    "SetWatcherPause": Method(shapes=(tuple[float | None],), call=_pause),
    "Query": Method(shapes=(tuple[str, Names, Any],), call=_query),
    "QueryFields": Method(shapes=(tuple[str, Names | None],), call=_query_fields),
    "QueryJobs": Method(shapes=(tuple[Ids | None, Names],), call=_query_jobs),
    "QueryInstances": _named("instance"),
    "QueryNodes": _named("node"),
    "QueryGroups": _named("group"),
    "QueryNetworks": _named("network"),
    "QueryImages": _named("image"),
    "QueryFilters": Method(shapes=(tuple[Names | None, Names],), call=_query_filters),
    "QueryClusterInfo": Method(shapes=(tuple[()],), call=_cluster_info),
    "QueryExports": Method(shapes=(tuple[Names | None, bool], tuple[Names | None]), call=_exports),
    "QueryConfigValues": Method(shapes=(tuple[Names],), call=_config_values),
    "QueryLikeness": Method(shapes=(tuple[()],), call=_likeness),
    "QueryPlacement": Method(shapes=(tuple[()],), call=_placement),
    "QueryBalancing": Method(shapes=(tuple[()],), call=_balancing),
    "QueryTags": Method(shapes=(tuple[str, str | None], tuple[str]), call=_tags),
}

UNSERVED: dict[str, str] = {
    "PickupJob": "jobs are not read from files",
}
"""Methods of Ganeti that are known and refused, with the reason."""
