"""The commands ``list`` and ``list-fields`` of every tool, made from one row a tool.

Decided here: their options, which columns are the default, and that an unknown field is shown and
answered with its own exit code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec

from cli.command import Arguments, Call, Command, Option
from cli.exits import Exit
from cli.filter_text import Filter, both, make_filter
from cli.output import KIND_TITLES, UNIT_CHOICES, Column, Format, Layout, query_table, table

NO_HEADERS = Option(names=("--no-headers",), flag=True, words="No line with titles")
SEPARATOR = Option(
    names=("--separator",), metavar="TEXT", words="Text between fields; nothing is padded then"
)
FIELDS = Option(
    names=("-o", "--output"),
    metavar="FIELD,...",
    words="Fields to show; with + in front, after the default ones",
)
VERBOSE = Option(names=("-v", "--verbose"), flag=True, words="Say in words why a value is missing")
UNITS = Option(names=("--units",), choices=UNIT_CHOICES, words="Unit of sizes; h is readable")
FORCE_FILTER = Option(
    names=("-F", "--filter"), flag=True, words="The argument is a filter, not a name"
)


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What is listed."""

    what: str
    plural: str
    columns: tuple[str, ...]
    shown: str = ""
    key: str = "name"
    numeric: bool = False
    filters: bool = True
    units: bool = False
    formats: Mapping[str, Format] = {}
    extra: tuple[Option, ...] = ()


def layout_of(call: Call) -> Layout:
    """How the table is written; sizes are bare MiB when a program reads it."""
    separator = call.given("separator")
    units = call.given("units") or ("h" if separator is None else "m")
    return Layout(
        headers=not call.given("no_headers"),
        separator=separator,
        units=cast(Literal["h", "m", "g", "t"], units),
        verbose=bool(call.given("verbose")),
    )


def fields_of(call: Call, columns: tuple[str, ...]) -> list[str]:
    """The fields to ask for."""
    wanted = call.given("output")
    if wanted is None:
        return list(columns)
    if wanted.startswith("+"):
        return [*columns, *wanted[1:].split(",")]
    return list(wanted.split(","))


def show(call: Call, kind: Kind, narrower: Filter = None, also: tuple[str, ...] = ()) -> int:
    """Ask and print; ``narrower`` is a filter that holds as well, ``also`` further fields."""
    named = make_filter(
        call.arguments,
        forced=bool(call.given("filter")),
        field=kind.key,
        numeric=kind.numeric,
    )
    fields = [*fields_of(call, kind.columns)]
    fields += [field for field in also if field not in fields]
    answer = call.session.door.query(kind.what, fields, both(narrower, named))
    return print_answer(call, answer, kind.formats)


def print_answer(
    call: Call, answer: Mapping[str, Any], formats: Mapping[str, Format] | None = None
) -> int:
    """A query's answer as a table; the exit code."""
    lines, unknown = query_table(answer, layout_of(call), formats)
    if unknown:
        call.session.err(f"Warning: Queried for unknown fields {', '.join(unknown)}")
    for line in lines:
        call.session.out(line)
    return Exit.UNKNOWN_FIELD if unknown else Exit.SUCCESS


def list_options(kind: Kind) -> tuple[Option, ...]:
    """The options of a list command."""
    found = [NO_HEADERS, SEPARATOR, FIELDS, VERBOSE]
    found += [UNITS] if kind.units else []
    found += [FORCE_FILTER] if kind.filters else []
    return (*found, *kind.extra)


def list_command(kind: Kind) -> Command:
    """``list``"""
    return Command(
        name="list",
        summary=(
            f"List {kind.plural}. The fields are shown by 'list-fields'; by default they are"
            f" {', '.join(kind.columns)}."
        ),
        run=lambda call: show(call, kind),
        arguments=Arguments(
            shown=kind.shown or f"[<{kind.what}>...]", maximum=None, completes=kind.what
        ),
        options=list_options(kind),
    )


def list_fields_command(kind: Kind) -> Command:
    """``list-fields``"""

    def run(call: Call) -> int:
        answer = call.session.door.call("QueryFields", kind.what, list(call.arguments) or None)
        columns = [Column(title) for title in ("Name", "Type", "Title", "Description")]
        rows = [
            (field["name"], KIND_TITLES.get(field["kind"], "Unknown"), field["title"], field["doc"])
            for field in answer["fields"]
        ]
        unknown = [field["name"] for field in answer["fields"] if field["kind"] == "unknown"]
        if unknown:
            call.session.err(f"Warning: Queried for unknown fields {', '.join(unknown)}")
        for line in table(columns, rows, layout_of(call)):
            call.session.out(line)
        return Exit.UNKNOWN_FIELD if unknown else Exit.SUCCESS

    return Command(
        name="list-fields",
        summary=f"List the fields of {kind.plural}",
        run=run,
        arguments=Arguments(shown="[<field>...]", maximum=None),
        options=(NO_HEADERS, SEPARATOR),
    )
