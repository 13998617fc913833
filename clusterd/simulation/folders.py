"""The files of a simulated world as they are in one moment, to be put back."""

from __future__ import annotations

import operator
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

BY_NAME = operator.attrgetter("name")


class Link(msgspec.Struct, frozen=True):
    """A symbolic link."""

    target: str


class File(msgspec.Struct, frozen=True):
    """A file."""

    data: bytes
    mode: int


Leaf = Link | File | None
"""None for a directory."""


NEVER = -1


class Kept(msgspec.Struct, frozen=True):
    """What was in a directory, and how often it had been touched until then."""

    touched: int
    tree: dict[str, Leaf]


class Folders:
    """Directories of a world, each with how often it has been touched. It is looked through only
    where that is another number than before."""

    def __init__(self, directories: Mapping[Path, Callable[[], int]]) -> None:
        self._directories = tuple(directories.items())
        self._last = [Kept(NEVER, {}) for _ in directories]

    def kept(self) -> list[Kept]:
        """What is in them."""
        for at, (directory, touches) in enumerate(self._directories):
            touched = touches()
            if self._last[at].touched != touched:
                self._last[at] = Kept(touched, tree(directory))
        return self._last.copy()

    def put_back(self, kept: Sequence[Kept]) -> None:
        """What is in them is that again."""
        for (directory, touches), one in zip(self._directories, kept, strict=True):
            if one.touched != touches():
                put_back(directory, one.tree)


def tree(directory: Path) -> dict[str, Leaf]:
    """All below a directory: path in it -> what is there. Directories come before what is in
    them."""
    found: dict[str, Leaf] = {}
    ahead = [""]
    while ahead:
        inside = ahead.pop()
        try:
            entries = sorted(os.scandir(f"{directory}/{inside}"), key=BY_NAME)
        except FileNotFoundError:
            continue
        for entry in entries:
            path = f"{inside}{entry.name}"
            if entry.is_symlink():
                found[path] = Link(os.readlink(entry.path))
            elif entry.is_dir():
                found[path] = None
                ahead.append(f"{path}/")
            else:
                mode = entry.stat().st_mode & 0o7777
                found[path] = File(Path(entry.path).read_bytes(), mode)
    return found


def put_back(directory: Path, files: dict[str, Leaf]) -> None:
    """Below the directory is exactly this."""
    there = tree(directory)
    if there == files:
        return
    different = {path for path in there if path not in files or files[path] != there[path]}
    for path in sorted(different, reverse=True):
        if there[path] is None:
            shutil.rmtree(directory / path, ignore_errors=True)
        else:
            (directory / path).unlink(missing_ok=True)
    for path in sorted(files):
        if path in there and path not in different:
            continue
        match files[path]:
            case None:
                (directory / path).mkdir(parents=True)
            case Link(target):
                (directory / path).symlink_to(target)
            case File(data, mode):
                (directory / path).write_bytes(data)
                (directory / path).chmod(mode)
