"""How one opcode is spelled as a command: the shape of a row, and how values become its JSON.

Decided here: a field without a row gets the option that its type makes; a field that is filled by
a row, an argument or ``fixed``, or is ``hidden``, gets none. The rows themselves are
``compatibility``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cli import readers
from cli.arguments import READS, option_of, read_nested
from cli.command import Arguments, Call, Option
from cli.declarations import Declaration, Field
from cli.words import WORDS

SUBMIT = Option(
    names=("--submit",),
    flag=True,
    words="Submit the job and print its number, but do not wait for it to end",
)
PRINT_JOBID = Option(
    names=("--print-jobid",),
    flag=True,
    words="Print the job's number as first line on standard output",
)
PRIORITIES = {"low": 10, "normal": 0, "high": -10}
PRIORITY = Option(
    names=("--priority",),
    choices=tuple(PRIORITIES),
    reads=PRIORITIES.__getitem__,
    words="How urgent the job is",
)
ANY_PRIORITY = Option(
    names=("--priority",),
    reads=readers.priority,
    metavar="PRIORITY",
    words="highest, high, normal, low, lowest, or a number from -20 (first) to 19 (last)",
)
KEY = Option(
    names=("--idempotency-key",),
    reads=readers.request_name,
    metavar="TEXT",
    words="Name of this request: the same name submits once, however often it is repeated",
)
DRY_RUN = Option(
    names=("--dry-run",),
    flag=True,
    words="Check only whether it is possible, and say what would be done",
)
LETTERS = {"J": (SUBMIT, PRINT_JOBID), "P": (PRIORITY, KEY), "D": (DRY_RUN,)}
"""What jobs have in common, by the letters of ``Spelling.common``."""

NAMED = ("instance", "node", "group", "network")
"""Kinds of objects whose names complete arguments."""

Finish = Callable[[dict[str, Any]], dict[str, Any]]


class Spelling(msgspec.Struct, frozen=True, kw_only=True):
    """One row: an opcode as a command."""

    tool: str
    name: str
    opcode: str = ""
    """The module of the opcode."""
    request: str = ""
    """Instead of an opcode: the struct that the command fills, ``package.module.Struct``."""
    aliases: tuple[str, ...] = ()
    positional: tuple[str, ...] = ()
    """Fields that arguments fill, in order; without it, the first required one."""
    reads: Mapping[str, Callable[[str], Any]] = {}
    """How the text of an argument becomes its field's value, where its type does not say."""
    shown: str = ""
    usage: str = ""
    options: tuple[Option, ...] = ()
    hidden: tuple[str, ...] = ()
    """Fields that have no option: internal, or filled by ``finish``."""
    fixed: Mapping[str, Any] = {}
    """Fields that this command always sends."""
    finish: Finish | None = None
    """The last word on the fields; refuses what does not fit together."""
    common: str = "JPD"
    extra: tuple[Option, ...] = ()
    """Options that are the command's and not the opcode's."""
    selects: bool = False
    """It is done to many objects, chosen by options."""
    reports_nothing_given: bool = False
    """Without any option it is a mistake."""


def positional_of(spelling: Spelling, declaration: Declaration) -> tuple[str, ...]:
    """The fields that arguments fill."""
    if spelling.positional:
        return spelling.positional
    required = [field.name for field in declaration.fields.values() if field.required]
    return tuple(required[:1])


def options_of(spelling: Spelling, declaration: Declaration) -> tuple[Option, ...]:
    """All options: the rows, then what is left of the fields, then what jobs have in common."""
    rows = tuple(_completed(option, declaration) for option in spelling.options)
    taken = {option.field for option in rows} | set(spelling.hidden) | set(spelling.fixed)
    taken |= set(positional_of(spelling, declaration))
    rest = tuple(
        option_of(msgspec.structs.replace(field, words=words_of(field)))
        for field in declaration.fields.values()
        if field.name not in taken
    )
    names = {name for option in (*rows, *spelling.extra) for name in option.names}
    rest = tuple(option for option in rest if names.isdisjoint(option.names))
    common = tuple(option for letter in spelling.common for option in LETTERS[letter])
    return (*rows, *spelling.extra, *rest, *common)


def words_of(field: Field) -> str:
    """The declaration's, else those kept beside the rows, else its name."""
    words = field.words or WORDS.get(field.name, field.name.replace("_", " "))
    return words[:1].upper() + words[1:]


def _completed(option: Option, declaration: Declaration) -> Option:
    """A row with what it leaves empty taken from the field."""
    field = declaration.fields.get(option.field)
    if field is None:
        return option
    changes: dict[str, Any] = {}
    if not option.words:
        changes["words"] = words_of(field)
    if option.reads is None and option.fields is None:
        if field.kind in ("flag", "unflag"):
            sent = field.kind == "flag"
            changes |= {"flag": True, "reads": lambda _given: sent}
        elif field.kind == "nested":
            changes |= {"many": True, "reads": read_nested}
        elif not option.flag:
            changes |= {"reads": READS.get(field.kind), "choices": option.choices or field.choices}
    return msgspec.structs.replace(option, **changes) if changes else option


def arguments_of(spelling: Spelling, declaration: Declaration) -> Arguments:
    """The positional arguments; the last one takes many if its field does."""
    fields = positional_of(spelling, declaration)
    shown = spelling.shown or " ".join(f"<{name.replace('_', '-')}>" for name in fields)
    many = bool(fields) and declaration.fields[fields[-1]].kind == "names"
    said = " ".join((*fields, shown))
    kind = next((name for name in NAMED if name in said), "")
    if spelling.selects:
        return Arguments(shown=shown, minimum=0, maximum=None, completes=kind)
    count = len(fields)
    minimum = max(0, count - sum(word.startswith("[") for word in shown.split()))
    return Arguments(shown=shown, minimum=minimum, maximum=None if many else count, completes=kind)


def body_of(spelling: Spelling, declaration: Declaration, call: Call) -> dict[str, Any]:
    """The opcode as JSON; only what was given, what is fixed, and OP_ID."""
    body: dict[str, Any] = dict(spelling.fixed)
    for option in options_of(spelling, declaration):
        value = call.given(option.key)
        if value is None:
            continue
        if option.fields is not None:
            body.update(option.fields(value))
        elif option.field:
            body[option.field] = value
    if not spelling.selects:
        body.update(_positional(spelling, declaration, call.arguments))
    if spelling.finish is not None:
        body = spelling.finish(body)
    return {"OP_ID": declaration.op_id, **body} if declaration.op_id else body


def _positional(
    spelling: Spelling, declaration: Declaration, given: tuple[str, ...]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    fields = positional_of(spelling, declaration)
    for index, name in enumerate(fields):
        kind = declaration.fields[name].kind
        if kind == "names":
            found[name] = list(given[index:])
        elif index < len(given):
            read = spelling.reads.get(name) or READS.get(kind)
            found[name] = read(given[index]) if read else given[index]
    return found
