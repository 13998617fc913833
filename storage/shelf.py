"""The disks of pretended nodes: data that survive a power-off, attachments that do not, and the
wire over which mirrors meet.

Everything happens at once when a verb, a write or an event on the wire is called, except that a
synchronisation may be given a duration; ``Wire.settle`` brings it to what the time says. Writes are
counted, not stored: copies are equal when ``content`` is.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from storage.errors import NotUpToDate, StorageError, VolumeMissing
from storage.twin_mirror import Copy, Meeting, Side, meet
from storage.volume import Mirror, Template, Volume

SHARED_TEMPLATES = (
    Template.SHAREDFILE,
    Template.RBD,
    Template.EXT,
    Template.GLUSTER,
    Template.BLOCKDEV,
)
HOLDING = (Template.RBD, Template.EXT)
"""Those of which something is on a node from attaching to detaching. Of the others there is nothing
but what has them open."""
Key = tuple[Template, str, str]
"""Template, pool and name of a piece of storage."""


class Taken(msgspec.Struct, kw_only=True):
    """A snapshot."""

    size_mib: int
    content: str


class Piece(msgspec.Struct, kw_only=True):
    """Stored data of one volume on one node."""

    size_mib: int
    taken_mib: int
    owner: str
    copy: Copy = Copy()
    snapshots: dict[str, Taken] = {}
    origin: tuple[str, str, str] | None = None
    """Pool, name and snapshot that it is a clone of."""


class Attachment(msgspec.Struct, kw_only=True):
    """A volume in use on one node."""

    path: str
    mirror: Mirror | None = None
    size_mib: int = 0
    """Of a mirror's device: it follows its data only when told to."""
    primary: bool = False
    wants_peer: bool = True
    """False when it stands alone."""
    connected: bool = False
    two_primaries: bool = False
    gives_up: bool = False
    freezes: bool = False
    """Stands still, rather than fails, while it has no whole copy at hand."""
    held: bool = False
    """Something has it open."""
    sync_from: float | None = None
    """Since when it is being overwritten with the peer's data."""


def key_of(volume: Volume) -> Key:
    """Under what a volume is found on a shelf."""
    return (volume.template, volume.pool, volume.name)


class StandsStill(StorageError):
    """The device answers no request until its peer is back."""

    code = "stands_still"


