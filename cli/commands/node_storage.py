"""``gnt-node list-storage`` and ``volumes``: jobs whose answer is a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cli import jobs
from cli.command import Arguments, Call, Command, Option
from cli.exits import Exit
from cli.listing import NO_HEADERS, SEPARATOR, UNITS
from cli.notation import split
from cli.output import Column, Layout, table, unit
from cli.spelling import PRIORITY

STORAGE = ("node", "type", "name", "size", "used", "free", "allocatable")
VOLUMES = ("node", "phys", "vg", "name", "size", "instance")
SIZES = frozenset({"size", "used", "free"})
TITLES = {"vg": "VG", "phys": "PhysDev", "allocatable": "Allocatable"}


def _options(columns: Sequence[str]) -> tuple[Option, ...]:
    output = Option(
        names=("-o", "--output"), metavar="FIELD,...", words=f"Columns, of {', '.join(columns)}"
    )
    return (output, NO_HEADERS, SEPARATOR, UNITS, PRIORITY)


def _shown(call: Call, columns: Sequence[str], body: dict[str, Any]) -> int:
    given = call.given("output")
    wanted = split(given) if given else list(columns)
    asked = {**body, "output_fields": wanted, "nodes": list(call.arguments)}
    rows = jobs.run(call, asked) or ()
    units: Any = call.given("units") or ("m" if call.given("separator") else "h")
    texts = [
        [_text(name, value, units) for name, value in zip(wanted, row, strict=True)] for row in rows
    ]
    titles = [Column(TITLES.get(name, name.title()), name in SIZES) for name in wanted]
    layout = Layout(
        headers=not call.given("no_headers"), separator=call.given("separator"), units=units
    )
    for line in table(titles, texts, layout):
        call.session.out(line)
    return Exit.SUCCESS


def _text(name: str, value: Any, units: str) -> str:
    if name in SIZES:
        return unit(value, units)
    return ("Y" if value else "N") if isinstance(value, bool) else str(value)


def _storage(call: Call) -> int:
    body: dict[str, Any] = {"OP_ID": "OP_NODE_QUERY_STORAGE"}
    body["storage_type"] = call.given("storage_type") or "lvm-vg"
    return _shown(call, STORAGE, body)


def _volumes(call: Call) -> int:
    return _shown(call, VOLUMES, {"OP_ID": "OP_NODE_QUERYVOLS"})


COMMANDS = (
    Command(
        name="list-storage",
        summary="List the storage of nodes",
        run=_storage,
        arguments=Arguments(shown="[<node>...]", maximum=None, completes="node"),
        options=(
            Option(
                names=("-t", "--storage-type"),
                choices=("file", "lvm-pv", "lvm-vg", "sharedfile"),
                words="Type of storage",
            ),
            *_options(STORAGE),
        ),
    ),
    Command(
        name="volumes",
        summary="List logical volumes of nodes",
        run=_volumes,
        arguments=Arguments(shown="[<node>...]", maximum=None, completes="node"),
        options=_options(VOLUMES),
    ),
)
