"""Template ``gluster``: one file of a Gluster volume a disk, ``ganeti/<instance>.N`` as Ganeti lays
them out.

``pool`` is ``HOST:PORT/VOLUME``. The volume is mounted where it is first needed and stays so. With
``access`` set to ``userspace`` guests reach the file through Gluster's own library; everything else
goes by way of the mount all the same.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from storage.commands import last_lines
from storage.disk_files import (
    MIB,
    ensure_file,
    forget_file,
    grow_file,
    locked,
    present_file,
    size_of,
    unused_file,
)
from storage.errors import BadParameter, NoSpace, PoolMissing, StorageDown, StorageError
from storage.interface import Backend, Commands, Threads
from storage.plugin import Mirrored, Plugin, StorageSettings, checked_parameters
from storage.stills import Unstilled
from storage.unmirrored import Unmirrored
from storage.unsnapped import Unsnapped, fill_at
from storage.volume import (
    Capacity,
    Filled,
    Health,
    NetworkSource,
    Stored,
    Template,
    Volume,
    VolumeStatus,
)

POOL = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9a-f:]+\]):(?P<port>\d+)/(?P<volume>[\w.-]+)\Z")
NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.\d+\Z")
DIRECTORY = "ganeti"
"""In the Gluster volume."""
MOUNTS = "/proc/self/mounts"
FILE_SYSTEM = "fuse.glusterfs"
MOUNT_TIMEOUT_S = 30.0
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_CONNECTED = (errno.ENOTCONN, errno.EIO, errno.ETIMEDOUT)
T = TypeVar("T")


class GlusterParameters(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """Disk parameters of ``gluster``: Ganeti's, and ``directory``, which the cluster has one of."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 24007
    volume: str = "gv0"
    access: Literal["kernelspace", "userspace"] = "kernelspace"
    """Whether guests get the file in the mount or use Gluster's library."""
    directory: str = ""
    """Below it nodes mount the volume; empty: below the node's own directory for that."""


class Place(msgspec.Struct, frozen=True):
    """A Gluster volume."""

    host: str
    port: int
    volume: str


def place_of(pool: str) -> Place:
    """What a pool names. Raises PoolMissing for a name of another shape."""
    found = POOL.match(pool)
    if found is None:
        raise PoolMissing(f"'{pool}' is not of the form HOST:PORT/VOLUME", subject=pool)
    return Place(found["host"].strip("[]"), int(found["port"]), found["volume"])


