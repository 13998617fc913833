"""In-memory twins of the backends, for the simulated cluster and for trying things out.

``memory_backend(template, shelf)`` acts as that template does on a real node, on the pretended
disks of ``storage.shelf``. Template ``memory`` offers the same without pretending to be another.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from storage.drbd_plan import clean_generation
from storage.errors import (
    BadParameter,
    NoSpace,
    NotUpToDate,
    PoolMissing,
    SecondPrimary,
    SizeDiffers,
    SplitBrain,
    VolumeBusy,
    VolumeMissing,
)
from storage.interface import Backend, Commands, Threads
from storage.plugin import Plugin, StorageSettings
from storage.shelf import Attachment, Piece, Shelf, key_of
from storage.twin_mirror import FRESH, Copy
from storage.unsnapped import Unsnapped
from storage.volume import (
    Capacity,
    Health,
    Link,
    Mirror,
    Role,
    Stored,
    Template,
    Volume,
    VolumeStatus,
)

POOL = "memory"
POOL_MIB = 1024 * 1024


class MemoryBackend(Unsnapped):
    """Volumes without a mirror on a shelf. Holds no state of its own."""

    template = Template.MEMORY
    path: ClassVar[str] = "/dev/{pool}/{name}"

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._pieces = shelf.pieces(self.template)

    async def ensure(self, volume: Volume) -> None:
        """See ``Backend``."""
        taken_mib = volume.size_mib + _overhead_mib(volume)
        found = self._pieces.get(key_of(volume))
        if found is not None and found.size_mib != volume.size_mib:
            raise SizeDiffers(
                f"{volume.name} has {found.size_mib} MiB, {volume.size_mib} MiB are wanted",
                subject=volume.name,
            )
        if found is not None:
            return
        if volume.pool not in self._shelf.pools:
            raise PoolMissing(f"pool {volume.pool} does not exist here", subject=volume.pool)
        if taken_mib > self._free_mib(volume.pool):
            raise NoSpace(f"pool {volume.pool} has too little free space", subject=volume.name)
        self._pieces[key_of(volume)] = Piece(
            size_mib=volume.size_mib, taken_mib=taken_mib, owner=volume.owner
        )

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self.detach(volume)
        self._pieces.pop(key_of(volume), None)

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``."""
        if key_of(volume) not in self._pieces:
            raise VolumeMissing(f"{volume.name} is not on this node", subject=volume.name)
        path = self.path.format(pool=volume.pool, name=volume.name, label=volume.label)
        return self._attach(volume, path).path

    async def detach(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self.close(volume)
        self._shelf.attached.pop(key_of(volume), None)
        self._shelf.wire.settle()

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``."""
        self._attachment(volume)

    async def close(self, volume: Volume) -> None:
        """See ``Backend``."""
        attachment = self._shelf.attached.get(key_of(volume))
        if attachment is not None and self._shelf.busy(attachment):
            raise VolumeBusy(f"{volume.name} is open; stop what uses it", subject=volume.name)

    async def share(self, volume: Volume, *, allowed: bool) -> None:
        """No mirror: nothing to do."""

    async def reconnect(self, volume: Volume, *, discard_local: bool = False) -> None:
        """No mirror: nothing to do."""

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``."""
        piece = self._pieces.get(key_of(volume))
        if piece is None:
            return VolumeStatus(uuid=volume.uuid, present=False)
        attachment = self._shelf.attached.get(key_of(volume))
        return VolumeStatus(
            uuid=volume.uuid,
            present=True,
            path=attachment.path if attachment else None,
            size_mib=piece.size_mib,
            health=Health.OK,
        )

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``."""
        return tuple(
            Stored(
                template=self.template,
                pool=key[1],
                name=key[2],
                size_mib=self._pieces[key].size_mib,
                owner=self._pieces[key].owner or None,
                attached=key in self._shelf.attached,
            )
            for key in sorted(self._pieces)
            if key[0] is self.template
        )

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``."""
        return tuple(
            Capacity(
                template=self.template,
                pool=pool,
                total_mib=self._shelf.pools[pool],
                free_mib=self._free_mib(pool),
            )
            for pool in sorted(self._shelf.pools)
        )

    def _free_mib(self, pool: str) -> int:
        taken = sum(piece.taken_mib for key, piece in self._pieces.items() if key[1] == pool)
        return self._shelf.pools[pool] - taken

    def _attach(self, volume: Volume, path: str) -> Attachment:
        fresh = Attachment(path=path, mirror=volume.mirror)
        return self._shelf.attached.setdefault(key_of(volume), fresh)

    def _attachment(self, volume: Volume) -> Attachment:
        self._shelf.wire.settle()
        found = self._shelf.attached.get(key_of(volume))
        if found is None:
            raise VolumeMissing(f"{volume.name} is not attached here", subject=volume.name)
        return found


class PlainTwin(MemoryBackend):
    """Acts as ``plain``."""

    template = Template.PLAIN


class FileTwin(MemoryBackend):
    """Acts as ``file``."""

    template = Template.FILE
    path = "{pool}/{label}/{name}"


class SharedFileTwin(FileTwin):
    """Acts as ``sharedfile``: data are on the wire, where each node finds them."""

    template = Template.SHAREDFILE


class MirrorTwin(MemoryBackend):
    """Acts as ``drbd``: roles, generations, synchronisation, refusal of a second primary."""

    template = Template.DRBD

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``."""
        mirror = _mirror(volume)
        piece = self._pieces.get(key_of(volume))
        if piece is None:
            raise VolumeMissing(f"{volume.name} is not on this node", subject=volume.name)
        if key_of(volume) not in self._shelf.attached and clean and piece.copy.current == FRESH:
            first = f"clean:{clean_generation(volume, mirror):016x}"
            piece.copy = Copy(current=first, good=True, content=piece.copy.content)
        attachment = self._attach(volume, f"/dev/drbd{mirror.minor}")
        if attachment.mirror != mirror:
            attachment.connected = False
            attachment.mirror = mirror
        self._want_peer(attachment)
        self._shelf.wire.settle()
        return attachment.path

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``."""
        attachment = self._attachment(volume)
        if attachment.primary:
            return
        piece = self._pieces[key_of(volume)]
        peer = self._peer(attachment)
        if peer is not None and peer.primary and not attachment.two_primaries:
            raise SecondPrimary(f"{volume.name}: the peer is primary", subject=volume.name)
        never_synced = piece.copy.current == FRESH and not piece.copy.begun
        if not piece.copy.good and not (force and never_synced):
            raise NotUpToDate(f"{volume.name}: the local copy is not good", subject=volume.name)
        if peer is None and not force:
            raise self._lonely(volume, attachment, piece)
        attachment.primary = True
        if peer is None or not piece.copy.good:
            self._begin_alone(piece)
        there = self._shelf.wire.peer_of(self._shelf, attachment)
        if peer is not None and never_synced and there is not None:
            self._shelf.wire.start_sync((self._shelf, key_of(volume)), there)

    async def close(self, volume: Volume) -> None:
        """See ``Backend``."""
        await super().close(volume)
        attachment = self._shelf.attached.get(key_of(volume))
        if attachment is not None:
            attachment.primary = False

    async def share(self, volume: Volume, *, allowed: bool) -> None:
        """See ``Backend``; as real DRBD, the change reaches a connected peer by itself."""
        self._shelf.wire.settle()
        attachment = self._shelf.attached.get(key_of(volume))
        if attachment is None:
            return
        peer = self._peer(attachment)
        if allowed and peer is None:
            raise NotUpToDate(f"{volume.name}: the peer is not connected", subject=volume.name)
        if attachment.two_primaries is allowed:
            return
        if not allowed and attachment.primary and peer is not None and peer.primary:
            raise VolumeBusy(f"{volume.name}: both sides are primary", subject=volume.name)
        attachment.two_primaries = allowed
        if peer is not None:
            peer.two_primaries = allowed

    async def reconnect(self, volume: Volume, *, discard_local: bool = False) -> None:
        """See ``Backend``."""
        attachment = self._attachment(volume)
        if attachment.connected:
            return
        if discard_local and attachment.primary:
            raise VolumeBusy(f"{volume.name} is open here; close it first", subject=volume.name)
        self._want_peer(attachment)
        attachment.gives_up = discard_local
        self._shelf.wire.settle()

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``."""
        self._shelf.wire.settle()
        stored = await super().look(volume)
        attachment = self._shelf.attached.get(key_of(volume))
        if attachment is None:
            return msgspec.structs.replace(stored, health=Health.UNKNOWN)
        peer = self._peer(attachment)
        progress = self._shelf.wire.sync_progress(self._shelf, key_of(volume))
        return msgspec.structs.replace(
            stored,
            role=Role.PRIMARY if attachment.primary else Role.SECONDARY,
            peer_role=_role(peer),
            link=_link(attachment, peer),
            health=self._health(volume, attachment),
            peer_health=self._peer_health(attachment),
            two_primaries_allowed=attachment.two_primaries,
            sync_percent=progress[0] if progress else None,
            sync_seconds_left=progress[1] if progress else None,
        )

    def _want_peer(self, attachment: Attachment) -> None:
        """Connects anew; what the lost connection allowed is not allowed again."""
        attachment.two_primaries = attachment.two_primaries and attachment.wants_peer
        attachment.wants_peer = True

    def _peer(self, attachment: Attachment) -> Attachment | None:
        """The other side while connected."""
        there = self._shelf.wire.peer_of(self._shelf, attachment) if attachment.connected else None
        return there[0].attached[there[1]] if there else None

    def _health(self, volume: Volume, attachment: Attachment) -> Health:
        if self._pieces[key_of(volume)].copy.good:
            return Health.OK
        return Health.FAULTY if attachment.sync_from is None else Health.SYNC

    def _peer_health(self, attachment: Attachment) -> Health:
        there = self._shelf.wire.peer_of(self._shelf, attachment) if attachment.connected else None
        if there is None:
            return Health.UNKNOWN
        shelf, key = there
        if shelf.own[key].copy.good:
            return Health.OK
        return Health.FAULTY if shelf.attached[key].sync_from is None else Health.SYNC

    def _begin_alone(self, piece: Piece) -> None:
        self._shelf.writes += 1
        generation = f"{self._shelf.node}#{self._shelf.writes}"
        if piece.copy.current == FRESH:
            piece.copy = Copy(current=generation, good=True, content=piece.copy.content)
        elif not piece.copy.base:
            piece.copy = piece.copy.alone(generation)

    def _lonely(
        self, volume: Volume, attachment: Attachment, piece: Piece
    ) -> SplitBrain | NotUpToDate:
        if not attachment.wants_peer and piece.copy.base:
            return SplitBrain(f"{volume.name}: both copies were written", subject=volume.name)
        return NotUpToDate(f"{volume.name}: the peer is not connected", subject=volume.name)


def _role(peer: Attachment | None) -> Role:
    if peer is None:
        return Role.UNKNOWN
    return Role.PRIMARY if peer.primary else Role.SECONDARY


def _link(attachment: Attachment, peer: Attachment | None) -> Link:
    if not attachment.wants_peer:
        return Link.STANDALONE
    if peer is None:
        return Link.CONNECTING
    syncing = attachment.sync_from is not None or peer.sync_from is not None
    return Link.SYNCING if syncing else Link.CONNECTED


def _mirror(volume: Volume) -> Mirror:
    if volume.mirror is None:
        raise BadParameter(f"{volume.name}: a drbd volume needs its mirror", subject=volume.name)
    return volume.mirror


def _overhead_mib(volume: Volume) -> int:
    return volume.mirror.meta_size_mib if volume.mirror else 0


_TWINS: tuple[type[MemoryBackend], ...] = (
    MemoryBackend,
    PlainTwin,
    FileTwin,
    SharedFileTwin,
    MirrorTwin,
)


def memory_backend(template: Template, shelf: Shelf) -> Backend:
    """The in-memory twin of a template's backend. Raises KeyError when there is none."""
    return {twin.template: twin for twin in _TWINS}[template](shelf)


def _make(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return MemoryBackend(Shelf("here", {POOL: POOL_MIB}))


PLUGINS = (Plugin(template=Template.MEMORY, make=_make),)
