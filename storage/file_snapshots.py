"""Where the snapshots of a disk in a file are, and who reads from them. Blocking, but for QEMU's
program.

Decided here: the snapshot ``S`` of ``NAME`` is the file ``NAME@S`` beside it, which nobody writes.
Where the file system can share blocks it is a file that depends on no other. Elsewhere a qcow2 file
becomes its own snapshot, and a new, empty one that reads from it takes its place and name. What is
made is made as ``NAME~`` and renamed when it is complete.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from storage.commands import command_failed
from storage.copying import COPY_TIMEOUT_S, Target, compare
from storage.errors import HasChildren, NoSpace, VolumeBusy
from storage.interface import Commands
from storage.qcow2 import header_of
from storage.volume import Snapshot

MIB = 1024 * 1024
MARK = "@"
UNFINISHED = "~"
CHILDREN_LISTED_MAX = 10


def kept_path(path: Path, snapshot: str) -> Path:
    """Where a snapshot of the disk at ``path`` is."""
    return path.with_name(f"{path.name}{MARK}{snapshot}")


def unfinished_path(path: Path) -> Path:
    """Where what will be at ``path`` is made."""
    return path.with_name(path.name + UNFINISHED)


def kept_files(path: Path) -> list[Path]:
    """The snapshots of the disk at ``path``, oldest first."""
    if not path.parent.is_dir():
        return []
    found = [
        one
        for one in path.parent.iterdir()
        if one.name.startswith(path.name + MARK) and not one.name.endswith(UNFINISHED)
    ]
    return sorted(found, key=lambda one: (one.stat().st_mtime_ns, one.name))


def family(path: Path) -> list[Path]:
    """The disk's file, if it is there, and its snapshots."""
    return [*([path] if path.exists() else []), *kept_files(path)]


def unfinished_of(path: Path) -> list[Path]:
    """What was being made for the disk when it broke off."""
    if not path.parent.is_dir():
        return []
    return [
        one
        for one in sorted(path.parent.iterdir())
        if one.name.endswith(UNFINISHED)
        and one.name.removesuffix(UNFINISHED).split(MARK, maxsplit=1)[0] == path.name
    ]


def is_taken(path: Path, kept: Path) -> bool:
    """Whether the snapshot is complete: one that is still the disk itself was left half done."""
    return kept.exists() and not (path.exists() and kept.samefile(path))


def backing_of(path: Path) -> Path | None:
    """The file that a qcow2 file reads from, if it does."""
    header = header_of(path)
    return Path(header.backing) if header is not None and header.backing else None


def foreign_backing(path: Path) -> Path | None:
    """The first file of another disk that the disk reads from, its own snapshots passed over."""
    own = {str(one) for one in family(path)}
    found = backing_of(path)
    seen: set[Path] = set()
    while found is not None and str(found) in own and found not in seen:
        seen.add(found)
        found = backing_of(found)
    return found


def children_of(path: Path, kept: Path, files: Iterator[Path]) -> tuple[str, ...]:
    """The names of other disks that read from the snapshot, sorted."""
    own = {str(one) for one in family(path)}
    return tuple(
        sorted(
            {
                one.name.split(MARK, maxsplit=1)[0]
                for one in files
                if str(one) not in own and not one.name.endswith(UNFINISHED)
                if backing_of(one) == kept
            }
        )
    )


def refuse_children(path: Path, snapshot: str, children: tuple[str, ...]) -> None:
    """Raises HasChildren unless there are none."""
    if not children:
        return
    shown = ", ".join(children[:CHILDREN_LISTED_MAX])
    more = len(children) - CHILDREN_LISTED_MAX
    shown += f" and {more} more" if more > 0 else ""
    raise HasChildren(
        f"snapshot {path.name}{MARK}{snapshot} has {len(children)} children: {shown}; flatten or"
        " remove them first",
        subject=path.name,
    )


def snapshot_value(kept: Path, size_bytes: int, children: tuple[str, ...]) -> Snapshot:
    """What is told of a snapshot."""
    name = kept.name.split(MARK, maxsplit=1)[1]
    return Snapshot(name=name, size_mib=size_bytes // MIB, children=children, path=str(kept))


def keep_own(path: Path, kept: Path) -> None:
    """The disk's file is, under another name, the snapshot too: the next file that gets the disk's
    name leaves it alone."""
    if not kept.exists():
        os.link(path, kept)


def put_in_place(path: Path) -> None:
    """What was made for ``path`` is at ``path``, also after a loss of power."""
    made = unfinished_path(path)
    made.chmod(0o600)
    descriptor = os.open(made, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    made.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class QcowFiles:
    """Making and changing qcow2 files by QEMU's program. Holds no state."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def create(self, path: Path, size_mib: int, backing: Path | None) -> None:
        """What will be at ``path`` is an empty file of this size, or reads from ``backing``.

        Raises NoSpace, CommandFailed.
        """
        below = ("-F", "qcow2", "-b", str(backing)) if backing is not None else ()
        made = str(unfinished_path(path))
        await self._run("create", "-q", "-f", "qcow2", *below, made, f"{size_mib}M", path=path)

    async def resize(self, path: Path, size_mib: int) -> None:
        """The guest of the file would see at least this size. Raises NoSpace, VolumeBusy."""
        header = header_of(path)
        if header is not None and header.size_bytes < size_mib * MIB:
            await self._run("resize", "-q", "-f", "qcow2", str(path), f"{size_mib}M", path=path)

    async def rebase(self, path: Path, backing: Path | None) -> None:
        """The file has the same contents and reads from ``backing``, or from none: what it is to
        share no more is copied into it. Raises NoSpace, VolumeBusy."""
        below = ("-F", "qcow2", "-b", str(backing)) if backing is not None else ("-b", "")
        await self._run("rebase", "-q", "-f", "qcow2", *below, str(path), path=path)

    async def copy_raw(self, path: Path, made: Path, size_mib: int) -> None:
        """``made`` is a raw file with what a guest sees in the file, compared afterwards.

        Raises NoSpace, VolumeBusy, ContentsDiffer.
        """
        await self._run("convert", "-f", "qcow2", "-O", "raw", str(path), str(made), path=path)
        target = Target(where=str(made), size_mib=size_mib)
        await compare(self._commands, str(path), "qcow2", target)

    async def _run(self, *words: str, path: Path) -> None:
        argv = ("qemu-img", *words)
        output = await self._commands.run(*argv, check=False, timeout_s=COPY_TIMEOUT_S)
        if output.code == 0:
            return
        if "Failed to get" in output.stderr and "lock" in output.stderr:
            raise VolumeBusy(f"{path} is in use; stop what has it open", subject=path.name)
        if "No space left" in output.stderr:
            raise NoSpace(f"{path.parent} has too little free space", subject=path.name)
        raise command_failed(argv, output, subject=path.name)
