"""Running an iallocator of the site: a program that is given a file and answers on its output.

The program is the site's own and taken as it is. The request holds the whole cluster, so its file
is readable by root alone and removed at once.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from clusterd.durable import make_directory
from clusterd.verbs.declare import verb
from clusterd.verbs.errors import WrongInput
from clusterd.verbs.host import Host
from clusterd.world import AllocatorEnd
from storage.site_directories import is_name

TIMEOUT_S = 600.0
DEADLINE_S = 900.0
MAX_ANSWER_CHARACTERS = 12 * 1024 * 1024
"""What fits a frame."""


@verb(reads=True, deadline_s=DEADLINE_S)
async def run_iallocator(
    host: Host, name: str, request: str, options: tuple[str, ...]
) -> AllocatorEnd:
    """Run the program ``name`` on ``request``; raises WrongInput when it is not there.

    It changes nothing, so running it again is harmless.
    """
    program = await host.threads.run(find, host.places.iallocators, name)
    path = await host.threads.run(_write, host.places.run / "iallocator", request)
    try:
        end = await host.commands.run(
            str(program), str(path), *options, timeout_s=TIMEOUT_S, check=False
        )
    finally:
        await host.threads.run(path.unlink, True)
    if len(end.stdout) > MAX_ANSWER_CHARACTERS:
        raise WrongInput(f"iallocator '{name}' answered {len(end.stdout)} characters", subject=name)
    return AllocatorEnd(code=end.code, output=end.stdout, errors=end.stderr[-4096:])


@verb(reads=True)
async def find_iallocator(host: Host, name: str) -> str:
    """Where the program ``name`` is; raises WrongInput when it is not there."""
    return str(await host.threads.run(find, host.places.iallocators, name))


def find(directories: tuple[Path, ...], name: str) -> Path:
    """The program of this name; the first directory that has it wins. Raises WrongInput."""
    if not is_name(name):
        raise WrongInput(f"'{name}' cannot be the name of an iallocator", subject=name)
    for directory in directories:
        program = directory / name
        if program.is_file():
            if not os.access(program, os.X_OK):
                raise WrongInput(f"iallocator {program} is not executable", subject=name)
            return program
    places = ", ".join(str(directory) for directory in directories)
    raise WrongInput(f"iallocator '{name}' not found; looked in {places}", subject=name)


def _write(directory: Path, request: str) -> Path:
    make_directory(directory, 0o700)
    descriptor, path = tempfile.mkstemp(prefix="iallocator-", suffix=".json", dir=directory)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(request)
    return Path(path)
