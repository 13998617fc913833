"""Nodes: roles, and what migrating one takes from query or body."""

from __future__ import annotations

from typing import Any

from clusterd.doorway.protocol import RequestFailed
from rapi.compatibility import ROLE_CHANGES, ROLES
from rapi.errors import BadRequest, NotFound, missing_is_404
from rapi.exchange import Call
from rapi.resources.cluster import has_body
from rapi.routes import Door
from rapi.submission import Body


async def role(call: Call, door: Door) -> Any:
    """``GET /2/nodes/N/role``, in words."""
    try:
        rows = await door.call("QueryNodes", [call.name], ["role"], False)
    except RequestFailed as error:
        raise missing_is_404(error) from None
    if not rows:
        raise NotFound
    return ROLES[rows[0][0]]


def role_change(call: Call) -> list[tuple[str, Body, Body]]:
    """``PUT /2/nodes/N/role``: the body is the role itself, a text."""
    if not isinstance(call.body, str):
        raise BadRequest("Invalid body contents, not a string")
    changes = ROLE_CHANGES.get(call.body)
    if changes is None:
        raise BadRequest(f"Can't set '{call.body:.100}' role")
    fixed = {
        "node_name": call.name,
        "force": call.flag("force"),
        "auto_promote": call.flag("auto-promote"),
        **changes,
    }
    return [("OP_NODE_SET_PARAMS", {}, fixed)]


def migration(call: Call, _body: Body) -> Body:
    """The mode in the query counts only when there is no body, so that a reason or a dry run in
    the query does not take the body's effect away."""
    if has_body(call):
        return {}
    mode = call.text("mode")
    if mode is None and call.text("live") is not None:
        mode = "live" if call.flag("live") else "non-live"
    return {} if mode is None else {"mode": mode}


def storage_fields(call: Call, _body: Body) -> Body:
    """``GET /2/nodes/N/storage``: the fields come with commas."""
    return {"output_fields": call.listed("output_fields")}


def storage_changes(call: Call, _body: Body) -> Body:
    """``PUT /2/nodes/N/storage/modify``: only this can be changed."""
    if call.text("allocatable") is None:
        return {"changes": {}}
    return {"changes": {"allocatable": call.flag("allocatable")}}
