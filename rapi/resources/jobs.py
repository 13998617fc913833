"""Jobs: lists, one job, cancelling, waiting for a change."""

from __future__ import annotations

from typing import Any

from rapi.errors import BadRequest, NotFound
from rapi.exchange import Call
from rapi.field_sets import JOB_BULK_FIELDS, JOB_FIELDS
from rapi.routes import Door

WAIT_S = 10
"""How long one request waits for a change; then the answer is null and clients ask again."""


async def listing(call: Call, door: Door) -> Any:
    """``GET /2/jobs``"""
    if call.flag("bulk"):
        rows = await door.call("QueryJobs", None, JOB_BULK_FIELDS)
        return [dict(zip(JOB_BULK_FIELDS, row, strict=True)) for row in rows]
    rows = await door.call("QueryJobs", None, ["id"])
    return [{"id": number, "uri": f"/2/jobs/{number}"} for (number,) in rows]


async def one(call: Call, door: Door) -> Any:
    """``GET /2/jobs/N``"""
    (row,) = await door.call("QueryJobs", [_number(call)], JOB_FIELDS)
    if row is None:
        raise NotFound
    return dict(zip(JOB_FIELDS, row, strict=True))


async def cancel(call: Call, door: Door) -> Any:
    """``DELETE /2/jobs/N``: ``[done, sentence]``"""
    return await door.call("CancelJob", _number(call))


async def wait(call: Call, door: Door) -> Any:
    """``GET /2/jobs/N/wait``: what differs from what the client saw, or null."""
    body = call.object()
    fields, seen, serial = _waited(body)
    answer = await door.call("WaitForJobChange", _number(call), fields, seen, serial, WAIT_S)
    if answer is None:
        raise NotFound
    if answer == "nochange":
        return None
    values, lines = answer
    return {"job_info": values, "log_entries": lines}


def _waited(body: dict[str, Any]) -> tuple[list[str], Any, Any]:
    for name in ("fields", "previous_job_info", "previous_log_serial"):
        if name not in body:
            raise BadRequest(f"Required parameter '{name}' is missing")
    fields = body["fields"]
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        raise BadRequest("The 'fields' parameter should be a list")
    seen, serial = body["previous_job_info"], body["previous_log_serial"]
    if seen is not None and not isinstance(seen, list):
        raise BadRequest("The 'previous_job_info' parameter should be a list")
    if serial is not None and (isinstance(serial, bool) or not isinstance(serial, int)):
        raise BadRequest("The 'previous_log_serial' parameter should be a number")
    return fields, seen, serial


def _number(call: Call) -> int:
    return int(call.names["id"])
