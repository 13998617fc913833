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
    place = str(directory)
    names = [f"{instance}:{index}" if path else "" for index, path in enumerate(paths)]
    there = sorted(os.listdir(place))
    for name, path in zip(names, paths, strict=True):
        if name and not (name in there and _target(f"{place}/{name}") == path):
            aside = f".{name}.new"
            if aside in there:
                os.unlink(f"{place}/{aside}")
            os.symlink(path, f"{place}/{aside}")
            os.rename(f"{place}/{aside}", f"{place}/{name}")
    for found in there:
        if found.startswith(f"{instance}:") and found not in names:
            os.unlink(f"{place}/{found}")
    return tuple([f"{place}/{name}" if name else "" for name in names])


def _target(link: str) -> str | None:
    """Where a link leads to; None if it is none."""
    try:
        return os.readlink(link)
    except OSError:
        return None
