"""What is wrong with an opcode from outside, in a sentence: which field, what it is, what it takes.

The decoder's own words are kept where they are plain; a regular expression is none, so a type that
has one says in words what it allows (``Meta(extra={ALLOWS: ...})``).
"""

from __future__ import annotations

import enum
import re
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

ALLOWS = "allows"
MAX_SHOWN_CHARACTERS = 80

_AT_FIELD = re.compile(r"(?P<why>.*) - at `\$\.(?P<field>\w+)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "array": "a list",
    "object": "an object",
}


def complaint(
    error: msgspec.ValidationError, body: dict[str, Any], kind: type[msgspec.Struct]
) -> str:
    """Why ``body`` is no ``kind``."""
    missing = _MISSING.fullmatch(str(error))
    if missing is not None:
        return f"'{missing[1]}' is missing"
    found = _AT_FIELD.match(str(error))
    if found is None or found["field"] not in body:
        return _plain(str(error))
    field, why = found["field"], found["why"]
    wanted = _plain(why)
    if "matching regex" in why or "enum value" in why:
        allowed = _allowed(kind, field)
        wanted = f"use {allowed}" if allowed else wanted
    return f"'{field}' cannot be {body[field]!r:.{MAX_SHOWN_CHARACTERS}}: {wanted}"


def _plain(text: str) -> str:
    """The decoder's sentence with its types in words."""

    def words(found: re.Match[str]) -> str:
        names = found[1].split(" | ")
        return " or ".join(_TYPES.get(name, name) for name in names)

    return re.sub(r"`((?:\w+)(?: \| \w+)*)`", words, text).replace("Expected", "expected", 1)


def _allowed(kind: type[msgspec.Struct], field: str) -> str:
    """What the type of a field says of its values: words, or the values."""
    parts = list(_parts(typing.get_type_hints(kind, include_extras=True).get(field)))
    for part in parts:
        if isinstance(part, msgspec.Meta) and part.extra is not None and ALLOWS in part.extra:
            return str(part.extra[ALLOWS])
    values = [value for part in parts for value in _values(part)]
    return f"one of {', '.join(values)}" if values else ""


def _values(part: Any) -> Iterator[str]:
    if typing.get_origin(part) is typing.Literal:
        yield from (str(value) for value in typing.get_args(part))
    elif isinstance(part, type) and issubclass(part, enum.Enum):
        yield from (str(one.value) for one in part)


def _parts(hint: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    yield hint
    if typing.get_origin(hint) is not typing.Literal:
        for inner in typing.get_args(hint):
            yield from _parts(inner)
