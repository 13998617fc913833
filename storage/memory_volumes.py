"""In-memory volumes without a mirror, with snapshots and clones: what most twins share.

Contents are names of writes. A clone holds the contents that its snapshot had; it is told apart
from a copy by its ``origin``, which keeps the snapshot from being removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal

from storage.errors import (
    HasChildren,
    NameTaken,
    NoSpace,
    NotUpToDate,
    PoolMissing,
    SizeDiffers,
    Unsupported,
    VolumeBusy,
    VolumeMissing,
)
from storage.plugin import Plugin, built_in
from storage.shelf import HOLDING, Attachment, Key, Piece, Shelf, Taken, key_of
from storage.twin_mirror import Copy
from storage.unmirrored import Unmirrored
from storage.volume import (
    Capacity,
    Filled,
    Health,
    Snapshot,
    Stored,
    Template,
    Volume,
    VolumeStatus,
)

ON_GROUPS = (Template.PLAIN, Template.DRBD)
"""Templates whose data are logical volumes."""
BY_NAME = (Template.SHAREDFILE, Template.RBD, Template.GLUSTER)
"""Shared templates of which nothing is on a node but its users."""


class MemoryBackend(Unmirrored):
    """Volumes without a mirror on a shelf. Holds no state of its own."""

    template = Template.MEMORY
    path: ClassVar[str] = "/dev/{pool}/{name}"
    stills: ClassVar[bool] = False

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
        if self.template in ON_GROUPS and (volume.pool, volume.name) in self._shelf.foreign:
            raise NameTaken(
                f"{volume.pool}/{volume.name} exists already and belongs to nobody known; rename or"
                " remove it",
                subject=volume.name,
            )
        if volume.pool not in self._shelf.pools:
            raise PoolMissing(f"pool {volume.pool} does not exist here", subject=volume.pool)
        if taken_mib > self._free_mib(volume.pool):
            raise NoSpace(f"pool {volume.pool} has too little free space", subject=volume.name)
        self._pieces[key_of(volume)] = Piece(
            size_mib=volume.size_mib, taken_mib=taken_mib, owner=volume.owner
        )
        if volume.origin is not None:
            self._begin_from_origin(volume)

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``."""
        piece = self._pieces.get(key_of(volume))
        for name in piece.snapshots if piece else ():
            self._refuse_children(volume, name)
        await self.detach(volume)
        await self.forget_still(volume)
        self._pieces.pop(key_of(volume), None)
        if self.template in BY_NAME:
            for _, shelf in sorted(self._shelf.wire.shelves.items()):
                shelf.attached.pop(key_of(volume), None)

    async def grow(self, volume: Volume) -> None:
        """See ``Backend``."""
        piece = self._piece(volume)
        more_mib = volume.size_mib - piece.size_mib
        if more_mib <= 0:
            return
        if more_mib > self._free_mib(volume.pool):
            raise NoSpace(f"pool {volume.pool} has too little free space", subject=volume.name)
        piece.size_mib += more_mib
        piece.taken_mib += more_mib

    async def adopt(self, volume: Volume, name: str) -> None:
        """See ``Backend``. Data of the other logical volumes on the shelf are found."""
        if self.template not in ON_GROUPS:
            await super().adopt(volume, name)
        if key_of(volume) in self._pieces:
            return
        found = self._taken_from(volume, name)
        if not volume.owner:
            self._shelf.foreign[volume.pool, volume.name] = found.size_mib
            return
        self._pieces[key_of(volume)] = Piece(
            size_mib=found.size_mib,
            taken_mib=found.size_mib + _overhead_mib(volume),
            owner=volume.owner,
            copy=Copy(content=found.copy.content),
        )

    def _taken_from(self, volume: Volume, name: str) -> Piece:
        """The data that are called so, no longer under that name."""
        for template in ON_GROUPS:
            key = (template, volume.pool, name)
            if key in self._shelf.attached:
                raise VolumeBusy(f"{name} is in use; detach it", subject=name)
            if key in self._pieces:
                return self._pieces.pop(key)
        size_mib = self._shelf.foreign.pop((volume.pool, name), None)
        if size_mib is None:
            raise VolumeMissing(f"{name} is not on this node", subject=name)
        return Piece(size_mib=size_mib, taken_mib=size_mib, owner="")

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``."""
        self._piece(volume)
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

    async def snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend``."""
        piece = self._piece(volume)
        if not _declared()[self.template].snapshots(volume.params):
            raise Unsupported(f"template {self.template} keeps no snapshots", subject=volume.name)
        piece.snapshots.setdefault(name, Taken(size_mib=piece.size_mib, content=piece.copy.content))

    async def forget_snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend``."""
        piece = self._pieces.get(key_of(volume))
        if piece is not None:
            self._refuse_children(volume, name)
            piece.snapshots.pop(name, None)

    async def revert(self, volume: Volume, name: str) -> None:
        """See ``Backend``."""
        piece = self._piece(volume)
        if name not in piece.snapshots:
            raise VolumeMissing(f"{volume.name} has no snapshot {name}", subject=volume.name)
        if self._shelf.busy_anywhere(key_of(volume)):
            raise VolumeBusy(f"{volume.name} is open; stop what uses it", subject=volume.name)
        piece.copy = Copy(current=piece.copy.current, content=piece.snapshots[name].content)

    async def still(self, volume: Volume) -> str:
        """See ``Backend``. A piece of its own, which is attached."""
        by_still = _declared()[self.template].read_by_still(volume.params)
        if not self.stills and not by_still:
            raise Unsupported(f"template {self.template} has no stills", subject=volume.name)
        piece = self._piece(volume)
        if by_still and self._shelf.busy_anywhere(key_of(volume)):
            raise VolumeBusy(f"{volume.name} is open; stop what uses it", subject=volume.name)
        if key_of(volume) not in self._shelf.attached:
            raise VolumeMissing(f"{volume.name} is not attached here", subject=volume.name)
        if volume.mirror is not None and not piece.copy.good:
            raise NotUpToDate(f"{volume.name}: the copy here is not whole", subject=volume.name)
        key = _still(volume)
        if key not in self._pieces:
            if piece.size_mib > self._free_mib(volume.pool):
                raise NoSpace(f"pool {volume.pool} has too little space", subject=volume.name)
            taken_mib = size_mib = piece.size_mib
            copy = Copy(content=piece.copy.content)
            self._pieces[key] = Piece(
                size_mib=size_mib, taken_mib=taken_mib, owner=volume.owner, copy=copy
            )
        path = f"/dev/{key[1]}/{key[2]}"
        return self._shelf.attached.setdefault(key, Attachment(path=path)).path

    async def forget_still(self, volume: Volume) -> None:
        """See ``Backend``."""
        self._shelf.attached.pop(_still(volume), None)
        self._pieces.pop(_still(volume), None)

    async def flatten(self, volume: Volume) -> None:
        """See ``Backend``."""
        self._piece(volume).origin = None

    async def fill(self, volume: Volume, path: str, format: Literal["raw", "qcow2"]) -> Filled:
        """See ``Backend``. A file has its path as contents, a device its volume's."""
        piece = self._piece(volume)
        attachment = self._attachment(volume)
        size_mib, content = self._shelf.found_at(path)
        if size_mib > piece.size_mib:
            raise NoSpace(f"{path} is larger than {volume.name}", subject=volume.name)
        self._shelf.write(attachment.path, content)
        return Filled.COPIED

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``."""
        piece = self._pieces.get(key_of(volume))
        if piece is None:
            foreign = self._shelf.foreign.get((volume.pool, volume.name))
            return VolumeStatus(uuid=volume.uuid, present=foreign is not None, size_mib=foreign)
        attachment = self._shelf.attached.get(key_of(volume))
        return VolumeStatus(
            uuid=volume.uuid,
            present=True,
            path=attachment.path if attachment else None,
            size_mib=piece.size_mib,
            health=Health.OK,
            origin=None if piece.origin is None else "{}/{}@{}".format(*piece.origin),
            snapshots=tuple(
                Snapshot(name=name, size_mib=taken.size_mib, children=self._children(volume, name))
                for name, taken in piece.snapshots.items()
            ),
        )

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``."""
        kept = [key for key in self._pieces if key[0] is self.template]
        if not kept:
            return ()
        return tuple(
            [
                Stored(
                    template=self.template,
                    pool=key[1],
                    name=key[2],
                    size_mib=self._pieces[key].size_mib,
                    owner=self._pieces[key].owner or None,
                    attached=key in self._shelf.attached,
                    held=key in self._shelf.attached and self.template in HOLDING,
                )
                for key in sorted(kept)
            ]
        )

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``."""
        pools = self._shelf.pools
        told = self._shelf.told.get(self.template)
        taken_mib = dict.fromkeys(pools if told is None else told, 0)
        for key, piece in self._pieces.items():
            if key[1] in taken_mib:
                taken_mib[key[1]] += piece.taken_mib
        return tuple(
            [
                Capacity(
                    template=self.template,
                    pool=pool,
                    total_mib=pools[pool],
                    free_mib=pools[pool] - taken_mib[pool],
                )
                for pool in sorted(taken_mib)
            ]
        )

    def _begin_from_origin(self, volume: Volume) -> None:
        origin, piece = volume.origin, self._pieces[key_of(volume)]
        assert origin is not None
        parent = self._pieces.get((self.template, origin.pool, origin.name))
        taken = parent.snapshots.get(origin.snapshot) if parent else None
        if taken is None or taken.size_mib > volume.size_mib:
            del self._pieces[key_of(volume)]
            raise VolumeMissing(
                f"snapshot {origin.name}@{origin.snapshot} is not here, or is larger than"
                f" {volume.name}",
                subject=origin.name,
            )
        piece.copy = Copy(current=piece.copy.current, content=taken.content)
        if _declared()[self.template].clones_depend(volume.params):
            piece.origin = (origin.pool, origin.name, origin.snapshot)

    def _children(self, volume: Volume, snapshot: str) -> tuple[str, ...]:
        wanted = (volume.pool, volume.name, snapshot)
        return tuple(
            key[2]
            for key, piece in sorted(self._pieces.items())
            if key[0] is self.template and piece.origin == wanted
        )

    def _refuse_children(self, volume: Volume, snapshot: str) -> None:
        children = self._children(volume, snapshot)
        if children:
            raise HasChildren(
                f"snapshot {volume.name}@{snapshot} has {len(children)} children:"
                f" {', '.join(children)}; flatten or remove them first",
                subject=volume.name,
            )

    def _piece(self, volume: Volume) -> Piece:
        piece = self._pieces.get(key_of(volume))
        if piece is None:
            raise VolumeMissing(f"{volume.name} is not on this node", subject=volume.name)
        return piece

    def _free_mib(self, pool: str) -> int:
        taken = sum(piece.taken_mib for key, piece in self._pieces.items() if key[1] == pool)
        return self._shelf.pools[pool] - taken

    def _attach(self, volume: Volume, path: str) -> Attachment:
        fresh = Attachment(path=path, mirror=volume.mirror, size_mib=volume.size_mib)
        return self._shelf.attached.setdefault(key_of(volume), fresh)

    def _attachment(self, volume: Volume) -> Attachment:
        self._shelf.wire.settle()
        found = self._shelf.attached.get(key_of(volume))
        if found is None:
            raise VolumeMissing(f"{volume.name} is not attached here", subject=volume.name)
        return found


@cache
def _declared() -> Mapping[Template, Plugin]:
    """What the real ones say that they can."""
    return built_in()


def _still(volume: Volume) -> Key:
    return (volume.template, volume.pool, f"{volume.name}.still")


def _overhead_mib(volume: Volume) -> int:
    return volume.mirror.meta_size_mib if volume.mirror else 0
