"""The entry points of the twelve ``gnt-*`` commands.

Decided here: what the first word means, and how every failure ends: a text on standard error and
an exit code, never a traceback for what an operator can cause.
"""

from __future__ import annotations

import os as system
import shlex
import sys
import textwrap
from collections.abc import Callable, Sequence

from cli import catalogue
from cli.arguments import HelpAsked, UsageError, parse, usage_text
from cli.command import Command, Session
from cli.exits import CommandError, Exit, Told, WrongInput, told
from cli.session import RealSession
from clusterd.doorway.client import DoorRefused, DoorSilent
from clusterd.doorway.protocol import BadMessage, RequestFailed
from clusterd.errors import ClusterError, DoorAway, NoCluster, NotMaster
from clusterd.names import PRODUCT_VERSION, SOFTWARE_VERSION
from jobqueue.errors import JobQueueError, Refused

LIST_VARIABLES = {
    "node": "GNT_NODE_LIST",
    "instance": "GNT_INSTANCE_LIST",
    "group": "GNT_GROUP_LIST",
}
"""Tool -> variable with arguments that stand in front of those of its ``list``."""

_SUMMARY_WIDTH = 60


def run(tool: str, words: Sequence[str], session: Session) -> int:
    """One command from its words to its exit code."""
    first = words[0] if words else ""
    if first == "--version":
        session.out(f"gnt-{tool} (clusterd {PRODUCT_VERSION}) {SOFTWARE_VERSION}")
        return Exit.SUCCESS
    try:
        command = None if first.startswith("-") or not first else catalogue.find(tool, first)
        if command is not None:
            return _run_command(tool, command, words[1:], session)
        # snapshot add: the same as snapshot-add
        second = words[1] if len(words) > 1 else ""
        command = catalogue.find(tool, f"{first}-{second}") if first and second else None
        if command is not None:
            return _run_command(tool, command, words[2:], session)
        session.out(overview(tool))
        return Exit.SUCCESS if first in ("--help", "-h") else Exit.FAILURE
    except BrokenPipeError:
        raise
    except (CommandError, ClusterError, JobQueueError, OSError) as error:
        failure = explain(error, session)
        session.err(failure.text)
        return failure.code
    except KeyboardInterrupt:
        session.err(
            "Aborted. Jobs that were submitted go on; 'gnt-job list' shows them and"
            " 'gnt-job watch' follows one"
        )
        return Exit.FAILURE


def _run_command(tool: str, command: Command, words: Sequence[str], session: Session) -> int:
    program = f"gnt-{tool}"
    try:
        call = parse(program, command, [*_defaults(tool, command.name, session), *words], session)
    except HelpAsked as asked:
        session.out(str(asked))
        return Exit.SUCCESS
    except UsageError as error:
        session.err(f"{usage_text(program, command)}\n{program}: error: {error}")
        return error.exit_code
    return command.run(call)


def explain(error: Exception, session: Session) -> Told:
    """What is told about a failure."""
    match error:
        case RequestFailed():
            found = told(error.kind, list(error.details))
        case Refused() | WrongInput():
            found = told("OpPrereqError", [str(error), error.reason])
        case CommandError():
            found = Told(str(error), error.exit_code)
        case DoorRefused():
            found = Told(f"Cannot connect to the master daemon: {error}")
        case DoorSilent():
            found = Told(
                f"Timeout while talking to the master daemon: {error}. Jobs may have been submitted"
                " and go on; 'gnt-job list' shows them"
            )
        case DoorAway():
            found = _no_master(error, session)
        case BadMessage():
            found = told("ProtocolError", [str(error)])
        case NoCluster():
            found = Told(f"Failure: {error}", Exit.NOT_CLUSTER)
        case NotMaster():
            found = Told(f"Failure: {error}", Exit.NOT_MASTER)
        case OSError():
            # a file that was named is not there or may not be read, a disk is full
            where = f"{error.filename}: " if error.filename else ""
            found = Told(f"Failure: {where}{error.strerror or error}")
        case _:
            found = Told(f"Failure: {error}")
    return found


def _no_master(error: DoorAway, session: Session) -> Told:
    """Not part of a cluster, not the master, or the master daemon is down."""
    from clusterd.settings import Settings

    try:
        settings = Settings.load(environment=session.environment).require_cluster()
    except NoCluster as missing:
        return Told(f"Failure: {missing}", Exit.NOT_CLUSTER)
    except ClusterError as broken:
        return Told(f"Failure: {broken}")
    if settings.node.role == "node":
        return Told(
            "This node is not the master, please connect to the master node and rerun the command",
            Exit.NOT_MASTER,
        )
    return Told(
        f"Cannot communicate with the master daemon.\nIs it running and listening? {error}."
    )


def _defaults(tool: str, name: str, session: Session) -> list[str]:
    variable = LIST_VARIABLES.get(tool)
    if name != "list" or variable is None:
        return []
    try:
        return shlex.split(session.environment.get(variable, ""))
    except ValueError as error:
        raise CommandError(f"{variable} cannot be split into words: {error}") from None


def overview(tool: str) -> str:
    """All commands of a tool with their summaries."""
    commands = catalogue.commands(tool)
    width = max(len(command.name) for command in commands)
    lines = [
        f"Usage: gnt-{tool} {{command}} [options...] [argument...]",
        f"gnt-{tool} <command> --help to see details, or man gnt-{tool}",
        "",
        "Commands:",
    ]
    for command in commands:
        summary = command.summary if command.served else f"{command.summary} (not served yet)"
        first, *rest = textwrap.wrap(summary, _SUMMARY_WIDTH) or [""]
        lines.append(f" {command.name:<{width}} - {first}".rstrip())
        lines += [" " * (width + 4) + line for line in rest]
    return "\n".join([*lines, ""])


def _main(tool: str) -> int:
    session = RealSession()
    try:
        code = run(tool, sys.argv[1:], session)
        sys.stdout.flush()
        return int(code)
    except BrokenPipeError:
        # whoever read the output has enough; the interpreter must not complain about it at exit
        system.dup2(system.open(system.devnull, system.O_WRONLY), sys.stdout.fileno())
        return int(Exit.FAILURE)
    finally:
        session.close()


def _entry(tool: str) -> Callable[[], int]:
    return lambda: _main(tool)


cluster = _entry("cluster")
node = _entry("node")
instance = _entry("instance")
job = _entry("job")
os = _entry("os")
group = _entry("group")
image = _entry("image")
network = _entry("network")
backup = _entry("backup")
storage = _entry("storage")
debug = _entry("debug")
filter = _entry("filter")
