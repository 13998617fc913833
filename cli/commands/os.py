"""``gnt-os``: OS definitions as the nodes have them; reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.command import Arguments, Call, Command
from cli.exits import Exit
from cli.listing import NO_HEADERS
from cli.output import Column, Layout, table
from cli.site_plugins import Kind
from cli.spelling import PRIORITY


def names_with_variants(definition: Mapping[str, Any]) -> list[str]:
    """``debian+bookworm``; the bare name if there are no variants."""
    variants: Sequence[str] = definition["variants"] or ()
    name: str = definition["name"]
    return [f"{name}+{variant}" for variant in variants] or [name]


def diagnosis(definition: Mapping[str, Any]) -> list[str]:
    """What each node says of one definition."""
    states = {row[0][1] for row in definition["node_status"].values() if row}
    broken = "partial" if True in states else "invalid"
    status = "valid" if definition["valid"] else broken
    lines = [f"OS: {definition['name']} [global status: {status}]"]
    if definition["variants"]:
        lines.append(f"  Variants: [{', '.join(definition['variants'])}]")
    for node, found in sorted(definition["node_status"].items()):
        first, *hidden = [_on_node(row) for row in found] or ["missing"]
        lines.append(f"  Node: {node}, status: {first}")
        lines += [f"    [hidden] path: {row}" for row in hidden]
    return [*lines, ""]


def _on_node(row: Sequence[Any]) -> str:
    path, valid, message, variants, parameters, versions, *trust = row
    if not valid:
        return f"invalid - {message} (path: {path})"
    text = f"valid (path: {path}) [API versions: {', '.join(str(item) for item in versions)}]"
    if variants:
        text += f" [variants: {', '.join(variants)}]"
    if parameters:
        names = (item if isinstance(item, str) else item[0] for item in parameters)
        text += f" [parameters: {', '.join(names)}]"
    if trust:
        text += " [trusted]" if trust[0] else " [untrusted]"
    return text


def details(definition: Mapping[str, Any]) -> list[str]:
    """What ``info`` shows of one definition."""
    lines = [f"{definition['name']}:"]
    lines += [f"  - {key}: {bool(definition[key])}" for key in ("valid", "hidden", "blacklisted")]
    parameters = [f"{name}: {words}" for name, words in definition["parameters"] or ()]
    for title, values in (
        ("API versions", sorted(definition["api_versions"] or ())),
        ("variants", definition["variants"] or ()),
        ("parameters", parameters),
    ):
        lines += [f"  - {title}:", *(f"    - {value}" for value in values)]
    return [*lines, f"  - trusted: {bool(definition['trusted'])}", ""]


DEFINITIONS = Kind(
    what="os",
    called="OS",
    fields=(
        "name",
        "valid",
        "variants",
        "node_status",
        "hidden",
        "blacklisted",
        "api_versions",
        "parameters",
        "trusted",
    ),
    details=details,
    diagnosis=diagnosis,
    usable=lambda definition: bool(definition["valid"]),
)


def _list(call: Call) -> int:
    rows = [
        [name]
        for definition in DEFINITIONS.all(call)
        if definition["valid"] and not definition["hidden"] and not definition["blacklisted"]
        for name in names_with_variants(definition)
    ]
    layout = Layout(headers=not call.given("no_headers"))
    for line in table([Column("Name")], rows, layout):
        call.session.out(line)
    return Exit.SUCCESS


COMMANDS = (
    Command(
        name="list",
        summary="List valid OS definitions with their variants",
        run=_list,
        options=(NO_HEADERS, PRIORITY),
    ),
    Command(
        name="info",
        aliases=("show",),
        summary="Show details of OS definitions",
        run=DEFINITIONS.info,
        arguments=Arguments(shown="[<os>...]", maximum=None, completes="os"),
        options=(PRIORITY,),
    ),
    Command(
        name="diagnose",
        summary="Show OS definitions on each node",
        run=DEFINITIONS.diagnose,
        options=(PRIORITY,),
    ),
)
