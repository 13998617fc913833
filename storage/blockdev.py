"""Template ``blockdev``: devices that somebody else made and that each node of the group sees.

They are adopted, never made: ``name`` is the device's whole path below ``/dev/disk``, which is the
same on each node, ``pool`` says so. Nothing is written to them but by guests, and nothing is
removed.
"""

from __future__ import annotations

from typing import Literal

from storage.block_devices import refuse_openers, refuse_users, size_mib
from storage.device_names import POOL, checked_path
from storage.errors import BadParameter, PoolMissing, SizeDiffers, VolumeMissing
from storage.interface import Backend, Commands, Threads
from storage.plugin import Mirrored, Plugin, StorageSettings
from storage.stills import Unstilled
from storage.unmirrored import Unmirrored
from storage.unsnapped import Unsnapped, fill_at
from storage.volume import Capacity, Filled, Health, Stored, Template, Volume, VolumeStatus


class BlockdevBackend(Unmirrored, Unsnapped, Unstilled):
    """Adopted devices as one node sees them. Holds no state."""

    template = Template.BLOCKDEV

    def __init__(self, commands: Commands, threads: Threads) -> None:
        self._commands = commands
        self._threads = threads

    async def ensure(self, volume: Volume) -> None:
        """See ``Backend``. Nothing is made: raises VolumeMissing where it is not there."""
        found = await self._size_mib(volume)
        if found != volume.size_mib:
            raise SizeDiffers(
                f"{volume.name} has {found} MiB but {volume.size_mib} MiB are wanted",
                subject=volume.name,
            )

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``. The data stay."""
        await self.detach(volume)

    async def grow(self, volume: Volume) -> None:
        """See ``Backend``. What is large enough already is left alone."""
        if await self._size_mib(volume) < volume.size_mib:
            raise BadParameter(
                f"{volume.name} was adopted and cannot be made larger here", subject=volume.name
            )

    async def adopt(self, volume: Volume, name: str) -> None:
        """See ``Backend``. It keeps its name, and bears no mark that could be taken away."""
        if name != volume.name:
            raise BadParameter(f"{name} cannot be called {volume.name}", subject=name)
        if not volume.owner:
            return
        await self._size_mib(volume)
        await refuse_users(self._threads, name, name)
        await refuse_openers(self._threads, name)

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``. Nothing to do but to find it."""
        await self._size_mib(volume)
        return volume.name

    async def detach(self, volume: Volume) -> None:
        """See ``Backend``. Nothing to do but to see that nobody uses it."""
        await refuse_users(self._threads, checked_path(volume.name), volume.name)

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``."""
        await self._size_mib(volume)

    async def close(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self.detach(volume)

    async def fill(self, volume: Volume, path: str, format: Literal["raw", "qcow2"]) -> Filled:
        """See ``Backend``."""
        return await fill_at(self, self._commands, volume, path, format)

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``. One command."""
        found = None
        if volume.pool == POOL:
            found = await size_mib(self._commands, checked_path(volume.name))
        if found is None:
            return VolumeStatus(uuid=volume.uuid, present=False)
        return VolumeStatus(
            uuid=volume.uuid, present=True, path=volume.name, size_mib=found, health=Health.OK
        )

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``. Devices bear no mark: nothing is told."""
        return ()

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``. There is none to give away."""
        return ()

    async def _size_mib(self, volume: Volume) -> int:
        if volume.pool != POOL:
            raise PoolMissing(
                f"there is no '{volume.pool}' of devices, only '{POOL}'", subject=volume.name
            )
        found = await size_mib(self._commands, checked_path(volume.name))
        if found is None:
            raise VolumeMissing(
                f"{volume.name} is no block device of this node; connect it", subject=volume.name
            )
        return found


def _make(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return BlockdevBackend(commands, threads)


PLUGINS = (
    Plugin(
        template=Template.BLOCKDEV,
        naming="{label}",
        make=_make,
        mirrored=Mirrored.EXTERNAL,
        any_pool=True,
        lists_all=False,
        held_by_node=True,
        adopts=True,
        makes=False,
        grows=False,
    ),
)
