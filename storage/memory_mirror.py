"""The in-memory twin of ``drbd``: roles, generations, synchronisation over the wire."""

from __future__ import annotations

import msgspec

from storage.drbd_plan import clean_generation
from storage.errors import (
    BadParameter,
    NotUpToDate,
    SecondPrimary,
    SplitBrain,
    VolumeBusy,
)
from storage.memory_volumes import MemoryBackend
from storage.shelf import Attachment, Piece, key_of
from storage.twin_mirror import FRESH, Copy
from storage.volume import Health, Link, Mirror, Role, Template, Volume, VolumeStatus


class MirrorTwin(MemoryBackend):
    """Acts as ``drbd``: roles, generations, synchronisation, refusal of a second primary."""

    template = Template.DRBD
    snaps = False
    stills = True

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``."""
        mirror = _mirror(volume)
        piece = self._piece(volume)
        if key_of(volume) not in self._shelf.attached and clean and piece.copy.current == FRESH:
            first = f"clean:{clean_generation(volume, mirror):016x}"
            piece.copy = Copy(current=first, good=True, content=piece.copy.content)
        attachment = self._attach(volume, f"/dev/drbd{mirror.minor}")
        if attachment.mirror != mirror:
            if attachment.primary and attachment.connected:
                self._begin_alone(piece)  # the old peer will be behind
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

    async def resize(self, volume: Volume) -> None:
        """See ``Backend``. The addition is synchronised, as by real DRBD."""
        attachment = self._attachment(volume)
        if attachment.size_mib >= volume.size_mib:
            return
        there = self._shelf.wire.peer_of(self._shelf, attachment)
        if there is None or not attachment.connected:
            raise NotUpToDate(f"{volume.name}: the peer is not connected", subject=volume.name)
        peer = there[0].attached[there[1]]
        pieces = self._piece(volume), there[0].own[there[1]]
        if min(piece.size_mib for piece in pieces) < volume.size_mib:
            raise BadParameter(f"{volume.name}: a copy is too small", subject=volume.name)
        attachment.size_mib = peer.size_mib = volume.size_mib
        self._shelf.wire.start_sync((self._shelf, key_of(volume)), there)

    async def swap(self, volume: Volume, old: Volume) -> None:
        """See ``Backend``."""
        if key_of(volume) in self._shelf.attached:
            return
        attachment = self._attachment(old)
        self._piece(volume)
        there = self._shelf.wire.peer_of(self._shelf, attachment)
        if there is None or not attachment.connected or not there[0].own[there[1]].copy.good:
            raise NotUpToDate(f"{volume.name}: the peer is not up to date", subject=volume.name)
        self._shelf.attached[key_of(volume)] = self._shelf.attached.pop(key_of(old))
        attachment.mirror = _mirror(volume)  # other metadata; the connection stays
        attachment.freezes = True
        other = there[0].own[there[1]]
        if not other.copy.base:  # what is set aside is old from now on
            self._shelf.writes += 1
            other.copy = other.copy.alone(f"{self._shelf.node}#{self._shelf.writes}")
        self._shelf.wire.start_sync(there, (self._shelf, key_of(volume)))

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
            size_mib=attachment.size_mib,
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
