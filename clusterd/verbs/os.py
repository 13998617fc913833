"""Running a script of an OS definition on this node.

The environment is the master's, complete; here only the path, the interface version of the
definition that was found, and the place of the log are added.
"""

from __future__ import annotations

import re
from pathlib import Path

from clusterd.durable import make_directory
from clusterd.observation import OsFound
from clusterd.verbs import os_definitions
from clusterd.verbs.declare import DAY_S, verb
from clusterd.verbs.errors import OsFailed, OsMissing, WrongInput
from clusterd.verbs.hooks import PATH
from clusterd.verbs.host import Host, Script, ScriptEnd
from clusterd.world import OsRun

SERVED_ACTIONS = ("create", "rename", "verify")
"""``import`` and ``export`` have a stream of data beside the call: see ``streams``."""

LAST_LINES = 20
LAST_CHARACTERS = 3000

_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")


@verb(subject="guest", named_by=("run", "instance"), deadline_s=DAY_S)
async def run_os(host: Host, run: OsRun) -> None:
    """Run an OS script to its end; raises OsFailed with the log's last lines.

    Running again runs it again: a create script writes the same disks anew. While a run that a
    dead daemon left behind still works on this instance, ScriptBusy is raised.
    """
    if run.action not in SERVED_ACTIONS:
        raise WrongInput(f"OS action '{run.action}' is not served by this call", subject=run.os)
    script = await os_script(host, run)
    end = await host.scripts.run(script)
    log = Path(script.log)
    if end.code:
        raise OsFailed(_failure(run, end, log, host.name), subject=run.instance)


async def os_script(host: Host, run: OsRun) -> Script:
    """The script of a definition that is usable here, with its log and lock. Raises OsMissing."""
    found = await host.threads.run(usable, host.places.oses, run.os)
    log, lock = await host.threads.run(_prepare, host, run)
    version = os_definitions.newest_version(found)
    return Script(
        argv=_argv(found, run),
        environment={"OS_API_VERSION": str(version)} | run.environment | {"PATH": PATH},
        directory=found.path,
        timeout_s=DAY_S,
        log=str(log),
        lock=str(lock),
    )


def usable(directories: tuple[Path, ...], name: str) -> OsFound:
    """The definition of this name, which may end with a variant. Raises OsMissing."""
    base, _, variant = name.partition("+")
    found = os_definitions.find(os_definitions.search_path(directories), base)
    if found is None:
        raise OsMissing(f"OS '{base}' is not on this node; see 'gnt-os diagnose'", subject=name)
    if not found.valid:
        raise OsMissing(f"OS '{base}' is not usable on this node: {found.message}", subject=name)
    # an unlisted variant was allowed or refused at the door; here only the form can be wrong
    if variant and not found.variants:
        raise OsMissing(f"OS '{base}' has no variants, asked for '{variant}'", subject=name)
    return found


def _prepare(host: Host, run: OsRun) -> tuple[Path, Path]:
    logs, locks = host.places.log / "os", host.places.run / "os"
    make_directory(logs, 0o750)
    make_directory(locks, 0o700)
    name = _UNSAFE.sub("_", f"{run.action}-{run.os}-{run.instance}-{int(host.clock.seconds())}")
    return logs / f"{name}.log", locks / f"{_UNSAFE.sub('_', run.instance)}.lock"


def _argv(found: OsFound, run: OsRun) -> tuple[str, ...]:
    script = Path(found.path, run.action)
    if run.action == "create" and not script.exists():
        raise OsMissing(
            f"OS '{run.os}' has only an untrusted create script, which is not served",
            subject=run.os,
        )
    return (str(script), "parameters") if run.action == "verify" else (str(script),)


def _failure(run: OsRun, end: ScriptEnd, log: Path, node: str) -> str:
    lines = [line for line in end.output.splitlines() if line.strip()][-LAST_LINES:]
    tail = "\n".join(lines)[-LAST_CHARACTERS:]
    how = f"was killed after {DAY_S:.0f} s" if end.timed_out else f"ended with code {end.code}"
    return (
        f"OS {run.action} script of '{run.os}' for instance {run.instance} {how};"
        f" log {log} on node {node}, last lines:\n{tail}"
    )
