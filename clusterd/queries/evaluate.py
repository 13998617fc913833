"""How a query is answered: which objects, in which order, with which cells. Pure.

A filter made only of name equalities costs O(names asked for): it looks names up instead of walking
over the cluster, keeps the order of the request and refuses names that are not there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from clusterd.queries.field import Field, Resource, unknown_field
from clusterd.queries.filters import compiled, requested_names
from clusterd.queries.sources import Sources
from jobqueue.errors import Refused

MAX_FIELDS = 1000
_CHUNKS = re.compile(r"(\d+)")


def nice(name: Any) -> tuple[Any, ...]:
    """Sorts ``web2`` before ``web10``; numbers by value."""
    if isinstance(name, int):
        return ((0, name, ""),)
    chunks = _CHUNKS.split(str(name))
    return tuple(
        (0, int(chunk), chunk) if chunk.isdigit() else (1, 0, chunk) for chunk in chunks if chunk
    )


def fields_of(resource: Resource, names: Sequence[str]) -> list[Field]:
    """The asked fields in order; unknown ones are stood in for."""
    if len(names) > MAX_FIELDS:
        raise Refused(f"A query may ask for {MAX_FIELDS} fields", "wrong_input")
    return [resource.fields.get(name) or unknown_field(name) for name in names]


def query(
    resource: Resource, sources: Sources, names: Sequence[str], qfilter: Any
) -> dict[str, Any]:
    """Ganeti's query response."""
    fields = fields_of(resource, names)
    things = selected(resource, sources, qfilter)
    return response(fields, [cells(fields, sources, thing) for thing in things])


def response(fields: Sequence[Field], data: Sequence[Any]) -> dict[str, Any]:
    """Rows of cells under their definitions."""
    return {"fields": [field.definition() for field in fields], "data": list(data)}


def cells(fields: Sequence[Field], sources: Sources, thing: Any) -> list[Any]:
    """(status, value) of each field of one object."""
    return [field.value(sources, thing) for field in fields]


def query_fields(resource: Resource, names: Sequence[str] | None) -> dict[str, Any]:
    """Ganeti's fields response: those asked for, or all by name."""
    fields = fields_of(resource, names) if names else list(resource.fields.values())
    return {"fields": [field.definition() for field in fields]}


def rows(
    resource: Resource, sources: Sources, objects: Sequence[Any] | None, names: Sequence[str]
) -> list[list[Any]]:
    """Plain values; what is not known is None. Unknown fields and objects are refused."""
    fields = fields_of(resource, names)
    unknown = [field.name for field in fields if field.kind == "unknown"]
    if unknown:
        raise Refused(f"Unknown output fields selected: {','.join(unknown)}", "wrong_input")
    if objects is None:
        things = selected(resource, sources, None)
    else:
        things = named(resource, sources, objects)
    return [plain_row(fields, sources, thing) for thing in things]


def plain_row(fields: Sequence[Field], sources: Sources, thing: Any) -> list[Any]:
    """The values of one object."""
    return [field.value(sources, thing)[1] for field in fields]


def selected(resource: Resource, sources: Sources, qfilter: Any) -> list[Any]:
    """The objects that a filter passes, ordered."""
    wanted = requested_names(qfilter, resource.key)
    if wanted is not None:
        return named(resource, sources, wanted)
    test = compiled(qfilter, resource.fields)
    things = [thing for thing in resource.all(sources) if test(sources, thing)]
    return sorted(things, key=lambda thing: nice(resource.name_of(thing)))


def named(resource: Resource, sources: Sources, names: Sequence[Any]) -> list[Any]:
    """The objects of these names in this order, each once; raises Refused for one not there."""
    found: dict[Any, Any] = {}
    for name in names:
        thing = resource.find(sources, name)
        if thing is None:
            raise Refused(f"{resource.word} name {name} not found", "unknown_entity")
        found.setdefault(resource.name_of(thing), thing)
    return list(found.values())
