"""``gnt-group``: list and info, and what follows changes."""

from __future__ import annotations

from typing import Any

from cli.asking import list_tags_command, tell_modified
from cli.batch import follow_made_jobs
from cli.catalogue import Body, Effect
from cli.command import Arguments, Call, Command, Option
from cli.exits import Exit
from cli.listing import Kind, list_command, list_fields_command
from cli.output import info, params
from cli.policy import policy_info, policy_options

KIND = Kind(
    what="group",
    plural="node groups",
    columns=("name", "node_cnt", "pinst_cnt", "alloc_policy", "ndparams"),
    formats={
        "ndparams": lambda value: ", ".join(f"{key}={item}" for key, item in value.items()),
    },
)

_INFO_FIELDS = (
    "name",
    "ndparams",
    "custom_ndparams",
    "diskparams",
    "custom_diskparams",
    "ipolicy",
    "custom_ipolicy",
    "hv_state",
    "disk_state",
)


def _info(call: Call) -> int:
    rows = call.session.door.query_names("QueryGroups", call.arguments, _INFO_FIELDS)
    for line in info([group_info(dict(zip(_INFO_FIELDS, row, strict=True))) for row in rows]):
        call.session.out(line)
    return Exit.SUCCESS


def _show_ispecs(call: Call) -> int:
    asked = ("name", "ipolicy" if call.given("include_defaults") else "custom_ipolicy")
    rows = call.session.door.query_names("QueryGroups", call.arguments, asked)
    for name, found in rows:
        # a group has no usual instance of its own
        policy = {key: value for key, value in (found or {}).items() if key != "std"}
        call.session.out(" ".join(["gnt-group add", *policy_options(policy), name]))
    return Exit.SUCCESS


def group_info(group: dict[str, Any]) -> list[tuple[str, Any]]:
    """What ``info`` shows of one group."""
    return [
        ("Node group", group["name"]),
        ("Node parameters", params(group["custom_ndparams"], group["ndparams"] or {})),
        ("Disk parameters", params(group["custom_diskparams"], group["diskparams"] or {})),
        ("Hypervisor state", group["hv_state"] or {}),
        ("Disk state", group["disk_state"] or {}),
        ("Instance policy", policy_info(group["ipolicy"] or {}, group["custom_ipolicy"] or {})),
    ]


def _modified(call: Call, body: Body, changes: Any) -> int:
    tell_modified(call, "node group", body["group_name"], changes)
    return Exit.SUCCESS


EFFECTS = {
    "modify": Effect(after=_modified),
    "evacuate": Effect(after=follow_made_jobs),
}

COMMANDS = (
    list_command(KIND),
    list_fields_command(KIND),
    list_tags_command("nodegroup"),
    Command(
        name="info",
        summary="Show details of node groups",
        run=_info,
        arguments=Arguments(shown="[<group>...]", maximum=None, completes="group"),
    ),
    Command(
        name="show-ispecs-cmd",
        summary="Print the command that makes the instance policy",
        run=_show_ispecs,
        arguments=Arguments(shown="[<group>...]", maximum=None, completes="group"),
        options=(
            Option(
                names=("--include-defaults",),
                flag=True,
                words="With what the group takes from the cluster",
            ),
        ),
    ),
)
