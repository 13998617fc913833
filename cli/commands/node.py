"""``gnt-node``: list, info, and joining a machine before OP_NODE_ADD."""

from __future__ import annotations

from typing import Any

from cli.asking import list_tags_command, tell_modified
from cli.batch import follow_made_jobs
from cli.catalogue import Body, Effect
from cli.command import Arguments, Call, Command
from cli.commands.node_storage import COMMANDS as STORAGE_COMMANDS
from cli.exits import Exit
from cli.listing import Kind, list_command, list_fields_command
from cli.output import info, params

KIND = Kind(
    what="node",
    plural="nodes",
    columns=(
        "name", "dtotal", "dfree", "mtotal", "mnode", "mfree", "pinst_cnt", "sinst_cnt",
    ),
    units=True,
)  # fmt: skip

_INFO_FIELDS = (
    "name",
    "pip",
    "sip",
    "master_candidate",
    "drained",
    "offline",
    "powered",
    "master_capable",
    "vm_capable",
    "pinst_list",
    "sinst_list",
    "custom_ndparams",
    "ndparams",
)
_INFO_TITLES = ("primary ip", "secondary ip", "master candidate", "drained", "offline")


def _info(call: Call) -> int:
    rows = call.session.door.query_names("QueryNodes", call.arguments, _INFO_FIELDS)
    for line in info([node_info(dict(zip(_INFO_FIELDS, row, strict=True))) for row in rows]):
        call.session.out(line)
    return Exit.SUCCESS


def node_info(node: dict[str, Any]) -> list[tuple[str, Any]]:
    """What ``info`` shows of one node."""
    rows: list[tuple[str, Any]] = [("Node name", node["name"])]
    rows += zip(_INFO_TITLES, (node[key] for key in _INFO_FIELDS[1:6]), strict=True)
    if node["powered"] is not None:
        rows.append(("powered", node["powered"]))
    return [
        *rows,
        ("master_capable", node["master_capable"]),
        ("vm_capable", node["vm_capable"]),
        ("primary for instances", sorted(node["pinst_list"] or ())),
        ("secondary for instances", sorted(node["sinst_list"] or ())),
        ("node parameters", params(node["custom_ndparams"], node["ndparams"] or {})),
    ]


def _modified(call: Call, body: Body, changes: Any) -> int:
    tell_modified(call, "node", body["node_name"], changes)
    return Exit.SUCCESS


def _add(call: Call, body: Body) -> int:
    # late: paramiko and the certificates cost more than every other command together
    from cli.joining import add_node

    return add_node(call, body)


def _ask_evacuate(call: Call, body: Body) -> bool:
    """The instances that leave are named; without any there is nothing to ask."""
    rows = call.session.door.query_names(
        "QueryNodes", [body["node_name"]], ("name", "pinst_list", "sinst_list")
    )
    ((name, primary, secondary),) = rows
    lists = {"primary-only": (primary,), "secondary-only": (secondary,)}
    leaving = sorted({one for names in lists.get(body["mode"], (primary, secondary))
                      for one in names or ()})  # fmt: skip
    if not leaving or call.given("force"):
        return True
    return call.session.ask(f"Relocate instance(s) {', '.join(leaving)} from node {name}?")


EFFECTS = {
    "modify": Effect(after=_modified),
    "add": Effect(instead=_add),
    "evacuate": Effect(before=_ask_evacuate, after=follow_made_jobs),
}

COMMANDS = (
    *STORAGE_COMMANDS,
    list_command(KIND),
    list_fields_command(KIND),
    list_tags_command("node"),
    Command(
        name="info",
        aliases=("show",),
        summary="Show details of nodes",
        run=_info,
        arguments=Arguments(shown="[<node>...]", maximum=None, completes="node"),
    ),
)
