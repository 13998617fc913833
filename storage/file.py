"""Templates ``file`` and ``sharedfile``: one sparse raw file a disk, as Ganeti lays them out:
``<directory>/<instance>/<uuid>.file.diskN``.

A file has no attachment and no mirror: it is usable as soon as it is there. Whether something has
it open is seen from the locks that QEMU holds on its images. Directories that the node's settings
do not allow are refused; an instance's directory is made with its first file and removed with its
last.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from storage.errors import (
    BadParameter,
    NoSpace,
    PoolMissing,
    SizeDiffers,
    StorageError,
    VolumeBusy,
    VolumeMissing,
)
from storage.interface import Backend, Commands, Threads
from storage.plugin import Mirrored, NoParameters, Plugin, StorageSettings, checked_parameters
from storage.unmirrored import Unmirrored
from storage.unsnapped import Unsnapped
from storage.volume import Capacity, Health, Stored, Template, Volume, VolumeStatus

MIB = 1024 * 1024
NAME_SHAPE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(file|sharedfile)\.disk\d+")
DEPTH_MAX = 3
"""Below an allowed directory: an optional directory of the operator's, the instance's, the file."""
F_OFD_GETLK = 36
"""Linux: asks for a conflicting lock of any process, this one's other files included."""
FLOCK = "hhqqi0q"
T = TypeVar("T")


class FileBackend(Unmirrored, Unsnapped):
    """Files of one node. Holds no state of its own."""

    template = Template.FILE

    def __init__(self, commands: Commands, threads: Threads, directories: tuple[str, ...]) -> None:
        self._commands = commands
        self._threads = threads
        self._directories = tuple(Path(directory) for directory in directories)

    async def ensure(self, volume: Volume) -> None:
        """See ``Backend``. An empty file is one that was left half done."""
        checked_parameters(volume, NoParameters)
        await self._blocking(volume, ensure_file, self._path(volume), volume.size_mib)

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self._blocking(volume, forget_file, self._path(volume))

    async def grow(self, volume: Volume) -> None:
        """See ``Backend``. The file stays sparse."""
        await self._blocking(volume, grow_file, self._path(volume), volume.size_mib)

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``. Nothing to do but to find it."""
        path = self._path(volume)
        await self._blocking(volume, present_file, path)
        return str(path)

    async def detach(self, volume: Volume) -> None:
        """See ``Backend``. Nothing to do but to see that nobody uses it."""
        await self._blocking(volume, unused_file, self._path(volume))

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``."""
        await self._blocking(volume, present_file, self._path(volume))

    async def close(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self._blocking(volume, unused_file, self._path(volume))

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``."""
        path = self._path(volume)
        size_bytes = await self._blocking(volume, size_of, path)
        if not size_bytes:
            return VolumeStatus(uuid=volume.uuid, present=False)
        return VolumeStatus(
            uuid=volume.uuid,
            present=True,
            path=str(path),
            size_mib=size_bytes // MIB,
            health=Health.OK,
        )

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``. The owner is not recorded; the directory bears the instance's name."""
        return await self._threads.run(list_files, self._directories, self.template)

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``. Sparse files may be promised more than there is."""
        return await self._threads.run(room, self._directories, self.template)

    def _path(self, volume: Volume) -> Path:
        """Where the volume is. Raises BadParameter outside the allowed directories."""
        pool = Path(volume.pool)
        allowed = any(pool.is_relative_to(directory) for directory in self._directories)
        plain = all(
            part not in ("", ".", "..") for part in (volume.label, volume.name, *pool.parts)
        )
        if not allowed or not plain or "/" in volume.label + volume.name:
            raise BadParameter(
                f"{pool}/{volume.label}/{volume.name} is not below a directory that this node"
                " allows for disks; add its directory to the node's settings",
                subject=volume.name,
            )
        return pool / volume.label / volume.name

    async def _blocking(self, volume: Volume, function: Callable[..., T], *args: Any) -> T:
        try:
            return await self._threads.run(function, *args)
        except OSError as error:
            raise _meaning(error, volume) from error


class SharedFileBackend(FileBackend):
    """Files in a directory that all nodes of the group see."""

    template = Template.SHAREDFILE


def ensure_file(path: Path, size_mib: int) -> None:
    """A sparse file of this size is at ``path``. Raises PoolMissing, SizeDiffers, OSError."""
    below = path.parent.parent
    if not below.is_dir() and below.parent.is_dir():
        below.mkdir(mode=0o755, exist_ok=True)
    if not below.is_dir():
        raise PoolMissing(
            f"directory {path.parent.parent} does not exist on this node; make it",
            subject=str(path.parent.parent),
        )
    path.parent.mkdir(mode=0o755, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        found = os.fstat(descriptor).st_size
        if found not in (0, size_mib * MIB):
            raise SizeDiffers(
                f"{path} has {found / MIB:g} MiB but {size_mib} MiB are wanted; remove it first",
                subject=path.name,
            )
        os.ftruncate(descriptor, size_mib * MIB)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def forget_file(path: Path) -> None:
    """Nothing is at ``path``, nor its directory if it is empty. Raises VolumeBusy, OSError."""
    unused_file(path)
    path.unlink(missing_ok=True)
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
        raise VolumeMissing(f"{path} is not on this node; create it first", subject=path.name)


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
            size_mib=size_of(path) // MIB,
            attached=locked(path),
        )
        for directory in directories
        for path in _files_below(directory, DEPTH_MAX)
        if NAME_SHAPE.fullmatch(path.name) and f".{template}." in path.name
    ]
    return tuple(sorted(found, key=lambda stored: (stored.pool, stored.name)))


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


def _meaning(error: OSError, volume: Volume) -> StorageError:
    kind = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else StorageError
    return kind(f"{volume.name}: {error.strerror} ({error.filename})", subject=volume.name)


def _make_file(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return FileBackend(commands, threads, settings.file_directories)


def _make_shared(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return SharedFileBackend(commands, threads, settings.shared_file_directories)


PLUGINS = (
    Plugin(template=Template.FILE, make=_make_file, uses_directories=True),
    Plugin(
        template=Template.SHAREDFILE,
        make=_make_shared,
        mirrored=Mirrored.EXTERNAL,
        uses_directories=True,
    ),
)
