"""Templates ``file`` and ``sharedfile``: one sparse file a disk, as Ganeti lays them out:
``<directory>/<instance>/<uuid>.file.diskN``; raw, or qcow2 with the parameter ``format``.

A file has no attachment and no mirror: it is usable as soon as it is there. Whether something has
it open is seen from the locks that QEMU holds on its images. Directories that the node's settings
do not allow are refused; an instance's directory is made with its first file and removed with its
last. What the format is says the parameter, never the file: its guest may write any beginning.
Snapshots and what reads from them: ``file_snapshots``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from storage import disk_files as files
from storage import file_snapshots as snapshots
from storage.copying import Target, copy_image
from storage.errors import (
    BadParameter,
    NoSpace,
    StorageError,
    Unsupported,
    VolumeMissing,
)
from storage.file_snapshots import QcowFiles, kept_path, put_in_place, unfinished_path
from storage.file_stills import StilledByCopy
from storage.interface import Backend, Commands, Threads
from storage.plugin import Mirrored, Plugin, StorageSettings, checked_parameters
from storage.shared_blocks import share_blocks
from storage.unmirrored import Unmirrored
from storage.unsnapped import fill_at
from storage.volume import (
    Capacity,
    Filled,
    Health,
    Origin,
    Snapshot,
    Stored,
    Template,
    Volume,
    VolumeStatus,
)

Format = files.Format
MIB = files.MIB
T = TypeVar("T")


class FileParameters(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """Disk parameters of ``file`` and ``sharedfile``. A disk keeps those that it was made with."""

    format: Format = "raw"
    """``qcow2`` has snapshots and clones everywhere."""
    reflink: bool = False
    """Raw files have snapshots, too: the directory's file system must be able to share blocks."""


