"""``gnt-filter``: the rules that say which queued jobs may run; no opcode is involved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cli.command import Arguments, Call, Command, Option
from cli.exits import Exit
from cli.listing import Kind, list_command, list_fields_command
from cli.notation import BadText, integer
from cli.output import info

FIELDS = ("uuid", "watermark", "priority", "predicates", "action", "reason_trail")
WORDS = ("ACCEPT", "CONTINUE", "PAUSE", "REJECT")
_PREDICATES_HELP = """\
Predicates are a JSON list; a job must meet all of them:
  ["jobid", [">", "id", "watermark"]]            jobs that came after the filter
  ["opcode", ["=", "OP_ID", "OP_INSTANCE_CREATE"]]   jobs with such an opcode
  ["reason", ["=~", "reason", "^maintenance"]]   jobs submitted for such a reason
Filters are asked in the order of their priorities, small numbers first. The first one that a job
meets decides, unless it says CONTINUE. What runs already is not affected."""


def action(text: str) -> Any:
    """``PAUSE``, or ``RATE_LIMIT 5`` as the door takes it."""
    word, *rest = text.split()
    word = word.upper()
    if word in WORDS and not rest:
        return word
    if word == "RATE_LIMIT" and len(rest) == 1 and rest[0].isdecimal():
        return [word, int(rest[0])]
    raise BadText(f"'{text}' is no action; use {', '.join(WORDS)} or 'RATE_LIMIT <n>'")


def predicates(text: str) -> list[Any]:
    """A JSON list."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadText(f"The predicates are not JSON: {error}") from None
    if not isinstance(found, list):
        raise BadText("The predicates are a JSON list of lists")
    return found


def shown_action(value: Any) -> str:
    """``RATE_LIMIT 5``"""
    return " ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(", ", ": "))


KIND = Kind(
    what="filter",
    plural="job filters",
    columns=FIELDS,
    key="uuid",
    formats={"predicates": _json, "action": shown_action, "reason_trail": _json},
)


def _replace(call: Call, uuid: str | None) -> int:
    now = call.session.now_ns()
    reason: list[list[Any]] = []
    if call.given("reason"):
        reason.append(["gnt:user", call.given("reason"), now])
    reason.append([f"gnt:client:{call.tool}", call.name, now])
    given = (call.given("priority"), call.given("predicates"), call.given("action"))
    call.session.out(str(call.session.door.call("ReplaceFilter", uuid, *given, reason)))
    return Exit.SUCCESS


def _delete(call: Call) -> int:
    call.session.door.call("DeleteFilter", call.arguments[0])
    return Exit.SUCCESS


def _info(call: Call) -> int:
    rows = call.session.door.call("QueryFilters", list(call.arguments) or None, list(FIELDS))
    for line in info([_described(dict(zip(FIELDS, row, strict=True))) for row in rows]):
        call.session.out(line)
    return Exit.SUCCESS


def _described(rule: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("UUID", rule["uuid"]),
        ("Watermark", rule["watermark"]),
        ("Priority", rule["priority"]),
        ("Predicates", [_json(one) for one in rule["predicates"]]),
        ("Action", shown_action(rule["action"])),
        ("Reason trail", [_json(one) for one in rule["reason_trail"]]),
    ]


_ONE = Arguments(shown="<filter-uuid>", minimum=1, maximum=1, completes="filter")
_OPTIONS = (
    Option(
        names=("--priority",), reads=integer, default=0, metavar="N",
        words="Filters with smaller numbers are asked first",
    ),
    Option(
        names=("--predicates",), reads=predicates, default=[], metavar="JSON",
        words="Which jobs it is about; all by default",
    ),
    Option(
        names=("--action",), reads=action, default="CONTINUE", metavar="ACTION",
        words="ACCEPT, CONTINUE, PAUSE, REJECT or 'RATE_LIMIT <n>'",
    ),
)  # fmt: skip

COMMANDS: tuple[Command, ...] = (
    list_command(KIND),
    list_fields_command(KIND),
    Command(
        name="info",
        summary="Show details of job filters",
        run=_info,
        arguments=Arguments(shown="[<filter-uuid>...]", maximum=None, completes="filter"),
    ),
    Command(
        name="add",
        summary="Add a job filter and print its UUID",
        run=lambda call: _replace(call, None),
        options=_OPTIONS,
        details=_PREDICATES_HELP,
    ),
    Command(
        name="replace",
        summary="Put another job filter in the place of one, or add it with this UUID",
        run=lambda call: _replace(call, call.arguments[0]),
        arguments=_ONE,
        options=_OPTIONS,
        details=_PREDICATES_HELP,
    ),
    Command(
        name="delete",
        summary="Delete a job filter; jobs that it held back may run",
        run=_delete,
        arguments=_ONE,
    ),
)
