"""Completion for bash, written from the same values as parsing and help.

``python -m cli.completion`` prints one script for all tools; it goes to
``/etc/bash_completion.d/clusterd``. Decided here: commands, options and choices stand in the
script; names of nodes, instances and groups are asked of the master while somebody types.
"""

from __future__ import annotations

import shlex
import sys

from cli import catalogue
from cli.arguments import EVERYWHERE
from cli.command import Command, Option
from cli.tools import TOOLS

_FUNCTIONS = r"""
_clusterd_names() {
  case $1 in
    filter) gnt-filter list --no-headers -o uuid 2>/dev/null ;;
    node|instance|group|network) gnt-$1 list --no-headers -o name 2>/dev/null ;;
    os) gnt-os list --no-headers 2>/dev/null ;;
    job) gnt-job list --no-headers -o id 2>/dev/null ;;
  esac
}

_clusterd_values() {
  case $1 in
    choice:*) COMPREPLY=($(compgen -W "${1#choice:}" -- "$2")) ;;
    file) COMPREPLY=($(compgen -f -- "$2")) ;;
    '') COMPREPLY=() ;;
    *) COMPREPLY=($(compgen -W "$(_clusterd_names "$1")" -- "$2")) ;;
  esac
}

_clusterd_complete() {
  local tool=${COMP_WORDS[0]##*/} command=${COMP_WORDS[1]}
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "${_clusterd_commands[$tool]} --help --version" -- "$current"))
    return
  fi
  # bash takes an equals sign for a word of its own
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]] && ((COMP_CWORD > 3)); then
    previous=${COMP_WORDS[COMP_CWORD-2]}
  fi
  if [[ -n ${_clusterd_takes["$tool $command $previous"]+yes} ]]; then
    _clusterd_values "${_clusterd_takes["$tool $command $previous"]}" "$current"
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "${_clusterd_options["$tool $command"]}" -- "$current"))
  else
    _clusterd_values "${_clusterd_arguments["$tool $command"]}" "$current"
  fi
}
"""


def script() -> str:
    """The whole script."""
    tables: dict[str, dict[str, str]] = {
        "commands": {},
        "options": {},
        "takes": {},
        "arguments": {},
    }
    for tool in TOOLS:
        program = f"gnt-{tool}"
        built = catalogue.commands(tool)
        names = [name for command in built for name in (command.name, *command.aliases)]
        tables["commands"][program] = " ".join(names)
        for command in built:
            for name in (command.name, *command.aliases):
                _add(tables, f"{program} {name}", tool, command)
    lines = ["# Completion of the gnt-* commands; made by python -m cli.completion"]
    for table, rows in tables.items():
        lines.append(f"declare -gA _clusterd_{table}=(")
        lines += [f"  [{shlex.quote(key)}]={shlex.quote(value)}" for key, value in rows.items()]
        lines.append(")")
    programs = " ".join(f"gnt-{tool}" for tool in TOOLS)
    return "\n".join([*lines, _FUNCTIONS, f"complete -F _clusterd_complete {programs}", ""])


def _add(tables: dict[str, dict[str, str]], key: str, tool: str, command: Command) -> None:
    options = (*command.options, *EVERYWHERE)
    tables["options"][key] = " ".join(name for option in options for name in option.names)
    completes = command.arguments.completes or ("job" if tool == "job" else "")
    if completes and command.arguments.maximum != 0:
        tables["arguments"][key] = completes
    for option in options:
        if option.flag or option.counts:
            continue
        for name in option.names:
            tables["takes"][f"{key} {name}"] = _values(option)


def _values(option: Option) -> str:
    choices = option.choices or (("yes", "no") if option.metavar == "yes|no" else ())
    return f"choice:{' '.join(choices)}" if choices else option.completes


if __name__ == "__main__":
    sys.stdout.write(script())
