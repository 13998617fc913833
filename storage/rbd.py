"""Template ``rbd``: one image of a Ceph pool a disk, ``<uuid>.rbd.diskN`` as Ganeti names it.

Guests reach it through librbd, so it has no attachment; with ``access`` set to ``kernelspace`` it
is mapped to a device first. The pool is reached by all nodes: what another node does to an image is
seen here. ``open`` with ``force`` is the fence: it shuts the other client out of the cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from storage import rbd_images
from storage.ceph_link import (
    Access,
    Place,
    cluster,
    command,
    full_pools,
    place_of,
    pool_of,
    refuse_full,
)
from storage.commands import command_failed
from storage.copying import Target, copy_image
from storage.errors import (
    CommandFailed,
    PoolMissing,
    StorageDown,
    StorageError,
    VolumeBusy,
    VolumeMissing,
)
from storage.interface import Backend, Commands, Threads
from storage.plugin import (
    Mirrored,
    Plugin,
    StorageSettings,
    always_snapshots,
    checked_parameters,
)
from storage.stills import Unstilled
from storage.unmirrored import Unmirrored
from storage.volume import Capacity, Filled, NetworkSource, Stored, Template, Volume, VolumeStatus

MIB = 1024 * 1024
DEFAULT_USER = "admin"
BOUNDED = ":rados_mon_op_timeout=60:rados_osd_op_timeout=60"
"""For QEMU's own programs, which would wait for a full pool, or for dead OSDs, without end."""
T = TypeVar("T")
Work = Callable[[Any, Any], T]


