"""Running the site's hook scripts as Ganeti does.

A directory ``<path>-<phase>.d`` is run in lexicographic order. Names outside ``[a-zA-Z0-9_-]`` and
files that are not executable are reported as skipped. What a failure means is the master's matter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from clusterd.verbs.declare import DAY_S, verb
from clusterd.verbs.errors import WrongInput
from clusterd.verbs.host import Host, Script, ScriptEnd
from clusterd.world import ScriptResult

PATH = "/sbin:/bin:/usr/sbin:/usr/bin"
SCRIPT_TIMEOUT_S = 900.0
PHASES = ("pre", "post")

_SCRIPT_NAME = re.compile(r"[a-zA-Z0-9_-]+\Z")
_HOOK_PATH = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


@verb(deadline_s=DAY_S)
async def run_hooks(
    host: Host,
    path: str,
    phase: str,
    environment: dict[str, str],
    say: Callable[[str], None],
) -> tuple[ScriptResult, ...]:
    """Run the hook scripts ``<path>-<phase>.d`` of this node in order."""
    if not _HOOK_PATH.match(path) or phase not in PHASES:
        raise WrongInput(f"no such hooks: path '{path}', phase '{phase}'", subject=path)
    folder = f"{path}-{phase}.d"
    results = []
    for script, runs in await host.threads.run(scripts_in, host.places.hooks, folder):
        name = f"{folder}/{script.name}"
        if not runs:
            results.append(ScriptResult(name=name, status="skip"))
            continue
        say(f"running hook {name}")
        end = await host.scripts.run(
            Script(
                argv=(str(script),),
                environment=environment | {"PATH": PATH},
                timeout_s=SCRIPT_TIMEOUT_S,
            )
        )
        results.append(_result(name, end))
    return tuple(results)


def scripts_in(directories: tuple[Path, ...], folder: str) -> tuple[tuple[Path, bool], ...]:
    """The files of ``folder`` below each directory in order, and whether each is run."""
    found: list[tuple[Path, bool]] = []
    seen: set[Path] = set()
    for directory in directories:
        if not os.path.isdir(f"{directory}/{folder}"):
            continue
        place = (directory / folder).resolve()
        # one directory may be a link to the other: its scripts still run once
        if place in seen:
            continue
        seen.add(place)
        found += ((script, _runs(script)) for script in sorted(place.iterdir()))
    return tuple(found)


def _runs(script: Path) -> bool:
    return bool(_SCRIPT_NAME.match(script.name)) and script.is_file() and os.access(script, os.X_OK)


def _result(name: str, end: ScriptEnd) -> ScriptResult:
    output = end.output.strip()
    if end.timed_out:
        output = f"{output}\nkilled after {SCRIPT_TIMEOUT_S:.0f} s".strip()
    return ScriptResult(name=name, status="fail" if end.code else "success", output=output)
