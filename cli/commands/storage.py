"""``gnt-storage``: ext-storage providers as the nodes have them; reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.command import Arguments, Command
from cli.site_plugins import Kind
from cli.spelling import PRIORITY


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


PROVIDERS = Kind(
    what="extstorage",
    called="ExtStorage provider",
    fields=("name", "node_status", "nodegroup_status", "parameters"),
    details=details,
    diagnosis=diagnosis,
    usable=lambda provider: all(provider["nodegroup_status"].values()),
)

COMMANDS = (
    Command(
        name="diagnose",
        summary="Show ext-storage providers on each node",
        run=PROVIDERS.diagnose,
        options=(PRIORITY,),
    ),
    Command(
        name="info",
        aliases=("show",),
        summary="Show details of ext-storage providers",
        run=PROVIDERS.info,
        arguments=Arguments(shown="[<provider>...]", maximum=None),
        options=(PRIORITY,),
    ),
)
