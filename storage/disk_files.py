"""Disks in files: making, measuring, finding and removing them. Blocking.

Decided here: a file is complete as soon as it has a size, and in use while anybody holds a lock on
it, as QEMU does on its images.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from storage import file_snapshots as snapshots
from storage.errors import PoolMissing, SizeDiffers, Unsupported, VolumeBusy, VolumeMissing
from storage.file_snapshots import unfinished_path
from storage.qcow2 import header_of
from storage.shared_blocks import share_blocks
from storage.volume import Capacity, Stored, Template

MIB = 1024 * 1024
NAME_SHAPE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(file|sharedfile)\.disk\d+")
DEPTH_MAX = 3
"""Below an allowed directory: an optional directory of the operator's, the instance's, the file."""
F_OFD_GETLK = 36
"""Linux: asks for a conflicting lock of any process, this one's other files included."""
FLOCK = "hhqqi0q"
Format = Literal["raw", "qcow2"]


def ensure_directory(path: Path) -> None:
    """The instance's directory for ``path`` is there. Raises PoolMissing, OSError."""
    below = path.parent.parent
    if not below.is_dir() and below.parent.is_dir():
        below.mkdir(mode=0o755, exist_ok=True)
    if not below.is_dir():
        raise PoolMissing(
            f"directory {path.parent.parent} does not exist on this node; make it",
            subject=str(path.parent.parent),
        )
    path.parent.mkdir(mode=0o755, exist_ok=True)


def ensure_file(path: Path, size_mib: int, shares: bool) -> None:
    """A sparse file of this size is at ``path``. Raises PoolMissing, SizeDiffers, OSError, and
    Unsupported for a new one that is to share blocks and could not."""
    ensure_directory(path)
    found = size_of(path)
    if found:
        check_size(path, found, size_mib)
        return
    make_sparse(path, size_mib * MIB)
    probe = unfinished_path(path)
    try:
        if shares and not share_blocks(path, probe):
            forget_file(path)
            raise shares_nothing(path)
    finally:
        probe.unlink(missing_ok=True)


def make_sparse(path: Path, size_bytes: int) -> None:
    """A file that reads as zeros throughout is at ``path``; what was there is gone."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.ftruncate(descriptor, size_bytes)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_size(path: Path, found_bytes: int, size_mib: int) -> None:
    """Raises SizeDiffers unless the file is as large as wanted."""
    if found_bytes != size_mib * MIB:
        raise SizeDiffers(
            f"{path} has {found_bytes / MIB:g} MiB but {size_mib} MiB are wanted; remove it first",
            subject=path.name,
        )


def forget_file(path: Path) -> None:
    """Nothing is at ``path``, nor its snapshots, nor its directory if it is empty. Raises
    VolumeBusy, OSError."""
    for one in snapshots.family(path):
        unused_file(one)
    for one in (*snapshots.family(path), *snapshots.unfinished_of(path)):
        one.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # other files are in it, or it is gone
        path.parent.rmdir()


def grow_file(path: Path, size_mib: int) -> None:
    """The file at ``path`` has at least this size. Raises VolumeMissing, OSError."""
    present_file(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        if os.fstat(descriptor).st_size < size_mib * MIB:
            os.ftruncate(descriptor, size_mib * MIB)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def present_file(path: Path) -> None:
    """Raises VolumeMissing unless a complete file is at ``path``."""
    if not size_of(path):
        raise VolumeMissing(
            f"{path} is not on this node; bring it back, or recreate the disk", subject=path.name
        )


def unused_file(path: Path) -> None:
    """Raises VolumeBusy while somebody holds a lock on ``path``."""
    if path.exists() and locked(path):
        raise VolumeBusy(f"{path} is in use; stop what has it open", subject=path.name)


def size_of(path: Path) -> int:
    """Size in bytes; 0 when there is none."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def seen_size_of(path: Path, format: Format) -> int:
    """Size in bytes of what a guest sees; 0 when there is none that is complete."""
    if format == "raw":
        return size_of(path)
    header = header_of(path)
    return header.size_bytes if header is not None else 0


def fits(path: str, size_mib: int) -> bool:
    """Whether there is a file, not a device, that is not larger than so."""
    return Path(path).is_file() and size_of(Path(path)) <= size_mib * MIB


def locked(path: Path) -> bool:
    """Whether anybody holds any lock on any part of the file, as QEMU does on its images."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(descriptor, F_OFD_GETLK, asked)
    finally:
        os.close(descriptor)
    return bool(struct.unpack(FLOCK, answer)[0] != fcntl.F_UNLCK)


def list_files(directories: tuple[Path, ...], template: Template) -> tuple[Stored, ...]:
    """All files of this template's shape, sorted."""
    found = [
        Stored(
            template=template,
            pool=str(path.parent.parent),
            name=path.name,
            size_mib=(seen_size_of(path, "qcow2") or size_of(path)) // MIB,
            attached=locked(path),
        )
        for path in all_files(directories)
        if NAME_SHAPE.fullmatch(path.name) and f".{template}." in path.name
    ]
    return tuple(sorted(found, key=lambda stored: (stored.pool, stored.name)))


def all_files(directories: tuple[Path, ...]) -> Iterator[Path]:
    """Everything that may be a disk or its snapshot."""
    for directory in directories:
        yield from _files_below(directory, DEPTH_MAX)


def _files_below(directory: Path, depth: int) -> Iterator[Path]:
    if not directory.is_dir():
        return
    for entry in sorted(directory.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and depth > 1:
            yield from _files_below(entry, depth - 1)
        elif entry.is_file():
            yield entry


def room(directories: tuple[Path, ...], template: Template) -> tuple[Capacity, ...]:
    """Room in those directories that exist."""
    found = []
    for directory in directories:
        if directory.is_dir():
            state = os.statvfs(directory)
            found.append(
                Capacity(
                    template=template,
                    pool=str(directory),
                    total_mib=state.f_blocks * state.f_frsize // MIB,
                    free_mib=state.f_bavail * state.f_frsize // MIB,
                )
            )
    return tuple(found)


def shares_nothing(path: Path) -> Unsupported:
    """What a raw file's snapshot meets where blocks cannot be shared."""
    return Unsupported(
        f"{path.parent}: this file system cannot share blocks, so a raw file has no snapshots; use"
        " the disk parameter format=qcow2, or a directory on XFS or btrfs",
        subject=path.name,
    )
