"""Exit codes, and how every failure is told on standard error.

Decided here: error -> (text, exit code), by one table of the error's class name on the wire. The
words before an error of an operation are those that programs around Ganeti look for.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import msgspec


class Exit(enum.IntEnum):
    """What a command answers to the shell."""

    SUCCESS = 0
    FAILURE = 1
    USAGE = 2
    NOT_CLUSTER = 5
    NOT_MASTER = 11
    NODE_SETUP = 12
    CONFIRMATION = 13
    UNKNOWN_FIELD = 14


CONFIGURATION_BROKEN = 2
"""Shares its number with ``USAGE``."""


class CommandError(Exception):
    """A command cannot be carried out as it was given; nothing was sent."""

    exit_code: int = Exit.FAILURE


class WrongInput(CommandError):
    """Refused before sending, told like a refusal of the master."""

    def __init__(self, message: str, reason: str = "wrong_input") -> None:
        super().__init__(message)
        self.reason = reason


class Declined(CommandError):
    """A question was not answered with yes."""

    exit_code = Exit.CONFIRMATION


class NotServed(CommandError):
    """This version has no such operation."""


class Told(msgspec.Struct, frozen=True):
    """What is written on standard error, and the exit code."""

    text: str
    code: int = Exit.FAILURE


def _first(args: list[Any]) -> str:
    return str(args[0]) if args else "(no details)"


def _refused(args: list[Any]) -> Told:
    reason = str(args[1]) if len(args) > 1 and args[1] else ""
    if not reason:
        return Told(f"Failure: prerequisites not met for this operation:\n{_first(args)}")
    return Told(
        "Failure: prerequisites not met for this operation:\n"
        f"error type: {reason}, error details:\n{_first(args)}"
    )


def _hooks(args: list[Any]) -> Told:
    lines = ["Failure: hooks execution failed:"]
    rows = args[0] if args and isinstance(args[0], list) else [args]
    for row in rows:
        if isinstance(row, list) and len(row) == 3:
            node, script, output = row
            said = output if output else "(no output)"
            lines.append(f"  node: {node}, script: {script}, output: {said}")
        else:
            lines.append(f"  {_first(row) if isinstance(row, list) else row}")
    return Told("\n".join(lines))


def _prefixed(prefix: str, code: int = Exit.FAILURE) -> Callable[[list[Any]], Told]:
    return lambda args: Told(f"{prefix}{_first(args)}", code)


TABLE: dict[str, Callable[[list[Any]], Told]] = {
    "OpPrereqError": _refused,
    "GenericError": _prefixed("Failure: GenericError: "),
    "OpExecError": _prefixed("Failure: command execution error:\n"),
    "HooksAbort": _hooks,
    "HooksFailure": _prefixed("Failure: hooks general failure: "),
    "TagError": _prefixed("Failure: invalid tag(s) given:\n"),
    "ResolverError": _prefixed("Failure: cannot resolve host name "),
    "ConfigurationError": _prefixed("Corrupt configuration: ", CONFIGURATION_BROKEN),
    "TypeEnforcementError": _prefixed("Parameter Error: "),
    "ParameterError": _prefixed("Failure: unknown or wrong parameter: "),
    "JobQueueDrainError": _prefixed("Failure: the job queue is drained and takes no new jobs: "),
    "JobQueueFull": _prefixed("Failure: the job queue is full and takes no new jobs: "),
    "JobQueueError": _prefixed("Job queue error: "),
    "JobLost": _prefixed("Error checking job status: "),
    "JobCanceled": _prefixed("Failure: "),
    "NotMaster": _prefixed("Failure: ", Exit.NOT_MASTER),
    "QueryFilterParseError": _prefixed("Error while parsing query filter: "),
    "ProtocolError": _prefixed("Unhandled protocol error while talking to the master daemon:\n"),
}
"""By the class name that stands in a failed reply or a failed opcode's result."""


def told(kind: str, args: list[Any]) -> Told:
    """How an encoded error is told; a name that is not in the table is told plainly."""
    row = TABLE.get(kind)
    if row is not None:
        return row(args)
    return Told(f"Failure: {kind}: {', '.join(str(arg) for arg in args) or '(no details)'}")


def encoded_error(result: Any) -> tuple[str, list[Any]] | None:
    """The class name and arguments if a job's result is an encoded error."""
    if (
        isinstance(result, list)
        and len(result) == 2
        and isinstance(result[0], str)
        and isinstance(result[1], list)
    ):
        return result[0], result[1]
    return None