class GlusterBackend(Unmirrored, Unsnapped, Unstilled):
    """Files of Gluster volumes as one node reaches them. Holds no state."""

    template = Template.GLUSTER

    def __init__(self, commands: Commands, threads: Threads, settings: StorageSettings) -> None:
        self._commands = commands
        self._threads = threads
        self._directory = Path(settings.gluster_directory)

    async def ensure(self, volume: Volume) -> None:
        """See ``Backend``. An empty file is one that was left half done."""
        await self._at_file(volume, ensure_file, volume.size_mib, False)

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self._at_file(volume, forget_file)

    async def grow(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self._at_file(volume, grow_file, volume.size_mib)

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``. Nothing to do but to find it."""
        await self._at_file(volume, present_file)
        return str(self._path(volume))

    async def detach(self, volume: Volume) -> None:
        """See ``Backend``. Nothing to do but to see that nobody uses it."""
        await self._at_file(volume, unused_file)

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``."""
        await self._at_file(volume, present_file)

    async def close(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self._at_file(volume, unused_file)

    async def fill(self, volume: Volume, path: str, format: Literal["raw", "qcow2"]) -> Filled:
        """See ``Backend``."""
        return await fill_at(self, self._commands, volume, path, format)

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``."""
        try:
            size_bytes = await self._at_file(volume, size_of)
        except PoolMissing:
            size_bytes = 0
        if not size_bytes:
            return VolumeStatus(uuid=volume.uuid, present=False)
        source = None
        if checked_parameters(volume, GlusterParameters).access == "userspace":
            place = place_of(volume.pool)
            source = NetworkSource(
                protocol="gluster",
                name=f"{place.volume}/{DIRECTORY}/{volume.name}",
                hosts=((place.host, place.port),),
            )
        return VolumeStatus(
            uuid=volume.uuid,
            present=True,
            path=str(self._path(volume)),
            source=source,
            size_mib=size_bytes // MIB,
            health=Health.OK,
        )

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``. Of the volumes that are mounted."""
        found: list[Stored] = []
        for pool, mount in await self._mounts():
            found += await self._threads.run(files_in, pool, mount / DIRECTORY)
        return tuple(found)

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``. Of the volumes that are mounted."""
        return tuple(
            [await self._threads.run(room_at, pool, mount) for pool, mount in await self._mounts()]
        )

    # -- the mount -----------------------------------------------------------------------------

    def _path(self, volume: Volume) -> Path:
        if not NAME.match(volume.name):
            raise BadParameter(f"'{volume.name}' is no name for a file", subject=volume.name)
        return self._mount_point(volume) / DIRECTORY / volume.name

    def _mount_point(self, volume: Volume) -> Path:
        place = place_of(volume.pool)
        own = checked_parameters(volume, GlusterParameters).directory
        base = Path(own) if own else self._directory
        return base / f"{place.host},{place.port},{place.volume}"

    async def _at_file(self, volume: Volume, function: Callable[..., T], *args: Any) -> T:
        """The answer of a function that blocks, with the volume's file in reach."""
        path = self._path(volume)
        await self._mount(place_of(volume.pool), self._mount_point(volume))
        try:
            return await self._threads.run(function, path, *args)
        except OSError as error:
            raise _meaning(error, volume) from error

    async def _mounts(self) -> Sequence[tuple[str, Path]]:
        """(pool, where) of what is mounted, sorted; once each, below whichever directory."""
        found = {}
        for point in await self._mount_points():
            parts = point.name.split(",")
            if len(parts) == 3:
                host = f"[{parts[0]}]" if ":" in parts[0] else parts[0]
                found[f"{host}:{parts[1]}/{parts[2]}"] = point
        return sorted(found.items())

    async def _mount_points(self) -> Sequence[Path]:
        """Where Gluster volumes are mounted, sorted."""
        rows = [row.split() for row in (await self._commands.read(MOUNTS)).splitlines()]
        return sorted(Path(row[1]) for row in rows if len(row) > 2 and row[2] == FILE_SYSTEM)

    async def _mount(self, place: Place, point: Path) -> None:
        """Raises PoolMissing where it cannot be mounted."""
        if point in await self._mount_points():
            return
        await self._threads.run(_make_directory, point)
        output = await self._commands.run(
            *("mount", "-t", "glusterfs", "-o", f"server-port={place.port}"),
            *(f"{place.host}:/{place.volume}", str(point)),
            timeout_s=MOUNT_TIMEOUT_S,
            check=False,
        )
        if output.code != 0:
            raise PoolMissing(
                f"Gluster volume {place.volume} of {place.host}:{place.port} cannot be mounted at"
                f" {point}: {last_lines(output)}; see /var/log/glusterfs",
                subject=place.volume,
            )


def files_in(pool: str, directory: Path) -> list[Stored]:
    """The disks in one Gluster volume, sorted."""
    if not directory.is_dir():
        return []
    return [
        Stored(
            template=Template.GLUSTER,
            pool=pool,
            name=path.name,
            size_mib=size_of(path) // MIB,
            owner=path.name.rpartition(".")[0],
            attached=locked(path),
        )
        for path in sorted(directory.iterdir())
        if NAME.match(path.name)
    ]


def room_at(pool: str, mount: Path) -> Capacity:
    """Room in one Gluster volume."""
    state = os.statvfs(mount)
    return Capacity(
        template=Template.GLUSTER,
        pool=pool,
        total_mib=state.f_blocks * state.f_frsize // MIB,
        free_mib=state.f_bavail * state.f_frsize // MIB,
    )


def _make_directory(path: Path) -> None:
    path.mkdir(mode=0o755, parents=True, exist_ok=True)


def _meaning(error: OSError, volume: Volume) -> StorageError:
    kind: type[StorageError] = StorageError
    if error.errno in NO_ROOM:
        kind = NoSpace
    elif error.errno in NOT_CONNECTED:
        kind = StorageDown
    return kind(f"{volume.name}: {error.strerror} ({error.filename})", subject=volume.name)


def _make(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return GlusterBackend(commands, threads, settings)


PLUGINS = (
    Plugin(
        template=Template.GLUSTER,
        naming="{owner}.{index}",
        make=_make,
        parameters=GlusterParameters,
        mirrored=Mirrored.EXTERNAL,
        any_pool=True,
        mounted_below="directory",
        uses_directories=True,
        lists_all=False,
    ),
)
