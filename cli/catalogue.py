"""Which commands a tool has: derived from opcodes, written by hand, or known and not served.

Decided here: the order of preference. A hand-written command stands before a row, a row before an
opcode that nobody spelled, and all before the list of what Ganeti has and this version has not.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from cli import declarations, jobs, selection
from cli.command import Arguments, Call, Command
from cli.compatibility import INTERNAL, SPELLINGS, TOOL_OF
from cli.exits import CommandError, Exit, NotServed
from cli.spelling import Spelling, arguments_of, body_of, options_of
from cli.unserved import UNSERVED

Body = dict[str, Any]


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a derived command does besides sending its opcode. A tool's module names them."""

    before: Callable[[Call, Body], bool] | None = None
    """Asks; False ends it with exit code 1."""
    after: Callable[[Call, Body, Any], int] | None = None
    """Prints the opcode's result; the exit code."""
    instead: Callable[[Call, Body], int] | None = None
    """Does it all, and submits the opcode itself if there is one."""
    summary: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A command by name; built when it is used, so that only one opcode is imported."""

    name: str
    aliases: tuple[str, ...]
    build: Callable[[], Command | None]
    """None: the module that looked like an opcode declares none."""


def entries(tool: str) -> dict[str, Entry]:
    """All commands of ``gnt-<tool>``, by name, without aliases."""
    module = importlib.import_module(f"cli.commands.{tool}")
    written: tuple[Command, ...] = module.COMMANDS
    effects: Mapping[str, Effect] = getattr(module, "EFFECTS", {})
    found: dict[str, Entry] = {}
    for name, shown, summary in UNSERVED.get(tool, ()):
        found[name] = _entry(_unserved(tool, name, shown, summary))
    modules = declarations.modules()
    for spelling in (*_unspelled(tool, modules), *SPELLINGS):
        if spelling.tool == tool and (spelling.request or spelling.opcode in modules):
            found[spelling.name] = Entry(
                name=spelling.name,
                aliases=spelling.aliases,
                build=_builder(spelling, effects.get(spelling.name, Effect())),
            )
    found.update({command.name: _entry(command) for command in written})
    return dict(sorted(found.items()))


def find(tool: str, word: str) -> Command | None:
    """The command that a word means."""
    known = entries(tool)
    entry = known.get(word) or next(
        (entry for entry in known.values() if word in entry.aliases), None
    )
    return entry.build() if entry else None


def commands(tool: str) -> list[Command]:
    """All commands of ``gnt-<tool>``, built; imports every opcode of the tool."""
    built = (entry.build() for entry in entries(tool).values())
    return [command for command in built if command is not None]


def _entry(command: Command) -> Entry:
    return Entry(name=command.name, aliases=command.aliases, build=lambda: command)


def _builder(spelling: Spelling, effect: Effect) -> Callable[[], Command | None]:
    return lambda: derived(spelling, effect)


def _unspelled(tool: str, modules: list[str]) -> list[Spelling]:
    """Rows for opcodes that have none: ``instance_clone`` is ``gnt-instance clone``."""
    spelled = {spelling.opcode for spelling in SPELLINGS} | INTERNAL
    found = []
    for module in modules:
        first, _, rest = module.partition("_")
        if module not in spelled and rest and TOOL_OF.get(first, first) == tool:
            found.append(Spelling(tool=tool, name=rest.replace("_", "-"), opcode=module))
    return found


def derived(spelling: Spelling, effect: Effect) -> Command | None:
    """The command of one opcode."""
    declaration = (
        declarations.load_request(spelling.request)
        if spelling.request
        else declarations.load(spelling.opcode)
    )
    if declaration is None:
        return None
    options = options_of(spelling, declaration)
    if spelling.selects:
        options = (*options, *selection.OPTIONS)

    def run(call: Call) -> int:
        body = body_of(spelling, declaration, call)
        if spelling.reports_nothing_given and not _gives_something(spelling, body):
            raise CommandError("Please give at least one of the parameters.")
        if spelling.selects:
            return _to_many(spelling, call, body)
        if effect.before is not None and not effect.before(call, body):
            return Exit.FAILURE
        if effect.instead is not None:
            return effect.instead(call, body)
        ran = jobs.submit_or_run(call, body)
        if ran is None or effect.after is None:
            return Exit.SUCCESS
        return effect.after(call, body, ran.results[0])

    return Command(
        name=spelling.name,
        summary=effect.summary or declaration.words,
        run=run,
        arguments=arguments_of(spelling, declaration),
        options=options,
        aliases=spelling.aliases,
        usage=spelling.usage,
    )


def _gives_something(spelling: Spelling, body: Body) -> bool:
    quiet = {"OP_ID", "force", "force_variant", "ignore_ipolicy", "auto_promote"}
    quiet |= {f"{kind}_name" for kind in ("instance", "node", "group", "network", "image")}
    quiet |= {*spelling.positional, *spelling.fixed}
    return bool(body.keys() - quiet)


def _to_many(spelling: Spelling, call: Call, body: Body) -> int:
    names = selection.selected(call)
    if not names:
        if call.given("all"):
            call.session.out(f"The cluster has no instances to {spelling.name}")
            return Exit.SUCCESS
        raise CommandError("Failure: no instance is selected")
    if not selection.confirmed(call, names, spelling.name):
        return Exit.FAILURE
    several = selection.mode_of(call).key != "instance" or len(names) > 1
    together = jobs.JobSet(call, verbose=several)
    for name in names:
        together.queue(name, {**body, "instance_name": name})
    return jobs.exit_code(together.finish())


def _unserved(tool: str, name: str, shown: str, summary: str) -> Command:
    def run(_call: Call) -> int:
        raise NotServed(f"gnt-{tool} {name} is not served yet by this version")

    return Command(
        name=name,
        summary=summary,
        run=run,
        arguments=Arguments(shown=shown, maximum=None),
        served=False,
    )
