"""Lists and single objects: the same for instances, nodes, groups, networks and filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from clusterd.doorway.protocol import RequestFailed
from rapi.errors import NotFound, missing_is_404
from rapi.exchange import Call
from rapi.routes import Door, Read

Row = dict[str, Any]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of objects."""

    path: str
    """``/2/instances``"""
    method: str
    """The door's method: ``QueryInstances``."""
    fields: tuple[str, ...]
    key: str = "name"
    """The field that names an object."""
    label: str = "id"
    """What the key is called in lists."""
    locking: bool = True
    """Whether the door's method takes a last argument that asks for locks."""
    dressed: Callable[[Row], Row] = lambda row: row
    """What is done to each row before it is shown."""
    single: Callable[[Row], Row] = lambda row: row
    """What is done to the row of one object."""


async def rows(kind: Kind, door: Door, names: list[str] | None, call: Call) -> list[Row]:
    """Rows of the named objects, or of all."""
    extra = (call.flag("lock"),) if kind.locking else ()
    wanted = names if names is not None or not kind.locking else []
    values = await door.call(kind.method, wanted, list(kind.fields), *extra)
    return [kind.dressed(dict(zip(kind.fields, row, strict=True))) for row in values]


def listing(kind: Kind) -> Read:
    """``GET /2/instances``: names with their paths, or all rows with ``bulk``."""

    async def read(call: Call, door: Door) -> Any:
        if call.flag("bulk"):
            return await rows(kind, door, None, call)
        names = await rows(msgspec.structs.replace(kind, fields=(kind.key,)), door, None, call)
        return [{kind.label: row[kind.key], "uri": f"{kind.path}/{row[kind.key]}"} for row in names]

    return read


def one(kind: Kind) -> Read:
    """``GET /2/instances/NAME``; an unknown name is 404."""

    async def read(call: Call, door: Door) -> Any:
        try:
            found = await rows(kind, door, [call.name], call)
        except RequestFailed as error:
            raise missing_is_404(error) from None
        if not found:
            raise NotFound
        return kind.single(found[0])

    return read