class RbdParameters(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """Disk parameters of ``rbd``; ``pool``, ``access`` and ``user-id`` are Ganeti's."""

    pool: str = "rbd"
    namespace: str = ""
    """In the pool; made by the operator."""
    access: Literal["userspace", "kernelspace"] = "userspace"
    """Whether guests reach the image by librbd or by a device that the kernel maps."""
    user_id: str = ""
    """Ceph's user without ``client.``; empty is the settings' or ``admin``."""
    config: str = ""
    """The cluster's configuration file on the nodes; empty is the settings'."""


class Mapped(msgspec.Struct, frozen=True, kw_only=True):
    """One image that the kernel maps, as ``rbd showmapped`` lists it."""

    pool: str
    name: str
    device: str
    namespace: str = ""


class RbdBackend(Unmirrored, Unstilled):
    """Images as one node reaches them. Holds no state of its own."""

    template = Template.RBD

    def __init__(self, commands: Commands, threads: Threads, settings: StorageSettings) -> None:
        self._commands = commands
        self._threads = threads
        self._settings = settings

    # -- data ----------------------------------------------------------------------------------

    async def ensure(self, volume: Volume) -> None:
        """See ``Backend``. An image is complete when it has its size: a clone gets it last."""
        await self._in_pool(volume, lambda link, io: _ensure(link, io, volume))

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``. Raises VolumeBusy while any node has it open."""
        if checked_parameters(volume, RbdParameters).access == "kernelspace":
            await self.detach(volume)
        await self._in_pool(volume, lambda _, io: rbd_images.remove(io, volume), frees=True)

    async def grow(self, volume: Volume) -> None:
        """See ``Backend``."""
        if not (await self.look(volume)).present:
            raise VolumeMissing(
                f"image {volume.name} does not exist; bring it back, or recreate the disk",
                subject=volume.name,
            )
        await self._in_room(volume, lambda _, io: rbd_images.resize(io, volume, volume.size_mib))

    # -- attachment ----------------------------------------------------------------------------

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``. Nothing to do for librbd but to find it."""
        status = await self.look(volume)
        if not status.present:
            raise VolumeMissing(
                f"image {volume.name} does not exist; bring it back, or recreate the disk",
                subject=volume.name,
            )
        if status.path is not None:
            return status.path
        argv = ("rbd", *self._words(volume), "map", self._spec(volume))
        output = await self._commands.run(*argv, check=False)
        if output.code != 0:
            raise command_failed(argv, output, subject=volume.name)
        return output.stdout.strip()

    async def detach(self, volume: Volume) -> None:
        """See ``Backend``."""
        device = await self._device(volume)
        if device is None:
            await self._unused_here(volume)
            return
        argv = ("rbd", *self._words(volume), "unmap", device)
        output = await self._commands.run(*argv, check=False)
        if output.code == 0 or await self._device(volume) is None:
            return
        if "busy" in output.stderr:
            raise VolumeBusy(f"{device} is open; stop what uses it", subject=volume.name)
        raise command_failed(argv, output, subject=volume.name)

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``."""
        status = await self.look(volume)
        if status.path is None:
            raise VolumeMissing(f"image {volume.name} is not attached", subject=volume.name)
        await self._in_pool(
            volume, lambda link, io: rbd_images.take_over(link, io, volume, force=force)
        )

    async def close(self, volume: Volume) -> None:
        """See ``Backend``."""
        if await self._device(volume) is None:
            await self._unused_here(volume)

    async def share(self, volume: Volume, *, allowed: bool) -> None:
        """See ``Backend``. Recorded in the image, as both nodes must know it."""
        await self._in_pool(volume, lambda _, io: rbd_images.share(io, volume, allowed=allowed))

    # -- snapshots and contents ----------------------------------------------------------------

    async def snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend``. It is protected."""
        await self._in_room(volume, lambda _, io: rbd_images.take_snapshot(io, volume, name))

    async def forget_snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend``."""
        await self._in_pool(
            volume, lambda _, io: rbd_images.forget_snapshot(io, volume, name), frees=True
        )

    async def revert(self, volume: Volume, name: str) -> None:
        """See ``Backend``."""
        await self._in_room(volume, lambda _, io: rbd_images.revert(io, volume, name))

    async def flatten(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self._in_room(volume, lambda _, io: rbd_images.flatten(io, volume))

    async def fill(self, volume: Volume, path: str, format: Literal["raw", "qcow2"]) -> Filled:
        """See ``Backend``."""
        status = await self.look(volume)
        if not status.present:
            raise VolumeMissing(f"image {volume.name} does not exist", subject=volume.name)
        where = f"{self._source(volume).uri}{BOUNDED}"
        await self._in_room(volume, _nothing)
        try:
            target = Target(where=where, size_mib=status.size_mib or 0)
            await copy_image(self._commands, path, format, target)
        except CommandFailed:
            await self._in_room(volume, _nothing)  # it fills while it is copied to
            raise
        return Filled.COPIED

    # -- reading -------------------------------------------------------------------------------

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``."""
        try:
            found, keyring = await self._in_pool(volume, partial(_status, volume))
        except PoolMissing:
            return VolumeStatus(uuid=volume.uuid, present=False)
        if not found.present:
            return found
        if checked_parameters(volume, RbdParameters).access == "kernelspace":
            return msgspec.structs.replace(found, path=await self._device(volume))
        source = msgspec.structs.replace(self._source(volume), keyring=keyring)
        return msgspec.structs.replace(found, path=f"rbd:{source.name}", source=source)

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``. In the pools of the node's settings."""
        found: list[Stored] = []
        for pool in await self._own_pools():
            found += await self._in_place(pool, partial(_stored, pool))
        return tuple(sorted(found, key=lambda stored: (stored.pool, stored.name)))

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``. Images may be promised more than there is."""
        pools = await self._own_pools()
        if not pools:
            return ()
        access = self._access(RbdParameters())
        return await self._threads.run(_capacity, access, pools)

    async def _own_pools(self) -> tuple[str, ...]:
        """Those of the settings, if this node has Ceph at all."""
        config = self._settings.ceph_config
        there = await self._threads.run(Path(config).exists)
        return self._settings.ceph_pools if there else ()

    # -- the cluster ---------------------------------------------------------------------------

    def _access(self, parameters: RbdParameters) -> Access:
        settings = self._settings
        return Access(
            config=parameters.config or settings.ceph_config,
            user=parameters.user_id or settings.ceph_user or DEFAULT_USER,
        )

    def _source(self, volume: Volume) -> NetworkSource:
        access = self._access(checked_parameters(volume, RbdParameters))
        name = f"{place_of(volume.pool)}/{volume.name}"
        return NetworkSource(protocol="rbd", name=name, config=access.config, user=access.user)

    def _words(self, volume: Volume) -> tuple[str, ...]:
        access = self._access(checked_parameters(volume, RbdParameters))
        return ("-c", access.config, "--id", access.user)

    def _spec(self, volume: Volume) -> str:
        return f"{place_of(volume.pool)}/{volume.name}"

    async def _in_pool(self, volume: Volume, work: Work[T], *, frees: bool = False) -> T:
        """``frees``: it gives room back, which a full pool allows."""
        access = self._access(checked_parameters(volume, RbdParameters))
        return await self._threads.run(_work, access, place_of(volume.pool), work, frees)

    async def _in_room(self, volume: Volume, work: Work[T]) -> T:
        """Work that needs room. Raises NoSpace while the pool is full."""
        place = place_of(volume.pool)

        def with_room(link: Any, io: Any) -> T:
            refuse_full(link, place)
            return work(link, io)

        return await self._in_pool(volume, with_room)

    async def _in_place(self, pool: str, work: Work[T]) -> T:
        access = self._access(RbdParameters())
        return await self._threads.run(_work, access, place_of(pool), work)

    async def _unused_here(self, volume: Volume) -> None:
        try:
            await self._in_pool(
                volume, lambda link, io: rbd_images.refuse_local_users(link, io, volume)
            )
        except PoolMissing:
            return

    async def _device(self, volume: Volume) -> str | None:
        """Where the kernel maps the image, if it does."""
        if checked_parameters(volume, RbdParameters).access != "kernelspace":
            return None
        output = await self._commands.run("rbd", "showmapped", "--format", "json")
        place = place_of(volume.pool)
        for mapped in msgspec.json.decode(output.stdout, type=list[Mapped]):
            if (mapped.pool, mapped.namespace, mapped.name) == (
                place.pool,
                place.namespace,
                volume.name,
            ):
                return mapped.device
        return None


def _work(access: Access, place: Place, work: Work[T], frees: bool = False) -> T:
    with cluster(access) as link:
        try:
            with pool_of(link, place) as io:
                if frees:
                    io.set_osdmap_full_try()
                return work(link, io)
        except StorageDown:
            refuse_full(link, place)  # what needs room waits while there is none
            raise


def _nothing(_link: Any, _io: Any) -> None:
    """Only whether there is room is asked."""


def _ensure(link: Any, io: Any, volume: Volume) -> None:
    origin = volume.origin
    if origin is None:
        if not rbd_images.present(io, volume, volume.size_mib):
            refuse_full(link, place_of(volume.pool))
            rbd_images.create(io, volume)
        return
    # one that is smaller may be a clone that was not finished
    try:
        if rbd_images.present(io, volume, volume.size_mib):
            return
    except StorageError:
        if not rbd_images.unfinished_clone(io, volume, origin):
            raise
    refuse_full(link, place_of(volume.pool))
    with pool_of(link, place_of(origin.pool)) as parent:
        rbd_images.clone(parent, io, volume, origin)


def _status(volume: Volume, link: Any, io: Any) -> tuple[VolumeStatus, str]:
    """The image, and the file with the user's key."""
    keyrings = link.conf_get("keyring").replace(";", ",").split(",")
    there = [path.strip() for path in keyrings if Path(path.strip()).is_file()]
    return rbd_images.status_of(io, volume), there[0] if there else ""


def _stored(pool: str, _link: Any, io: Any) -> list[Stored]:
    return list(rbd_images.stored_in(io, pool))


class _PoolStats(msgspec.Struct, frozen=True):
    stored: int = 0
    max_avail: int = 0
    quota_bytes: int = 0

    @property
    def free(self) -> int:
        """What the disks and the pool's quota leave."""
        left = max(0, self.quota_bytes - self.stored) if self.quota_bytes else self.max_avail
        return min(self.max_avail, left)


class _PoolRow(msgspec.Struct, frozen=True):
    name: str
    stats: _PoolStats


class _Room(msgspec.Struct, frozen=True):
    pools: list[_PoolRow]


def _capacity(access: Access, pools: tuple[str, ...]) -> tuple[Capacity, ...]:
    with cluster(access) as link:
        room = msgspec.json.decode(command(link, prefix="df", detail="detail"), type=_Room)
        full = full_pools(link)
    rows = {
        row.name: msgspec.structs.replace(row.stats, max_avail=0) if row.name in full else row.stats
        for row in room.pools
    }
    return tuple(
        Capacity(
            template=Template.RBD,
            pool=pool,
            total_mib=(rows[place_of(pool).pool].stored + rows[place_of(pool).pool].free) // MIB,
            free_mib=rows[place_of(pool).pool].free // MIB,
        )
        for pool in sorted(pools)
        if place_of(pool).pool in rows
    )


def _make(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return RbdBackend(commands, threads, settings)


PLUGINS = (
    Plugin(
        template=Template.RBD,
        make=_make,
        parameters=RbdParameters,
        mirrored=Mirrored.EXTERNAL,
        snapshots=always_snapshots,
        any_pool=True,
        held_by_node=True,
    ),
)
