"""``gnt-backup``: lists; exports are not served yet."""

from __future__ import annotations

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
