"""``gnt-storage``: ext-storage providers as the nodes have them; reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.command import Arguments, Call, Command
from cli.exits import Exit
from cli.spelling import PRIORITY

FIELDS = ("name", "node_status", "nodegroup_status", "parameters")


def _providers(call: Call) -> list[dict[str, Any]]:
    answer = call.session.door.query("extstorage", FIELDS)
    return [dict(zip(FIELDS, (value for _, value in row), strict=True)) for row in answer["data"]]


def diagnosis(provider: Mapping[str, Any]) -> list[str]:
    """What each node and each group says of one provider."""
    lines = [f"Provider: {provider['name']}"]
    for node, found in sorted(provider["node_status"].items()):
        lines.append(f"  Node: {node}, status: {_on_node(found)}")
    for group, usable in sorted(provider["nodegroup_status"].items()):
        lines.append(f"  For nodegroup: {group} --> {'valid' if usable else 'invalid'}")
    return [*lines, ""]


def _on_node(found: list[Any]) -> str:
    if not found:
        return "missing"
    path, valid, message, parameters = found[0]
    if not valid:
        return f"invalid - {message} (path: {path})"
    names = ", ".join(name for name, _ in parameters)
    return f"valid (path: {path}) " + (f"[parameters: {names}]" if names else "[no parameters]")


def details(provider: Mapping[str, Any]) -> list[str]:
    """What ``info`` shows of one provider."""
    groups = [name for name, usable in sorted(provider["nodegroup_status"].items()) if usable]
    lines = [f"{provider['name']}:", "  - Valid Nodegroups:", *(f"      {name}" for name in groups)]
    lines.append("  - Supported parameters:")
    lines += [f"      {name}: {words}" for name, words in provider["parameters"]]
    return [*lines, ""]


def _info(call: Call) -> int:
    known = {provider["name"]: provider for provider in _providers(call)}
    missing = [name for name in call.arguments if name not in known]
    for name in call.arguments or sorted(known):
        if name in known:
            for line in details(known[name]):
                call.session.out(line)
    for name in missing:
        call.session.err(f"ExtStorage provider '{name}' is unknown")
    return Exit.FAILURE if missing else Exit.SUCCESS


def _diagnose(call: Call) -> int:
    broken = False
    for provider in _providers(call):
        broken = broken or not all(provider["nodegroup_status"].values())
        for line in diagnosis(provider):
            call.session.out(line)
    return Exit.FAILURE if broken else Exit.SUCCESS


COMMANDS = (
    Command(
        name="diagnose",
        summary="Show ext-storage providers on each node",
        run=_diagnose,
        options=(PRIORITY,),
    ),
    Command(
        name="info",
        aliases=("show",),
        summary="Show details of ext-storage providers",
        run=_info,
        arguments=Arguments(shown="[<provider>...]", maximum=None),
        options=(PRIORITY,),
    ),
)
