"""Template ``diskless``: instances without disks. Its backend has no volumes and refuses to make
any; reading answers that there are none.
"""

from __future__ import annotations

from storage.errors import BadParameter, VolumeMissing
from storage.interface import Backend, Commands, Threads
from storage.plugin import Mirrored, Plugin, StorageSettings
from storage.stills import Unstilled
from storage.unmirrored import Unmirrored
from storage.unsnapped import Unsnapped
from storage.volume import Capacity, Stored, Template, Volume, VolumeStatus


class DisklessBackend(Unmirrored, Unsnapped, Unstilled):
    """No volumes at all."""

    template = Template.DISKLESS

    async def ensure(self, volume: Volume) -> None:
        """Raises BadParameter always."""
        raise BadParameter("template diskless has no disks; choose another", subject=volume.name)

    async def forget(self, volume: Volume) -> None:
        """There is nothing."""

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """Raises VolumeMissing always."""
        raise VolumeMissing("template diskless has no disks", subject=volume.name)

    async def detach(self, volume: Volume) -> None:
        """There is nothing."""

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """Raises VolumeMissing always."""
        raise VolumeMissing("template diskless has no disks", subject=volume.name)

    async def close(self, volume: Volume) -> None:
        """There is nothing."""

    async def grow(self, volume: Volume) -> None:
        """Raises VolumeMissing always."""
        raise VolumeMissing("template diskless has no disks", subject=volume.name)

    async def look(self, volume: Volume) -> VolumeStatus:
        """Nothing is found."""
        return VolumeStatus(uuid=volume.uuid, present=False)

    async def list(self) -> tuple[Stored, ...]:
        """Nothing is found."""
        return ()

    async def capacity(self) -> tuple[Capacity, ...]:
        """There are no pools."""
        return ()


def _make(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return DisklessBackend()


PLUGINS = (Plugin(template=Template.DISKLESS, make=_make, mirrored=Mirrored.EXTERNAL, grows=False),)
