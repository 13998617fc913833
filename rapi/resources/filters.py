"""Changing job filters."""

from __future__ import annotations

from typing import Any

from clusterd.doorway.protocol import RequestFailed
from rapi.errors import BadRequest, missing_is_404
from rapi.exchange import Call
from rapi.routes import Door
from rapi.submission import reason_trail

DEFAULTS: dict[str, Any] = {"priority": 0, "predicates": [], "action": "CONTINUE", "reason": []}


async def add(call: Call, door: Door) -> Any:
    """``POST /2/filters``: the uuid of the new filter."""
    return await door.call("ReplaceFilter", None, *_asked(call))


async def replace(call: Call, door: Door) -> Any:
    """``PUT /2/filters/UUID``: its uuid; it is added when there is none."""
    return await door.call("ReplaceFilter", call.name, *_asked(call))


async def delete(call: Call, door: Door) -> Any:
    """``DELETE /2/filters/UUID``"""
    try:
        return await door.call("DeleteFilter", call.name)
    except RequestFailed as error:
        raise missing_is_404(error) from None


def _asked(call: Call) -> tuple[int, list[Any], Any, list[Any]]:
    """(priority, predicates, action, reason trail) of the body."""
    body = call.object()
    unknown = sorted(set(body) - set(DEFAULTS))
    if unknown:
        raise BadRequest(f"Invalid body parameters: a filter has no '{unknown[0]}'")
    given = {**DEFAULTS, **body}
    priority, predicates = given["priority"], given["predicates"]
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise BadRequest("Invalid body parameters: 'priority' is a number")
    if not isinstance(predicates, list):
        raise BadRequest("Invalid body parameters: 'predicates' is a list")
    return priority, predicates, given["action"], reason_trail(call, given["reason"])
