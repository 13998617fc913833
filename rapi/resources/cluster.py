"""The cluster: version, features, description, OS definitions, queries of any kind, filters."""

from __future__ import annotations

from typing import Any

from clusterd.doorway.protocol import RequestFailed
from rapi.compatibility import FEATURES
from rapi.errors import BadRequest, missing_is_404
from rapi.exchange import NOTHING, Call
from rapi.field_sets import OS_FIELDS
from rapi.routes import Door, Read

RAPI_VERSION = 2


async def nothing(_call: Call, _door: Door) -> Any:
    """``/`` and ``/2`` are there and empty."""
    return None


async def version(_call: Call, _door: Door) -> Any:
    """The version of this interface."""
    return RAPI_VERSION


async def features(_call: Call, _door: Door) -> Any:
    """What clients may rely on."""
    return list(FEATURES)


async def info(_call: Call, door: Door) -> Any:
    """Everything about the cluster itself."""
    return await door.call("QueryClusterInfo")


async def systems(call: Call, door: Door) -> Any:
    """OS definitions that can be used: names with variants, or rows with ``bulk``."""
    response = await door.call("Query", "os", OS_FIELDS, None)
    rows = [
        dict(zip(OS_FIELDS, (value for _, value in row), strict=True)) for row in response["data"]
    ]
    if call.flag("bulk"):
        return [{**row, "parameters": _parameters(row)} for row in rows]
    usable = [row for row in rows if row["valid"] and not row["hidden"] and not row["blacklisted"]]
    return [
        name
        for row in usable
        for name in ([f"{row['name']}+{v}" for v in row["variants"]] or [row["name"]])
    ]


def _parameters(row: dict[str, Any]) -> list[dict[str, str]]:
    return [{"name": name, "description": words} for name, words in row["parameters"]]


def tags(kind: str) -> Read:
    """``GET .../tags``"""

    async def read(call: Call, door: Door) -> Any:
        try:
            return await door.call("QueryTags", kind, call.names.get("name"))
        except RequestFailed as error:
            raise missing_is_404(error) from None

    return read


async def query(call: Call, door: Door) -> Any:
    """``GET /2/query/RESOURCE?fields=a,b``"""
    fields = call.listed("fields")
    if not fields:
        raise BadRequest("Required parameter 'fields' is missing")
    return await door.call("Query", call.names["resource"], fields, None)


async def filtered_query(call: Call, door: Door) -> Any:
    """``PUT /2/query/RESOURCE`` with fields and filter in the body."""
    body = call.object()
    fields = body.get("fields") or call.listed("fields")
    if not fields:
        raise BadRequest("Required parameter 'fields' is missing")
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        raise BadRequest("The 'fields' parameter should be a list of names")
    qfilter = body.get("qfilter")
    if qfilter is None:
        qfilter = body.get("filter")
    return await door.call("Query", call.names["resource"], fields, qfilter)


async def query_fields(call: Call, door: Door) -> Any:
    """``GET /2/query/RESOURCE/fields``"""
    return await door.call("QueryFields", call.names["resource"], call.listed("fields") or None)


def has_body(call: Call) -> bool:
    """True when a request brought anything."""
    return call.body is not NOTHING and call.body is not None
