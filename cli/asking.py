"""Small things that commands of several tools do: tags, object lists, modified values.

Decided here: their words only.
"""

from __future__ import annotations

from typing import Any

from cli.catalogue import Body
from cli.command import Arguments, Call, Command
from cli.exits import Exit


def list_tags_command(kind: str, *, named: bool = True) -> Command:
    """``list-tags``"""

    def run(call: Call) -> int:
        name = call.arguments[0] if named else None
        for tag in sorted(call.session.door.call("QueryTags", kind, name)):
            call.session.out(tag)
        return Exit.SUCCESS

    count = 1 if named else 0
    return Command(
        name="list-tags",
        summary=f"List the tags of the {kind}",
        run=run,
        arguments=Arguments(
            shown=f"<{kind}>" if named else "",
            minimum=count,
            maximum=count,
            completes="group" if kind == "nodegroup" else kind,
        ),
    )


def tell_tags(call: Call, _body: Body, found: Any) -> int:
    """What a search for tags found; finding nothing is a failure."""
    for path, tag in found:
        call.session.out(f"{path} {tag}")
    return Exit.SUCCESS if found else Exit.FAILURE


def tell_modified(call: Call, kind: str, name: str, changes: Any) -> None:
    """What a modifying opcode says that it changed."""
    if not changes:
        return
    call.session.out(f"Modified {kind} {name}")
    for parameter, value in changes:
        call.session.out(f" - {parameter} -> {value}")
