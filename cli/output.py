"""What commands print: tables of query answers, units, times, nested information.

Decided here: alignment, placeholders and number formats. The shapes are Ganeti's, since programs
read them: text left, numbers right, the last column not padded; information is text that a YAML
loader reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

UNIT_CHOICES = ("h", "m", "g", "t")
NORMAL, UNKNOWN, NO_DATA, UNAVAILABLE, OFFLINE = range(5)

_PLACEHOLDERS = {UNKNOWN: "??", NO_DATA: "?", UNAVAILABLE: "-", OFFLINE: "*"}
_PLACEHOLDERS_VERBOSE = {
    UNKNOWN: "(unknown)",
    NO_DATA: "(nodata)",
    UNAVAILABLE: "(unavail)",
    OFFLINE: "(offline)",
}
_RIGHT = frozenset({"number", "float", "unit"})
KIND_TITLES = {
    "unknown": "Unknown",
    "text": "Text",
    "bool": "Boolean",
    "number": "Number",
    "float": "Floating-point number",
    "unit": "Storage size",
    "timestamp": "Timestamp",
    "other": "Custom",
}

ParamRow = tuple[str, Any]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How a table is written. A separator switches padding off."""

    headers: bool = True
    separator: str | None = None
    units: Literal["h", "m", "g", "t"] = "h"
    verbose: bool = False


class Column(msgspec.Struct, frozen=True):
    """One column of a table."""

    title: str
    right: bool = False


def unit(size_mib: float, units: str) -> str:
    """A size in MiB: ``h`` picks the suffix, the others are bare numbers."""
    if units == "m" or (units == "h" and size_mib < 1024):
        text, suffix = f"{round(size_mib)}", "M"
    elif units == "g" or (units == "h" and size_mib < 1024 * 1024):
        text, suffix = f"{size_mib / 1024:.1f}", "G"
    else:
        text, suffix = f"{size_mib / 1024 / 1024:.1f}", "T"
    return text + suffix if units == "h" else text


def moment(value: Any) -> str:
    """Local time of seconds since the epoch, or of Ganeti's [seconds, microseconds]."""
    if isinstance(value, list | tuple) and len(value) == 2:
        return f"{_local(value[0])}.{value[1]:06d}"
    if isinstance(value, int | float):
        return _local(value)
    return "-" if value is None else str(value)


def _local(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def plain(value: Any) -> str:
    """A value of no special kind: simple lists with commas, the rest as Python shows it."""
    if value is None:
        return "-"
    if isinstance(value, list | tuple) and not any(
        isinstance(item, list | tuple | dict) for item in value
    ):
        return ",".join("-" if item is None else str(item) for item in value)
    return str(value)


def cell(kind: str, value: Any, layout: Layout) -> str:
    """One value by its field's kind."""
    if value is None:
        return "-"
    if kind == "bool":
        return "Y" if value else "N"
    if kind == "unit":
        return unit(value, layout.units)
    if kind == "timestamp":
        return moment(value)
    return plain(value)


Format = Callable[[Any], str]


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], layout: Layout) -> list[str]:
    """The lines of a table of texts."""
    shown = [list(row) for row in rows]
    if layout.headers:
        shown.insert(0, [column.title for column in columns])
    if layout.separator is not None:
        return [layout.separator.join(row) for row in shown]
    widths = [max((len(row[index]) for row in shown), default=0) for index in range(len(columns))]
    last = len(columns) - 1
    lines = []
    for row in shown:
        cells = []
        for index, (column, text) in enumerate(zip(columns, row, strict=True)):
            if column.right:
                cells.append(text.rjust(widths[index]))
            else:
                cells.append(text if index == last else text.ljust(widths[index]))
        lines.append(" ".join(cells))
    return lines


def query_table(
    answer: Mapping[str, Any], layout: Layout, formats: Mapping[str, Format] | None = None
) -> tuple[list[str], list[str]]:
    """Lines of a query's answer, and the names of fields that nobody knows."""
    fields = answer["fields"]
    own = formats or {}
    holes = _PLACEHOLDERS_VERBOSE if layout.verbose else _PLACEHOLDERS
    columns = [Column(field["title"], field["kind"] in _RIGHT) for field in fields]
    rows = []
    for row in answer["data"]:
        texts = []
        for field, (status, value) in zip(fields, row, strict=True):
            if status != NORMAL:
                texts.append(holes.get(status, "??"))
            elif field["name"] in own and value is not None:
                texts.append(own[field["name"]](value))
            else:
                texts.append(cell(field["kind"], value, layout))
        rows.append(texts)
    unknown = [field["name"] for field in fields if field["kind"] == "unknown"]
    return table(columns, rows, layout), unknown


def info(value: Any) -> list[str]:
    """Nested text: lists of (key, value) and dicts are mappings, other lists are items."""
    return _lines(value, 0)


def _lines(value: Any, indent: int) -> list[str]:
    space = "  " * indent
    entries = _entries(value)
    if entries is None:
        lines: list[str] = []
        for item in value:
            inner = _lines(item, indent + 1) if _nested(item) else [f"{space}  {_scalar(item)}"]
            first, *rest = inner or [f"{space}  "]
            lines += [f"{space}- {first[len(space) + 2 :]}", *rest]
        return lines
    lines = []
    for key, item in entries:
        if _nested(item):
            lines += [f"{space}{key}: ", *_lines(item, indent + 1)]
        else:
            lines.append(f"{space}{key}: {_scalar(item)}")
    return lines


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


def _scalar(value: Any) -> str:
    return str(value)


def _entries(value: Any) -> list[ParamRow] | None:
    """The pairs of a mapping; None for a plain list."""
    if isinstance(value, dict):
        return list(value.items())
    if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
        return list(value)
    return None


def params(own: Mapping[str, Any] | None, effective: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters, those that were not set shown as ``default (VALUE)``; sorted by name."""
    mine = own or {}
    shown: dict[str, Any] = {}
    for key in sorted({*effective, *mine}):
        value = effective.get(key, mine.get(key))
        if isinstance(value, dict):
            inner = mine.get(key)
            inner = inner if isinstance(inner, dict) else {}
            shown[key] = params(inner, value) if value else "default ({})"
        else:
            shown[key] = mine.get(key, f"default ({value})")
    return shown


_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_ROMAN_END = 5000


def roman(value: Any) -> Any:
    """Whole numbers below 5000 in Roman digits, at any depth; the rest as it is."""
    if isinstance(value, dict):
        return {key: roman(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(roman(item) for item in value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _ROMAN_END:
        return value
    text = ""
    for step, digits in _ROMAN:
        text += digits * (value // step)
        value %= step
    return text or "N"
