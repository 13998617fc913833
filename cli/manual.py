"""Manual pages of the ``gnt-*`` commands, written from the same values as parsing and help.

``python -m cli.manual DIRECTORY`` writes ``gnt-*.8`` there. Decided here: the layout of a page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cli import catalogue
from cli.arguments import EVERYWHERE, option_spellings
from cli.command import Command
from cli.exits import Exit
from cli.tools import TOOLS
from clusterd.names import PRODUCT_VERSION

_EXIT_WORDS = {
    Exit.SUCCESS: "It is done.",
    Exit.FAILURE: "It failed, or was refused.",
    Exit.USAGE: "The options make no sense, or the configuration is corrupt.",
    Exit.NOT_CLUSTER: "This machine is not part of a cluster.",
    Exit.NOT_MASTER: "This node is not the master.",
    Exit.NODE_SETUP: "A machine could not be made ready to become a node.",
    Exit.CONFIRMATION: "A question was not answered with yes.",
    Exit.UNKNOWN_FIELD: "A field was asked for that nobody knows; the others were shown.",
}
_VALUES = (
    ("Sizes", "A number with m, g or t (binary); MiB without. Rounded up to a multiple of 4 MiB."),
    ("Times", "A number with s, m, h, d or w; seconds without."),
    (
        "KEY=VALUE,...",
        "KEY alone is true, no_KEY is false, -KEY and KEY=default take a parameter back to its"
        " default; \\, is a comma inside a value.",
    ),
    (
        "Filters",
        "A field alone tests it; == != < <= > >= compare it with a number or quoted text; =~ and"
        ' !~ match /regex/flags, =* and !* a glob; "text" in FIELD; and, or, not, parentheses.'
        " A single argument with blanks or any of ()!~\"'\\/<>= is taken for a filter, names with"
        " * or ? are globs.",
    ),
)


def escaped(text: str) -> str:
    """Text that roff does not take for its own."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").split("\n")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)


def page(tool: str) -> str:
    """The manual page of ``gnt-<tool>``."""
    name = f"gnt-{tool}"
    lines = [
        f'.TH {name.upper()} 8 "" "clusterd {PRODUCT_VERSION}"',
        ".SH NAME",
        escaped(f"{name} - {TOOLS[tool]}"),
        ".SH SYNOPSIS",
        f".B {escaped(name)}",
        "COMMAND [OPTIONS...] [ARGUMENTS...]",
        ".SH DESCRIPTION",
        "Options stand between the command and its arguments. All commands also take:",
    ]
    for option in EVERYWHERE:
        lines += _option_lines(option_spellings(option), option.words)
    lines.append(".SH COMMANDS")
    for command in catalogue.commands(tool):
        lines += _command_lines(command)
    lines.append(".SH VALUES")
    for title, words in _VALUES:
        lines += _option_lines(title, words)
    lines.append(".SH EXIT STATUS")
    for code, words in _EXIT_WORDS.items():
        lines += _option_lines(str(int(code)), words)
    others = (f"gnt-{other}" for other in TOOLS if other != tool)
    lines += [".SH SEE ALSO", escaped(", ".join(f"{other}(8)" for other in others))]
    return "\n".join(lines) + "\n"


def _option_lines(spelled: str, words: str) -> list[str]:
    return [".TP", f"\\fB{escaped(spelled)}\\fR", escaped(words)]


def _command_lines(command: Command) -> list[str]:
    title = f"{command.name} {command.arguments.shown}".strip()
    lines = [f".SS {escaped(title)}", escaped(f"{command.summary.rstrip('.')}.")]
    if command.aliases:
        lines.append(escaped(f"Also: {', '.join(command.aliases)}."))
    if not command.served:
        lines.append("Not served yet by this version.")
    for option in command.options:
        lines += _option_lines(option_spellings(option), option.words)
    return lines


def main(arguments: list[str]) -> int:
    """Write all pages."""
    if len(arguments) != 1:
        print("usage: python -m cli.manual DIRECTORY", file=sys.stderr)
        return int(Exit.USAGE)
    directory = Path(arguments[0])
    directory.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS:
        (directory / f"gnt-{tool}.8").write_text(page(tool), "utf-8")
    return int(Exit.SUCCESS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
