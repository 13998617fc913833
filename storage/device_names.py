"""How devices are named that somebody else made. Apart from their backend, which commands need not
load to know a good name."""

from __future__ import annotations

import re

from storage.errors import BadParameter

POOL = "manual"
PATH = re.compile(r"/dev/disk(/(?!\.\.?(/|\Z))[A-Za-z0-9._:+@=%\\-]+)+\Z")


def checked_path(path: str) -> str:
    """The path. Raises BadParameter unless it is a lasting name of a device."""
    if not PATH.match(path):
        raise BadParameter(
            f"'{path}' is no path below /dev/disk; name the device by what is the same on each"
            " node, as /dev/disk/by-id/...",
            subject=path,
        )
    return path
