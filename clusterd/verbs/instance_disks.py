"""Names for an instance's disks that stay while device names change."""

from __future__ import annotations

import os
import re
from pathlib import Path

from clusterd.durable import make_directory
from clusterd.verbs.declare import verb
from clusterd.verbs.errors import WrongInput
from clusterd.verbs.host import Host

DIRECTORY = "instance-disks"

_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


@verb(subject="guest", named_by=("instance",))
async def link_disks(host: Host, instance: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Symbolic links ``<run>/instance-disks/<instance>:<n>`` to ``paths`` (none: removed).

    Answers the links in order; an empty path is a number without a disk, and has no link. Links of
    disks that are no more go away.
    """
    if not _INSTANCE.match(instance):
        raise WrongInput(f"'{instance}' is not the name of an instance", subject=instance)
    return await host.threads.run(place_links, host.places.run / DIRECTORY, instance, paths)


def place_links(directory: Path, instance: str, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Blocking part; half done is finished, each link is replaced at once."""
    make_directory(directory)
    names = [f"{instance}:{index}" if path else "" for index, path in enumerate(paths)]
    for name, path in zip(names, paths, strict=True):
        if name and _target(directory, name) != path:
            aside = directory / f".{name}.new"
            aside.unlink(missing_ok=True)
            aside.symlink_to(path)
            aside.rename(directory / name)
    for found in sorted(os.listdir(directory)):
        if found.startswith(f"{instance}:") and found not in names:
            (directory / found).unlink()
    return tuple(f"{directory}/{name}" if name else "" for name in names)


def _target(directory: Path, name: str) -> str | None:
    """Where a link leads to; None if it is none."""
    try:
        return os.readlink(f"{directory}/{name}")
    except OSError:
        return None
