"""The disks that seed guests at their first boot, as files on this node.

Decided here: they are made of what the caller says, never fetched from another node, so a node that
gets a guest makes its own. They lie in the run directory: a node that starts has no guests.
"""

from __future__ import annotations

import re
from pathlib import Path

from clusterd.durable import make_directory, write_durable
from clusterd.seed_disk import SHORT_NAMES, seed_disk
from clusterd.verbs.declare import verb
from clusterd.verbs.errors import WrongInput
from clusterd.verbs.host import Host

DIRECTORY = "instance-seeds"

_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@verb(subject="guest", named_by=("instance",))
async def place_seed(host: Host, instance: str, files: dict[str, str]) -> str:
    """The path of the instance's seed disk with these files; none: there is no disk, and the path
    is empty. One that is as wanted is left alone, another is replaced at once: a running guest
    keeps what it began with.
    """
    if not _INSTANCE.match(instance) or not set(files) <= set(SHORT_NAMES):
        raise WrongInput(f"'{instance}' or its files cannot be seeded so", subject=instance)
    return await host.threads.run(place, host.places.run / DIRECTORY, instance, files)


def place(directory: Path, instance: str, files: dict[str, str]) -> str:
    """Blocking part."""
    path = directory / f"{instance}.iso"
    if not files:
        path.unlink(missing_ok=True)
        return ""
    made = seed_disk(files)
    make_directory(directory)
    if not path.is_file() or path.read_bytes() != made:
        write_durable(path, made)
    return str(path)
