"""Parsing: a command's options and arguments out of the words that were typed.

Decided here: options stand before arguments; what a mistake looks like; the help text. The parser
is click's, built from a ``Command``; where the options come from is no matter here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import click

from cli.abbreviations import written_out
from cli.command import Arguments, Call, Command, Option, Session
from cli.declarations import Field
from cli.exits import CommandError, Exit
from cli.notation import BadText, boolean, identified, integer, number, pairs, split

DEBUG = Option(names=("-d", "--debug"), counts=True, words="Increase debugging level")
REASON = Option(names=("--reason",), words="The reason for executing the command")
HELP = Option(names=("-h", "--help"), flag=True, words="Show this help message and exit")
EVERYWHERE = (DEBUG, REASON, HELP)

_WIDTH = 79
_INDENT = 24


class UsageError(CommandError):
    """The options make no sense; the usage is shown with it."""

    exit_code = Exit.USAGE


class HelpAsked(Exception):
    """Help was asked for; the text is the argument."""


READS: dict[str, Callable[[Any], Any]] = {
    "switch": boolean,
    "integer": integer,
    "number": number,
    "names": split,
    "params": pairs,
}
"""Kind of a field -> how its text is read, where no row says otherwise."""


def option_of(field: Field) -> Option:
    """The option that a field has when no row gives it a spelling."""
    name = "--" + field.name.replace("_", "-")
    words = field.words
    match field.kind:
        case "flag":
            return Option(names=(name,), field=field.name, flag=True, words=words)
        case "unflag":
            return Option(
                names=("--no-" + name[2:],),
                field=field.name,
                flag=True,
                reads=lambda _given: False,
                words=f"Not: {words}",
            )
        case "nested":
            return Option(
                names=(name,), field=field.name, many=True, words=words,
                metavar="NAME:KEY=VALUE,...", reads=read_nested,
            )  # fmt: skip
        case "json":
            return Option(names=(name,), field=field.name, words=words, metavar="JSON", reads=_json)
    metavar = {"switch": "yes|no", "integer": "N", "number": "N", "params": "KEY=VALUE,..."}
    return Option(
        names=(name,),
        field=field.name,
        words=words,
        choices=field.choices,
        metavar=metavar.get(field.kind, ""),
        reads=READS.get(field.kind),
    )


def read_nested(texts: Sequence[str]) -> dict[str, Any]:
    """``("kvm:a=1", "xen:b=2")`` -> {"kvm": {"a": "1"}, "xen": {"b": "2"}}."""
    found: dict[str, Any] = {}
    for text in texts:
        name, values = identified(text)
        if not isinstance(values, dict):
            raise BadText(f"'{text}' has no parameters; write NAME:KEY=VALUE,...")
        found.setdefault(name, {}).update(values)
    return found


def _json(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadText(f"'{text}' is not JSON: {error}") from None


NAMING = "idempotency_key"


def parse(tool: str, command: Command, words: Sequence[str], session: Session) -> Call:
    """A call, or UsageError, CommandError, HelpAsked."""
    options = (*command.options, *EVERYWHERE)
    parser = click.Command(
        command.name,
        params=[_parameter(index, option) for index, option in enumerate(options)]
        + [click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={
            "allow_interspersed_args": command.options_anywhere,
            # one that is not served says so, whatever it is given
            "ignore_unknown_options": not command.served,
        },
        add_help_option=False,
    )
    takes_value = {
        name: not (option.flag or option.counts) for option in options for name in option.names
    }
    try:
        whole = written_out(words, takes_value) if command.served else list(words)
        with parser.make_context(command.name, whole) as context:
            raw = context.params
    except BadText as error:
        raise UsageError(str(error)) from None
    except click.exceptions.NoSuchOption as error:
        raise UsageError(f"no such option: {error.option_name}") from None
    except click.UsageError as error:
        message = error.format_message().rstrip(".")
        raise UsageError(message[:1].lower() + message[1:]) from None
    if raw[_dest(len(options) - 1)]:
        raise HelpAsked(help_text(tool, command))
    found: dict[str, Any] = {}
    for index, option in enumerate(options):
        value = _read(option, raw[_dest(index)])
        if value is not None:
            found[option.key] = value
    arguments = tuple(str(word) for word in raw["words"])
    check_arguments(command.name, command.arguments, arguments)
    return Call(
        tool=tool,
        name=command.name,
        options=found,
        arguments=arguments,
        session=session,
        may_name=any(option.key == NAMING for option in command.options),
    )


def _dest(index: int) -> str:
    return f"option_{index}"


def _parameter(index: int, option: Option) -> click.Option:
    decls = [*option.names, _dest(index)]
    if option.counts:
        return click.Option(decls, count=True)
    if option.flag:
        return click.Option(decls, is_flag=True, default=False)
    kind: Any = click.Choice(option.choices) if option.choices else click.STRING
    return click.Option(decls, type=kind, multiple=option.many, default=None)


def _read(option: Option, raw: Any) -> Any:
    if raw is None or raw is False or raw in (0, ()):
        return option.default
    if option.reads is None:
        return raw
    try:
        return option.reads(raw)
    except BadText as error:
        raise UsageError(f"option {option.names[0]}: {error}") from None


def check_arguments(name: str, wanted: Arguments, given: Sequence[str]) -> None:
    """The number of arguments is right, or CommandError."""
    count = len(given)
    few, many = count < wanted.minimum, wanted.maximum is not None and count > wanted.maximum
    if not few and not many:
        return
    if wanted.maximum == 0:
        expected = "no arguments"
    elif wanted.maximum == wanted.minimum:
        expected = f"{wanted.minimum} argument(s)"
    else:
        expected = (
            f"at least {wanted.minimum} argument(s)"
            if few
            else f"at most {wanted.maximum} argument(s)"
        )
    late = next((word for word in given if word.startswith("-") and len(word) > 1), None)
    hint = f"; options stand before the arguments: {late}" if many and late else ""
    raise CommandError(f"Error: Command {name} expects {expected}{hint}")


def usage_text(tool: str, command: Command) -> str:
    """The heading and the usage line."""
    shown = command.usage or ("[options...]" if command.options else "")
    parts = [tool, command.name, shown, command.arguments.shown]
    return "Usage\n=====\n  " + " ".join(part for part in parts if part) + "\n"


def help_text(tool: str, command: Command) -> str:
    """Everything about one command."""
    lines = [usage_text(tool, command), *textwrap.wrap(command.summary, _WIDTH), ""]
    lines += ["Options", "======="]
    for option in (*command.options, *EVERYWHERE):
        lines += option_lines(option)
    return "\n".join(lines)


def option_spellings(option: Option) -> str:
    """``--disk-template=TEMPLATE, -t TEMPLATE``; the long form first."""
    metavar = option.metavar
    if option.choices:
        metavar = "|".join(option.choices)
    elif not metavar and not option.flag and not option.counts:
        metavar = option.key.upper()
    ordered = sorted(option.names, key=lambda name: not name.startswith("--"))
    if not metavar:
        return ", ".join(ordered)
    return ", ".join(
        f"{name}={metavar}" if name.startswith("--") else f"{name} {metavar}" for name in ordered
    )


def option_lines(option: Option) -> list[str]:
    """One option in a help text."""
    spelled = option_spellings(option)
    words = textwrap.wrap(option.words, _WIDTH - _INDENT) or [""]
    if len(spelled) + 2 > _INDENT:
        return [spelled, *(" " * _INDENT + line for line in words if line)]
    first = f"{spelled:<{_INDENT}}{words[0]}".rstrip()
    return [first, *(" " * _INDENT + line for line in words[1:])]
