"""Small files that are whole or absent, whatever dies: written aside, synced, renamed."""

from __future__ import annotations

import os
from pathlib import Path


def write_durable(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace ``path``; never readable by others in between. A stale try is no harm."""
    aside = path.with_name(f".{path.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    aside.rename(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and removals in it survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, mode: int = 0o755) -> None:
    """Make it with its parents; ``mode`` is for itself, and is set when it exists already."""
    place = str(path)
    if not os.path.isdir(place):
        path.mkdir(parents=True, exist_ok=True)
    os.chmod(place, mode)
