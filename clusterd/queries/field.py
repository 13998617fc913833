"""What a queryable field is: a name with its words, and a function from an object to a cell."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from clusterd.queries.sources import Sources


class Status(enum.IntEnum):
    """What a cell's value is worth; Ganeti's numbers."""

    NORMAL = 0
    UNKNOWN = 1
    """There is no such field."""
    NODATA = 2
    """The node that knows did not answer."""
    UNAVAILABLE = 3
    """Does not apply to this object."""
    OFFLINE = 4
    """The node that knows is marked offline."""


Cell = tuple[int, Any]
UNKNOWN: Cell = (int(Status.UNKNOWN), None)
NODATA: Cell = (int(Status.NODATA), None)
UNAVAILABLE: Cell = (int(Status.UNAVAILABLE), None)
OFFLINE: Cell = (int(Status.OFFLINE), None)


def normal(value: Any) -> Cell:
    """A cell with a value."""
    return (0, value)


def present(value: Any) -> Cell:
    """A cell with a value; None does not apply."""
    return UNAVAILABLE if value is None else (0, value)


Value = Callable[[Sources, Any], Cell]


class Field(msgspec.Struct, frozen=True):
    """One field. ``kind`` is one of text, bool, number, float, unit, timestamp, other."""

    name: str
    title: str
    kind: str
    doc: str
    value: Value
    hostname: bool = False
    """Filters compare it by leading components too: ``node1`` is ``node1.example.com``."""

    def definition(self) -> dict[str, str]:
        """What clients are told of it."""
        return {"name": self.name, "title": self.title, "kind": self.kind, "doc": self.doc}


def unknown_field(name: str) -> Field:
    """Stands for a field that a client asks for and that is not there."""
    return Field(name, name, "unknown", f"Unknown field '{name}'", lambda _s, _o: UNKNOWN)


def plain(get: Callable[[Any], Any]) -> Value:
    """A value that the object itself has."""
    return lambda _sources, thing: (0, get(thing))


def optional(get: Callable[[Any], Any]) -> Value:
    """A value that the object may have."""
    return lambda _sources, thing: present(get(thing))


def stored_fields(what: str) -> tuple[Field, ...]:
    """The fields that each stored object has."""
    return (
        Field("uuid", "UUID", "text", f"UUID of the {what}", plain(lambda o: o.uuid)),
        Field(
            "serial_no", "SerialNo", "number", "Counts its changes", plain(lambda o: o.serial_no)
        ),
        Field("ctime", "CTime", "timestamp", "When it was made", plain(lambda o: o.ctime)),
        Field("mtime", "MTime", "timestamp", "When it last changed", plain(lambda o: o.mtime)),
        Field("tags", "Tags", "other", "Tags", plain(lambda o: sorted(o.tags))),
    )


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One queryable kind."""

    what: str
    word: str
    """For messages: ``Instance``."""
    fields: dict[str, Field]
    key: str
    """The field that names an object."""
    all: Callable[[Sources], Iterable[Any]]
    """All objects, in any order."""
    find: Callable[[Sources, Any], Any]
    """One object by the value of ``key``, or None; must not walk over all of them."""
    name_of: Callable[[Any], Any]
    """An object's value of ``key``, which rows are ordered by."""


def by_name(*groups: Sequence[Field]) -> dict[str, Field]:
    """Fields by name, in the order of their names."""
    fields = {field.name: field for group in groups for field in group}
    return {name: fields[name] for name in sorted(fields)}