class Shelf:
    """The disks of one node. Invariant: what is attached is also stored."""

    def __init__(self, node: str, pools: dict[str, int], wire: Wire | None = None) -> None:
        self.node = node
        self.pools = dict(pools)
        """Pool -> total MiB."""
        self.told: dict[Template, tuple[str, ...]] = {}
        """The pools that the backend of a template was configured with; of one without an entry all
        of them. A real one knows nothing of the others' pools."""
        self.powered = True
        self.attached: dict[Key, Attachment] = {}
        self.own: dict[Key, Piece] = {}
        self.writes = 0
        self.in_use: Callable[[str], bool] = lambda path: False
        """Asked beside ``hold``: has something else, a guest, the device at a path open?"""
        self.files: dict[str, int] = {}
        """Image files of the node that volumes can be filled from: path -> MiB."""
        self.foreign: dict[tuple[str, str], int] = {}
        """Logical volumes that are nobody's and may be adopted: (pool, name) -> MiB."""
        self.shut_out: set[Key] = set()
        """Whose writes from this node do not arrive any more, until its power was off."""
        self.wire = wire or Wire()
        self.wire.shelves[node] = self

    def pieces(self, template: Template) -> dict[Key, Piece]:
        """Where data of a template are: on the node, or shared by all."""
        return self.wire.shared if template in SHARED_TEMPLATES else self.own

    def power_off(self) -> None:
        """Attachments are gone; data stay."""
        self.powered = False
        self.attached.clear()
        self.shut_out.clear()
        self.wire.settle()

    def power_on(self) -> None:
        """Data are back, nothing is attached."""
        self.powered = True

    def hold(self, path: str) -> None:
        """Something opens the device, so that it cannot be taken away."""
        self._at(path)[1].held = True

    def release(self, path: str) -> None:
        """Nothing has the device open any more; none there is success."""
        for attachment in self.attached.values():
            if attachment.path == path:
                attachment.held = False

    def busy(self, attachment: Attachment) -> bool:
        """Something has the device open."""
        return attachment.held or self.in_use(attachment.path)

    def busy_anywhere(self, key: Key) -> bool:
        """Something on any node has the volume open."""
        found = self.attached.get(key)
        return (found is not None and self.busy(found)) or bool(self.others_using(key))

    def others_using(self, key: Key) -> list[Shelf]:
        """The other nodes where something has a shared volume open, and may write it."""
        if key[0] not in SHARED_TEMPLATES:
            return []
        return [
            shelf
            for node, shelf in sorted(self.wire.shelves.items())
            if shelf is not self and key in shelf.attached and key not in shelf.shut_out
            if shelf.busy(shelf.attached[key])
        ]

    def found_at(self, path: str) -> tuple[int, str]:
        """Size and contents of an image file or an attached volume. Raises VolumeMissing."""
        if path in self.files:
            return self.files[path], path
        key, _ = self._at(path)
        piece = self.pieces(key[0])[key]
        return piece.size_mib, piece.copy.content

    def read(self, path: str) -> str:
        """What a guest finds: the last write. Raises when nothing is attached."""
        key, attachment = self._at(path)
        self.wire.settle()
        piece = self.pieces(key[0])[key]
        peer = self.wire.peer_of(self, attachment) if not piece.copy.good else None
        if attachment.primary and attachment.connected and peer is not None:
            return peer[0].own[peer[1]].copy.content  # what is not copied yet is read there
        self._check_whole(attachment, piece)
        return piece.copy.content

    def write(self, path: str, content: str = "") -> str:
        """Somebody writes once; answers the name of the write, or ``content`` where all of it is
        written. Raises when it must not be."""
        key, attachment = self._at(path)
        if attachment.mirror is not None and not attachment.primary:
            raise NotUpToDate(f"{path} on {self.node} is not open for writing", subject=path)
        if key in self.shut_out:
            raise NotUpToDate(f"{path} on {self.node} was shut out", subject=path)
        self.wire.settle()
        self.writes += 1
        stamp = content or f"{self.node}#{self.writes}"
        piece = self.pieces(key[0])[key]
        self._check_whole(attachment, piece)
        if attachment.mirror is not None and not attachment.connected:
            piece.copy = _changed_alone(piece.copy, stamp)
        piece.copy = msgspec.structs.replace(piece.copy, content=stamp)
        peer = self.wire.peer_of(self, attachment) if attachment.connected else None
        if peer is not None:
            other = peer[0].pieces(peer[1][0])[peer[1]]
            other.copy = msgspec.structs.replace(other.copy, content=stamp)
        return stamp

    def _check_whole(self, attachment: Attachment, piece: Piece) -> None:
        """Raises while the primary has no whole copy at hand."""
        lonely = attachment.primary and not attachment.connected
        if lonely and not piece.copy.good:
            error = StandsStill if attachment.freezes else NotUpToDate
            raise error(f"{attachment.path} on {self.node} has no whole copy at hand")

    def content(self, volume: Volume) -> str:
        """The last write that this node's copy of the volume has."""
        self.wire.settle()
        return self.pieces(volume.template)[key_of(volume)].copy.content

    def _at(self, path: str) -> tuple[Key, Attachment]:
        for key in sorted(self.attached):
            if self.attached[key].path == path:
                return key, self.attached[key]
        raise VolumeMissing(f"nothing is attached at {path} on {self.node}", subject=path)


def _changed_alone(copy: Copy, generation: str) -> Copy:
    moved = copy if copy.base else copy.alone(generation)
    return msgspec.structs.replace(moved, changed=True)


