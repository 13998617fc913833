"""``gnt-instance``: questions before dangerous commands, results, list, info and console."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec

from cli import jobs
from cli.asking import list_tags_command, tell_modified
from cli.batch import BATCH_CREATE, follow_made_jobs
from cli.catalogue import Body, Effect
from cli.command import Arguments, Call, Command, Option
from cli.commands.instance_info import instance_info
from cli.exits import CommandError, Exit
from cli.listing import Kind, list_command, list_fields_command
from cli.output import info, roman
from cli.spelling import PRIORITY

INFO_AT_ONCE = 100
"""Instances that one job tells of: what it tells is kept with it."""

KIND = Kind(
    what="instance",
    plural="instances",
    columns=("name", "hypervisor", "os", "pnode", "status", "oper_ram"),
    units=True,
)

SNAPSHOTS = Kind(
    what="snapshot",
    plural="snapshots of instances",
    shown="[<instance>...]",
    columns=("instance", "snapshot", "ctime", "size", "children"),
    key="instance",
    formats={"children": ",".join},
    units=True,
)

RESTART_NOTICE = (
    "Please don't forget that most parameters take effect only when the instance is started the"
    " next time by the cluster; a restart from inside the instance is not enough."
)


def _asked(call: Call, body: Body, question: str) -> bool:
    """The instance exists, and the operator wants it."""
    if call.given("force"):
        return True
    name = body["instance_name"]
    ((full,),) = call.session.door.query_names("QueryInstances", [name], ["name"])
    return call.session.ask(question.format(name=full))


def _ask_remove(call: Call, body: Body) -> bool:
    return _asked(call, body, "This removes the instance {name} and all data on its disks. Go on?")


def _ask_failover(call: Call, body: Body) -> bool:
    return _asked(
        call, body, "The instance {name} is stopped and started on its other node. Go on?"
    )


def _ask_migrate(call: Call, body: Body) -> bool:
    if body.get("cleanup"):
        return _asked(
            call,
            body,
            "The interrupted migration of {name} is repaired; look first on which node it runs."
            " Go on?",
        )
    return _asked(call, body, "The running instance {name} is moved to its other node. Go on?")


def _modified(call: Call, body: Body, changes: Any) -> int:
    if changes:
        tell_modified(call, "instance", body["instance_name"], changes)
        call.session.out(RESTART_NOTICE)
    return Exit.SUCCESS


def _activated(call: Call, _body: Body, disks: Any) -> int:
    for node, name, path in disks or ():
        call.session.out(f"{node}:{name}:{path}")
    return Exit.SUCCESS


def _explained(call: Call, body: Body) -> int:
    """Only what would be chosen, or the usual way."""
    if not call.given("explain"):
        jobs.submit_or_run(call, body)
        return Exit.SUCCESS
    return jobs.explain(call, body)


EFFECTS = {
    "add": Effect(instead=_explained),
    "change-group": Effect(after=follow_made_jobs),
    "remove": Effect(before=_ask_remove),
    "failover": Effect(before=_ask_failover),
    "migrate": Effect(before=_ask_migrate),
    "modify": Effect(after=_modified),
    "activate-disks": Effect(after=_activated),
}


def _all_names(call: Call) -> list[str]:
    """Of all instances, where they are more than one job tells of; none where it tells of all."""
    rows = call.session.door.query_names("QueryInstances", [], ["name"])
    return [str(name) for (name,) in rows] if len(rows) > INFO_AT_ONCE else []


def _info(call: Call) -> int:
    if not call.arguments and not call.given("all"):
        raise CommandError(
            "No instance selected. Please pass in --all if you want to query all instances."
        )
    if call.arguments and call.given("all"):
        raise CommandError("No names can be given together with --all")
    static = bool(call.given("static"))
    names = list(call.arguments) or _all_names(call)
    shown = []
    for start in range(0, max(len(names), 1), INFO_AT_ONCE):
        body = {
            "OP_ID": "OP_INSTANCE_QUERY_DATA",
            "instances": names[start : start + INFO_AT_ONCE],
            "static": static,
        }
        found = jobs.run(call, body)
        shown += [instance_info(data, static=static) for data in found.values()]
    for line in info(roman(shown) if call.given("roman") else shown):
        call.session.out(line)
    return Exit.SUCCESS


def _console(call: Call) -> int:
    body = {"OP_ID": "OP_INSTANCE_CONSOLE", "instance_name": call.arguments[0]}
    console = jobs.run(call, body)
    kind = console.get("kind")
    if kind == "msg":
        call.session.out(console["message"])
        return Exit.SUCCESS
    if kind in ("vnc", "spice"):
        host, port = console["host"], console["port"]
        display = "" if console.get("display") is None else f" (display {console['display']})"
        call.session.out(
            f"The instance has {kind.upper()} listening on {host}:{port}{display}, {kind}://{host}:{port}/"
        )
        return Exit.SUCCESS
    if kind != "ssh":
        raise CommandError(f"This version does not know consoles of kind '{kind}'")
    argv = ssh_command(console)
    if call.given("show_cmd"):
        call.session.out(shlex.join(argv))
        return Exit.SUCCESS
    return call.session.replace_process(argv)


def ssh_command(console: dict[str, Any]) -> list[str]:
    """The program that opens a console of kind ssh; Escape keys go to the guest."""
    command = console["command"]
    remote = command if isinstance(command, str) else shlex.join(command)
    user, port = console.get("user"), console.get("port")
    argv = ["ssh", "-o", "EscapeChar=none", "-t"]
    argv += ["-p", str(port)] if port else []
    return [*argv, f"{user}@{console['host']}" if user else console["host"], remote]


COMMANDS = (
    list_command(KIND),
    list_fields_command(KIND),
    list_tags_command("instance"),
    msgspec.structs.replace(list_command(SNAPSHOTS), name="snapshot-list"),
    Command(
        name="info",
        aliases=("show",),
        summary="Show details of instances",
        run=_info,
        arguments=Arguments(shown="[<instance>...]", maximum=None, completes="instance"),
        options=(
            Option(names=("-s", "--static"), flag=True, words="Do not ask the nodes"),
            Option(names=("--all",), flag=True, words="All instances; may take long"),
            Option(names=("--roman",), flag=True, words="Roman numbers"),
            PRIORITY,
        ),
    ),
    BATCH_CREATE,
    Command(
        name="console",
        summary="Open the console of an instance",
        run=_console,
        arguments=Arguments(shown="<instance>", minimum=1, maximum=1, completes="instance"),
        options=(
            Option(names=("--show-cmd",), flag=True, words="Print the command, do not run it"),
            PRIORITY,
        ),
    ),
)
