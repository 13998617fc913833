"""In-memory twins of the backends, for the simulated cluster and for trying things out.

``memory_backend(template, shelf)`` acts as that template does on a real node, on the pretended
disks of ``storage.shelf``. Template ``memory`` offers the same without pretending to be another.
"""

from __future__ import annotations

import msgspec

from storage.errors import SecondPrimary, VolumeBusy
from storage.file import FileParameters
from storage.interface import Backend, Commands, Threads
from storage.memory_mirror import MirrorTwin
from storage.memory_volumes import MemoryBackend
from storage.plugin import Plugin, StorageSettings, always_snapshots, checked_parameters
from storage.shelf import Shelf, key_of
from storage.volume import NetworkSource, Template, Volume, VolumeStatus

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


_TWINS: tuple[type[MemoryBackend], ...] = (
    MemoryBackend,
    PlainTwin,
    FileTwin,
    SharedFileTwin,
    RbdTwin,
    MirrorTwin,
)


def memory_backend(template: Template, shelf: Shelf) -> Backend:
    """The in-memory twin of a template's backend. Raises KeyError when there is none."""
    return {twin.template: twin for twin in _TWINS}[template](shelf)


def _make(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return MemoryBackend(Shelf("here", {POOL: POOL_MIB}))


PLUGINS = (Plugin(template=Template.MEMORY, make=_make, snapshots=always_snapshots),)
