"""In-memory twins of the backends, for the simulated cluster and for trying things out.

``memory_backend(template, shelf)`` acts as that template does on a real node, on the pretended
disks of ``storage.shelf``. Template ``memory`` offers the same without pretending to be another.
"""

from __future__ import annotations

import msgspec

from storage.device_names import POOL as DEVICES_POOL
from storage.errors import (
    BadParameter,
    PoolMissing,
    SecondPrimary,
    SizeDiffers,
    VolumeBusy,
    VolumeMissing,
)
from storage.file import FileParameters
from storage.interface import Backend, Commands, Threads
from storage.memory_mirror import MirrorTwin
from storage.memory_volumes import MemoryBackend
from storage.plugin import Plugin, StorageSettings, always_snapshots, checked_parameters
from storage.shelf import Piece, Shelf, key_of
from storage.volume import Capacity, NetworkSource, Stored, Template, Volume, VolumeStatus

POOL = "memory"
POOL_MIB = 1024 * 1024


class PlainTwin(MemoryBackend):
    """Acts as ``plain``."""

    template = Template.PLAIN
    stills = True


class FileTwin(MemoryBackend):
    """Acts as ``file``."""

    template = Template.FILE
    path = "{pool}/{label}/{name}"

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``."""
        format = checked_parameters(volume, FileParameters).format
        return msgspec.structs.replace(await super().look(volume), format=format)


class SharedFileTwin(FileTwin):
    """Acts as ``sharedfile``: data are on the wire, where each node finds them."""

    template = Template.SHAREDFILE


class RbdTwin(MemoryBackend):
    """Acts as ``rbd``: data are on the wire; one that takes an image over shuts the others out."""

    template = Template.RBD
    path = "rbd:{pool}/{name}"

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``."""
        found = await super().look(volume)
        source = NetworkSource(protocol="rbd", name=f"{volume.pool}/{volume.name}")
        return msgspec.structs.replace(found, source=source if found.path else None)

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``."""
        self._attachment(volume)
        others = self._shelf.others_using(key_of(volume))
        shared = key_of(volume) in self._shelf.wire.shareable
        if not others or (shared and not force):
            return
        if not force:
            raise SecondPrimary(
                f"{volume.name} is open on {others[0].node}; stop its guest there",
                subject=volume.name,
            )
        for shelf in others:
            shelf.shut_out.add(key_of(volume))

    async def share(self, volume: Volume, *, allowed: bool) -> None:
        """See ``Backend``."""
        if key_of(volume) in self._pieces and allowed:
            self._shelf.wire.shareable.add(key_of(volume))
        else:
            self._shelf.wire.shareable.discard(key_of(volume))

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``."""
        if self._shelf.busy_anywhere(key_of(volume)):
            raise VolumeBusy(f"{volume.name} is open; stop what uses it", subject=volume.name)
        await super().forget(volume)


class ExternalTwin(MemoryBackend):
    """Acts as ``ext`` with a provider that keeps volumes where each node finds them."""

    template = Template.EXT


class GlusterTwin(MemoryBackend):
    """Acts as ``gluster``."""

    template = Template.GLUSTER
    path = "/gluster/{pool}/{name}"


class BlockdevTwin(MemoryBackend):
    """Acts as ``blockdev``: the wire says which devices there are."""

    template = Template.BLOCKDEV
    path = "{name}"

    async def ensure(self, volume: Volume) -> None:
        """See ``Backend``."""
        size_mib = self._device_mib(volume)
        if size_mib != volume.size_mib:
            raise SizeDiffers(f"{volume.name} has {size_mib} MiB", subject=volume.name)
        self._pieces.setdefault(
            key_of(volume), Piece(size_mib=size_mib, taken_mib=0, owner=volume.owner)
        )

    async def grow(self, volume: Volume) -> None:
        """See ``Backend``."""
        if self._device_mib(volume) < volume.size_mib:
            raise BadParameter(f"{volume.name} cannot be made larger", subject=volume.name)

    async def adopt(self, volume: Volume, name: str) -> None:
        """See ``Backend``."""
        if not volume.owner:
            self._pieces.pop(key_of(volume), None)
            return
        size_mib = self._device_mib(volume)
        if self._shelf.busy_anywhere(key_of(volume)):
            raise VolumeBusy(f"{name} is in use", subject=name)
        self._pieces.setdefault(
            key_of(volume), Piece(size_mib=size_mib, taken_mib=0, owner=volume.owner)
        )

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``."""
        size_mib = self._device_mib(volume)
        self._pieces.setdefault(
            key_of(volume), Piece(size_mib=size_mib, taken_mib=0, owner=volume.owner)
        )
        return await super().attach(volume, clean=clean)

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``."""
        here = volume.pool == DEVICES_POOL
        size_mib = self._shelf.wire.devices.get(volume.name) if here else None
        found = await super().look(volume)
        return msgspec.structs.replace(found, present=size_mib is not None, size_mib=size_mib)

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``."""
        return ()

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``."""
        return ()

    def _device_mib(self, volume: Volume) -> int:
        if volume.pool != DEVICES_POOL:
            raise PoolMissing(f"there is no '{volume.pool}' of devices", subject=volume.pool)
        size_mib = self._shelf.wire.devices.get(volume.name)
        if size_mib is None:
            raise VolumeMissing(f"{volume.name} is not on this node", subject=volume.name)
        return size_mib


_TWINS: tuple[type[MemoryBackend], ...] = (
    MemoryBackend,
    PlainTwin,
    FileTwin,
    SharedFileTwin,
    RbdTwin,
    ExternalTwin,
    GlusterTwin,
    BlockdevTwin,
    MirrorTwin,
)


def memory_backend(template: Template, shelf: Shelf) -> Backend:
    """The in-memory twin of a template's backend. Raises KeyError when there is none."""
    return {twin.template: twin for twin in _TWINS}[template](shelf)


def _make(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return MemoryBackend(Shelf("here", {POOL: POOL_MIB}))


PLUGINS = (
    Plugin(
        template=Template.MEMORY,
        naming="{label}.disk{index}",
        make=_make,
        snapshots=always_snapshots,
        lists_all=False,
    ),
)
