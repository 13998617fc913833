"""``gnt-backup``: the list, and what is asked before an instance is stopped or removed."""

from __future__ import annotations

from typing import Any

from cli.catalogue import Effect
from cli.command import Call, Command, Option
from cli.listing import Kind, list_fields_command, list_options, show

KIND = Kind(
    what="export",
    plural="exports",
    columns=("node", "export"),
    key="node",
    filters=False,
    units=True,
    extra=(
        Option(
            names=("-n", "--node"),
            many=True,
            metavar="NODE",
            words="Only exports on this node",
            completes="node",
        ),
    ),
)


def _ask_export(call: Call, body: dict[str, Any]) -> bool:
    """Removing is asked for."""
    if not body.get("remove_instance") or call.given("force"):
        return True
    return call.session.ask(f"Remove instance {body['instance_name']} after it was exported?")


EFFECTS = {
    "export": Effect(before=_ask_export, summary="Export an instance to a node"),
    "import": Effect(summary="Make an instance from an export"),
}


def _list(call: Call) -> int:
    nodes = call.given("node")
    return show(call, KIND, ["|", *(["==", "node", node] for node in nodes)] if nodes else None)


COMMANDS: tuple[Command, ...] = (
    Command(
        name="list",
        summary="List exports, by default their node and name",
        run=_list,
        options=list_options(KIND),
    ),
    list_fields_command(KIND),
)