class FileBackend(StilledByCopy, Unmirrored):
    """Files of one node. Holds no state of its own."""

    template = Template.FILE

    def __init__(self, commands: Commands, threads: Threads, directories: tuple[str, ...]) -> None:
        self._commands = commands
        self._threads = threads
        self._directories = tuple(Path(directory) for directory in directories)
        self._qcow = QcowFiles(commands)

    async def ensure(self, volume: Volume) -> None:
        """See ``Backend``. An empty file is one that was left half done."""
        parameters = checked_parameters(volume, FileParameters)
        path, origin = self._path(volume), volume.origin
        if parameters.format == "raw" and origin is None:
            await self._blocking(
                volume, files.ensure_file, path, volume.size_mib, parameters.reflink
            )
            return
        if await self._blocking(volume, files.size_of, path):
            found = await self._blocking(volume, files.seen_size_of, path, parameters.format)
            files.check_size(path, found, volume.size_mib)
            return
        await self._blocking(volume, files.ensure_directory, path)
        begin = None if origin is None else await self._origin(volume, origin)
        if parameters.format == "qcow2":
            await self._qcow.create(path, volume.size_mib, begin)
        elif begin is not None:
            await self._copy(volume, begin, unfinished_path(path))
        await self._blocking(volume, put_in_place, path)

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``."""
        path = self._path(volume)
        for kept in await self._blocking(volume, snapshots.kept_files, path):
            await self._refuse_children(volume, kept)
        await self._blocking(volume, files.forget_file, path)

    async def grow(self, volume: Volume) -> None:
        """See ``Backend``. The file stays sparse. A qcow2 file that is in use is made larger by
        its guest's process, before: Unsupported."""
        path = self._path(volume)
        if checked_parameters(volume, FileParameters).format == "raw":
            await self._blocking(volume, files.grow_file, path, volume.size_mib)
            return
        await self._blocking(volume, files.present_file, path)
        found = await self._blocking(volume, files.seen_size_of, path, "qcow2")
        if found < volume.size_mib * MIB and await self._blocking(volume, files.locked, path):
            raise Unsupported(
                f"{path} is in use, and only its guest's process can make a qcow2 file larger then:"
                " shut its instance down first",
                subject=volume.name,
            )
        await self._qcow.resize(path, volume.size_mib)

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``. Nothing to do but to find it."""
        path = self._path(volume)
        await self._blocking(volume, files.present_file, path)
        return str(path)

    async def detach(self, volume: Volume) -> None:
        """See ``Backend``. Nothing to do but to see that nobody uses it."""
        await self._blocking(volume, files.unused_file, self._path(volume))

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``."""
        await self._blocking(volume, files.present_file, self._path(volume))

    async def close(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self._blocking(volume, files.unused_file, self._path(volume))

    # -- snapshots and contents ----------------------------------------------------------------

    async def snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend``. Unsupported where neither format nor file system can, or while a file
        of a file system that cannot is in use."""
        path = self._path(volume)
        kept = kept_path(path, name)
        await self._blocking(volume, files.present_file, path)
        if await self._blocking(volume, snapshots.is_taken, path, kept):
            return
        if await self._blocking(volume, share_blocks, path, unfinished_path(kept)):
            await self._blocking(volume, put_in_place, kept)
            return
        if checked_parameters(volume, FileParameters).format == "raw":
            raise files.shares_nothing(path)
        if await self._blocking(volume, files.locked, path):
            raise Unsupported(
                f"{path} is in use and its file system cannot share blocks: shut its instance down"
                " for the snapshot, or keep its disks on XFS or btrfs",
                subject=volume.name,
            )
        size_bytes = await self._blocking(volume, files.seen_size_of, path, "qcow2")
        await self._blocking(volume, snapshots.keep_own, path, kept)
        await self._qcow.create(path, size_bytes // MIB, kept)
        await self._blocking(volume, put_in_place, path)

    async def forget_snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend``. What the disk itself still reads from it is copied first, for which it
        must not be in use."""
        path = self._path(volume)
        kept = kept_path(path, name)
        if not await self._blocking(volume, kept.exists):
            return
        await self._refuse_children(volume, kept)
        if checked_parameters(volume, FileParameters).format == "qcow2":
            below = await self._blocking(volume, snapshots.backing_of, kept)
            for one in await self._blocking(volume, snapshots.family, path):
                if await self._blocking(volume, snapshots.backing_of, one) == kept:
                    await self._rebase(volume, one, below)
        await self._blocking(volume, kept.unlink, True)

    async def revert(self, volume: Volume, name: str) -> None:
        """See ``Backend``."""
        path = self._path(volume)
        kept = kept_path(path, name)
        if not await self._blocking(volume, kept.exists):
            raise VolumeMissing(f"{path} has no snapshot {name}", subject=volume.name)
        await self._blocking(volume, files.unused_file, path)
        made = unfinished_path(path)
        if checked_parameters(volume, FileParameters).format == "raw":
            await self._copy(volume, kept, made)
        elif await self._blocking(volume, share_blocks, kept, made):
            await self._qcow.resize(made, volume.size_mib)
        else:
            await self._qcow.create(path, volume.size_mib, kept)
        await self._blocking(volume, put_in_place, path)

    async def flatten(self, volume: Volume) -> None:
        """See ``Backend``. Its own snapshots, too; it must not be in use."""
        path = self._path(volume)
        await self._blocking(volume, files.present_file, path)
        if checked_parameters(volume, FileParameters).format == "raw":
            return
        own = await self._blocking(volume, snapshots.family, path)
        for one in own:
            below = await self._blocking(volume, snapshots.backing_of, one)
            if below is not None and below not in own:
                await self._rebase(volume, one, None)

    async def fill(self, volume: Volume, path: str, format: Format) -> Filled:
        """See ``Backend``. A raw file of the same file system shares its blocks if it can."""
        raw = checked_parameters(volume, FileParameters).format == format == "raw"
        own = self._path(volume)
        await self._blocking(volume, files.present_file, own)
        if raw and await self._blocking(volume, files.fits, path, volume.size_mib):
            size_bytes = await self._blocking(volume, files.size_of, own)
            if await self._blocking(volume, share_blocks, Path(path), own, size_bytes):
                return Filled.SHARED
        return await fill_at(self, self._commands, volume, path, format)

    # -- reading -------------------------------------------------------------------------------

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``."""
        path, format = self._path(volume), checked_parameters(volume, FileParameters).format
        size_bytes = await self._blocking(volume, files.seen_size_of, path, format)
        if not size_bytes:
            return VolumeStatus(uuid=volume.uuid, present=False)
        below = None
        if format == "qcow2":
            below = await self._blocking(volume, snapshots.foreign_backing, path)
        return VolumeStatus(
            uuid=volume.uuid,
            present=True,
            path=str(path),
            format=format,
            size_mib=size_bytes // MIB,
            health=Health.OK,
            origin=None if below is None else f"{below.parent.parent}/{below.name}",
            snapshots=tuple(
                [
                    await self._told(volume, kept, format)
                    for kept in await self._blocking(volume, snapshots.kept_files, path)
                ]
            ),
        )

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``. The owner is not recorded; the directory bears the instance's name."""
        return await self._threads.run(files.list_files, self._directories, self.template)

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``. Sparse files may be promised more than there is."""
        return await self._threads.run(files.room, self._directories, self.template)

    def _is_raw(self, volume: Volume) -> bool:
        return checked_parameters(volume, FileParameters).format == "raw"

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

    async def _origin(self, volume: Volume, origin: Origin) -> Path:
        """The snapshot's file, which is not larger. Raises VolumeMissing, NoSpace."""
        whose = msgspec.structs.replace(
            volume, pool=origin.pool, name=origin.name, label=origin.label or volume.label
        )
        kept = kept_path(self._path(whose), origin.snapshot)
        if not await self._blocking(volume, kept.exists):
            raise VolumeMissing(
                f"snapshot {origin.name}@{origin.snapshot} is not on this node",
                subject=origin.name,
            )
        if origin.size_mib > volume.size_mib:
            raise NoSpace(
                f"{volume.name} would have {volume.size_mib} MiB, its origin has"
                f" {origin.size_mib} MiB",
                subject=volume.name,
            )
        return kept

    async def _copy(self, volume: Volume, source: Path, made: Path) -> None:
        """``made`` is a raw file with the contents of one that nobody writes: sharing its blocks,
        or copied and compared."""
        size_bytes = volume.size_mib * MIB
        if await self._blocking(volume, share_blocks, source, made, size_bytes):
            return
        await self._blocking(volume, files.make_sparse, made, size_bytes)
        target = Target(where=str(made), size_mib=volume.size_mib, zeroed=True)
        await copy_image(self._commands, str(source), "raw", target)

    async def _rebase(self, volume: Volume, path: Path, below: Path | None) -> None:
        """The same contents, read from elsewhere. Snapshots keep their time, which orders them."""
        await self._blocking(volume, files.unused_file, path)
        time_ns = (await self._blocking(volume, path.stat)).st_mtime_ns
        await self._qcow.rebase(path, below)
        await self._blocking(volume, lambda: os.utime(path, ns=(time_ns, time_ns)))

    async def _refuse_children(self, volume: Volume, kept: Path) -> None:
        if checked_parameters(volume, FileParameters).format == "qcow2":
            children = await self._children(volume, kept)
            name = kept.name.removeprefix(volume.name + snapshots.MARK)
            snapshots.refuse_children(self._path(volume), name, children)

    async def _children(self, volume: Volume, kept: Path) -> tuple[str, ...]:
        path, directories = self._path(volume), self._directories
        return await self._blocking(
            volume, lambda: snapshots.children_of(path, kept, files.all_files(directories))
        )

    async def _told(self, volume: Volume, kept: Path, format: Format) -> Snapshot:
        size_bytes = await self._blocking(volume, files.seen_size_of, kept, format)
        children = await self._children(volume, kept) if format == "qcow2" else ()
        return snapshots.snapshot_value(kept, size_bytes, children)

    async def _blocking(self, volume: Volume, function: Callable[..., T], *args: Any) -> T:
        try:
            return await self._threads.run(function, *args)
        except OSError as error:
            raise _meaning(error, volume) from error


class SharedFileBackend(FileBackend):
    """Files in a directory that all nodes of the group see."""

    template = Template.SHAREDFILE


def _keeps_snapshots(parameters: Mapping[str, object]) -> bool:
    given = msgspec.convert(dict(parameters), FileParameters, strict=False)
    return given.format == "qcow2" or given.reflink


def _depends(parameters: Mapping[str, object]) -> bool:
    return msgspec.convert(dict(parameters), FileParameters, strict=False).format == "qcow2"


def _meaning(error: OSError, volume: Volume) -> StorageError:
    kind = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else StorageError
    return kind(f"{volume.name}: {error.strerror} ({error.filename})", subject=volume.name)


def _make_file(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return FileBackend(commands, threads, settings.file_directories)


def _make_shared(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return SharedFileBackend(commands, threads, settings.shared_file_directories)


PLUGINS = tuple(
    Plugin(
        template=template,
        make=make,
        parameters=FileParameters,
        mirrored=mirrored,
        uses_directories=True,
        snapshots=_keeps_snapshots,
        clones_depend=_depends,
        read_by_still=_depends,
        lasting=frozenset({"format", "reflink"}),
    )
    for template, make, mirrored in (
        (Template.FILE, _make_file, Mirrored.NO),
        (Template.SHAREDFILE, _make_shared, Mirrored.EXTERNAL),
    )
)