class Wire:
    """What joins the shelves of a cluster. ``now`` and a speed give synchronisation a duration."""

    def __init__(
        self, *, now: Callable[[], float] | None = None, sync_mib_per_s: float | None = None
    ) -> None:
        self.shelves: dict[str, Shelf] = {}
        self.shared: dict[Key, Piece] = {}
        self.devices: dict[str, int] = {}
        """Devices that somebody else made and each node sees: path -> MiB."""
        self.shareable: set[Key] = set()
        """Shared volumes that several nodes may write."""
        self._now = now or (lambda: 0.0)
        self._speed = sync_mib_per_s
        self._cut: set[frozenset[str]] = set()

    def cut(self, one: str, other: str) -> None:
        """The two nodes' mirrors do not reach each other any more."""
        self.settle()
        self._cut.add(frozenset((one, other)))
        self.settle()

    def mend(self, one: str, other: str) -> None:
        """The two nodes' mirrors reach each other again."""
        self._cut.discard(frozenset((one, other)))
        self.settle()

    def settle(self) -> None:
        """Mirrors are as the links and the time say: lost, met, synchronised."""
        mirrors = self._mirrors()
        for shelf, _, attachment in mirrors:
            if not attachment.connected and attachment.sync_from is None:
                continue
            peer = self.peer_of(shelf, attachment)
            if peer is None or not self._attachment(peer).connected:
                attachment.connected = False
                attachment.sync_from = None
        for shelf, key, attachment in mirrors:
            meets = not attachment.connected and attachment.wants_peer
            if not meets and attachment.sync_from is None:
                continue
            peer = self.peer_of(shelf, attachment)
            if peer is None:
                continue
            if meets:
                self._meet((shelf, key), peer)
            else:
                self._advance((shelf, key), peer)

    def peer_of(self, shelf: Shelf, attachment: Attachment) -> tuple[Shelf, Key] | None:
        """The other side as far as it can be reached and wants to be."""
        mirror = attachment.mirror
        other = self.shelves.get(mirror.peer_name) if mirror else None
        if mirror is None or other is None or not (shelf.powered and other.powered):
            return None
        if self._cut and frozenset((shelf.node, other.node)) in self._cut:
            return None
        # most have another port, which is soon seen
        port = mirror.port
        pairs = [
            key
            for key, one in other.attached.items()
            if one.wants_peer
            and (theirs := one.mirror) is not None
            and theirs.port == port
            and _pair(mirror, theirs)
        ]
        return (other, min(pairs)) if pairs else None

    def sync_progress(self, shelf: Shelf, key: Key) -> tuple[float, int] | None:
        """Per cent done and seconds left of a running synchronisation, seen from either side."""
        attachment = shelf.attached[key]
        peer = self.peer_of(shelf, attachment)
        started = attachment.sync_from
        if started is None and peer is not None:
            started = self._attachment(peer).sync_from
        if started is None or not self._speed:
            return None
        duration_s = shelf.own[key].size_mib / self._speed
        passed_s = self._now() - started
        return 100.0 * passed_s / duration_s, int(duration_s - passed_s)

    def start_sync(self, source: tuple[Shelf, Key], target: tuple[Shelf, Key]) -> None:
        """The target's copy is bad until all of the source's data are on it."""
        piece = target[0].own[target[1]]
        piece.copy = msgspec.structs.replace(piece.copy, good=False, begun=True)
        self._attachment(target).sync_from = self._now()
        self._advance(target, source)

    def _mirrors(self) -> list[tuple[Shelf, Key, Attachment]]:
        return [
            (shelf, key, attachment)
            for _, shelf in sorted(self.shelves.items())
            for key, attachment in (sorted(shelf.attached.items()) if shelf.attached else ())
            if attachment.mirror is not None
        ]

    def _attachment(self, at: tuple[Shelf, Key]) -> Attachment:
        return at[0].attached[at[1]]

    def _meet(self, one: tuple[Shelf, Key], two: tuple[Shelf, Key]) -> None:
        mine, theirs = self._attachment(one), self._attachment(two)
        copies = one[0].own[one[1]].copy, two[0].own[two[1]].copy
        outcome = meet(
            Side(copy=copies[0], primary=mine.primary, gives_up=mine.gives_up),
            Side(copy=copies[1], primary=theirs.primary, gives_up=theirs.gives_up),
        )
        both_primary = mine.primary and theirs.primary and not mine.two_primaries
        refused = outcome is Meeting.REFUSED or both_primary
        if refused or mine.two_primaries is not theirs.two_primaries:
            mine.wants_peer = theirs.wants_peer = False
            mine.gives_up = theirs.gives_up = False
            return
        mine.connected = theirs.connected = True
        mine.gives_up = theirs.gives_up = False
        if outcome is Meeting.FIRST:
            self.start_sync(one, two)
        elif outcome is Meeting.SECOND:
            self.start_sync(two, one)

    def _advance(self, target: tuple[Shelf, Key], source: tuple[Shelf, Key]) -> None:
        attachment, piece = self._attachment(target), target[0].own[target[1]]
        origin = source[0].own[source[1]]
        duration_s = piece.size_mib / self._speed if self._speed else 0.0
        if attachment.sync_from is None or self._now() < attachment.sync_from + duration_s:
            return
        attachment.sync_from = None
        origin.copy = origin.copy.as_source()
        piece.copy = origin.copy


def _pair(one: Mirror, two: Mirror) -> bool:
    return (
        one.port == two.port
        and one.secret == two.secret
        and one.local_name == two.peer_name
        and one.peer_name == two.local_name
    )
