"""How people write values on the command line: sizes, times, ``key=value`` lists, identifiers.

Decided here: text to plain JSON values, and nothing about opcodes. Every refusal is a ``BadText``
that says what was given and what is wanted. Ganeti's rules hold: ``k`` alone is true, ``no_k``
false, ``-k`` takes a parameter back to its default, ``\\,`` is a comma inside a value, sizes are
binary and rounded up to a multiple of four MiB.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from cli.exits import CommandError

SIZE_STEP_MIB = 4
_SIZE = re.compile(r"^([.\d]+)\s*([a-zA-Z]+)?$")
_SIZE_FACTORS = {"m": 1, "mb": 1, "mib": 1, "g": 1024, "gb": 1024, "gib": 1024}
_SIZE_FACTORS |= {"t": 1024 * 1024, "tb": 1024 * 1024, "tib": 1024 * 1024}
_TIME_FACTORS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

Value = str | int | float | bool | None


class BadText(CommandError):
    """A value on the command line cannot be read."""


def size_mib(text: str) -> int:
    """``1.5g`` -> 1536. Rounded up to a multiple of four."""
    match = _SIZE.match(text.strip())
    factor = _SIZE_FACTORS.get((match.group(2) or "m").lower()) if match else None
    if match is None or factor is None:
        raise BadText(
            f"'{text}' is not a size; write a number with m, g or t, such as 512m or 1.5g"
        )
    try:
        exact = float(match.group(1)) * factor
    except ValueError:
        raise BadText(f"'{text}' is not a size: {match.group(1)} is no number") from None
    return math.ceil(math.ceil(exact) / SIZE_STEP_MIB) * SIZE_STEP_MIB


def time_s(text: str) -> int:
    """``2h`` -> 7200; seconds without a suffix."""
    given = text.strip()
    factor = _TIME_FACTORS.get(given[-1:])
    digits = given[:-1] if factor else given
    if not digits.isdecimal():
        raise BadText(f"'{text}' is not a time; write a number with s, m, h, d or w, such as 30m")
    return int(digits) * (factor or 1)


def boolean(text: str) -> bool:
    """``yes`` and ``true``, ``no`` and ``false``."""
    answer = {"yes": True, "true": True, "no": False, "false": False}.get(text.strip().lower())
    if answer is None:
        raise BadText(f"'{text}' is neither yes nor no")
    return answer


def integer(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise BadText(f"'{text}' is not a whole number") from None


def number(text: str) -> float:
    """A number with or without a fraction."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadText(f"'{text}' is not a number")
    return value


def split(text: str, separator: str = ",") -> list[str]:
    """At each separator that no backslash stands before; ``\\\\`` is a backslash."""
    if not text:
        return []
    parts = [""]
    position = 0
    while position < len(text):
        pair = text[position : position + 2]
        if pair in ("\\" + separator, "\\\\"):
            parts[-1] += pair[1]
            position += 2
            continue
        if text[position] == separator:
            parts.append("")
        else:
            parts[-1] += text[position]
        position += 1
    return parts


def pairs(text: str, *, prefixes: bool = True) -> dict[str, Value]:
    """``a=1,b,no_c,-d`` -> {"a": "1", "b": True, "c": False, "d": None}."""
    found: dict[str, Value] = {}
    for element in split(text):
        key, value = _pair(element, prefixes)
        if not key:
            raise BadText(f"'{text}': '{element}' has no parameter name")
        if key in found:
            raise BadText(f"'{text}': parameter '{key}' is given twice")
        found[key] = value
    return found


def _pair(element: str, prefixes: bool) -> tuple[str, Value]:
    if "=" in element:
        key, _, value = element.partition("=")
        return key, value
    if not prefixes:
        raise BadText(f"'{element}' has no value; write {element}=VALUE")
    if element.startswith("no_"):
        return element.removeprefix("no_"), False
    if element.startswith("-"):
        return element.removeprefix("-"), None
    return element, True


def identified(text: str) -> tuple[str, dict[str, Value] | bool | None]:
    """``0:size=1g`` -> ("0", {"size": "1g"}); ``no_x`` -> ("x", False); ``-x`` -> ("x", None)."""
    name, colon, rest = text.partition(":")
    if name.startswith("no_"):
        _no_rest(text, rest)
        return name.removeprefix("no_"), False
    if name.startswith("-") and not name[1:2].isdigit():
        _no_rest(text, rest)
        return name.removeprefix("-"), None
    if not name and colon:
        raise BadText(f"'{text}': something must stand before the colon")
    return name, pairs(rest)


def _no_rest(text: str, rest: str) -> None:
    if rest:
        raise BadText(f"'{text}': nothing may follow the colon here")


def typed(values: dict[str, Value], kinds: dict[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Texts become what their parameter wants, ``default`` null; others stay text."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, str) and value.lower() == "default":
            found[key] = None
        elif isinstance(value, str) and key in kinds:
            try:
                found[key] = kinds[key](value)
            except BadText as error:
                raise BadText(f"parameter '{key}': {error}") from None
        elif isinstance(value, bool) and key in kinds and kinds[key] is not boolean:
            raise BadText(f"parameter '{key}' needs a value; write {key}=VALUE")
        else:
            found[key] = value
    return found
