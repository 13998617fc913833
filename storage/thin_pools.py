"""Logical volumes in thin pools: made, cloned, kept and taken back by LVM's commands.

Decided here: a thin pool is made by the operator, as a volume group is. The snapshot ``S`` of
``NAME`` is the thin volume ``NAME+S``, tagged with its own name, as LVM does not allow each name;
it is not activated. Neither clones nor disks depend on a snapshot: the pool counts who uses a
block. So a pool can promise more than it has, and is refused as full before it is: what is new and
empty must fit into what is free, and snapshots and clones are not made in the last few per cent.
"""

from __future__ import annotations

import msgspec

from storage.errors import BadParameter, NoSpace, PoolMissing, VolumeBusy, VolumeMissing
from storage.interface import Commands
from storage.logical_volumes import (
    LogicalVolumes,
    checked_own,
    complete,
    full_name,
    refusal,
)
from storage.lvm_report import SNAPSHOT_TAG, UNFINISHED_TAG, LogicalVolume, tags_for
from storage.volume import Capacity, Origin, Snapshot, Template, Volume

MIB = 1024 * 1024
FULL_PERCENT = 95.0
"""Of data or metadata; LVM's own threshold for growing a pool is below it where that is set up."""
MARK = "+"


class ThinPool(msgspec.Struct, frozen=True, kw_only=True):
    """How full one is."""

    name: str
    """``group/pool``"""
    size_bytes: int
    data_percent: float
    metadata_percent: float

    @property
    def free_mib(self) -> int:
        """What nobody has written to yet."""
        return int(self.size_bytes * (1 - self.data_percent / 100)) // MIB

    def __str__(self) -> str:
        used_mib = self.size_bytes // MIB - self.free_mib
        return (
            f"thin pool {self.name} has {self.size_bytes // MIB} MiB, {used_mib} MiB of them in use"
            f" ({self.data_percent:.0f} %; metadata {self.metadata_percent:.0f} %)"
        )


def kept_name(volume_name: str, snapshot: str) -> str:
    """What a snapshot is called: LVM keeps some parts of names that begin with ``_`` to itself."""
    return f"{volume_name}{MARK}{snapshot.replace('_', MARK)}"


def pool_of(found: LogicalVolume) -> ThinPool | None:
    """The thin pool that a logical volume is, unless it is none or sleeps."""
    if not found.is_thin_pool or found.data_percent is None:
        return None
    return ThinPool(
        name=full_name(found.group, found.name),
        size_bytes=found.size_bytes,
        data_percent=found.data_percent,
        metadata_percent=found.metadata_percent or 0.0,
    )


def capacities(found: tuple[LogicalVolume, ...], groups: tuple[str, ...]) -> list[Capacity]:
    """Room in the thin pools of these volume groups, sorted."""
    pools = [pool_of(one) for one in found if one.group in groups]
    return [
        Capacity(
            template=Template.PLAIN,
            pool=pool.name,
            total_mib=pool.size_bytes // MIB,
            free_mib=pool.free_mib,
        )
        for pool in pools
        if pool is not None
    ]


class ThinVolumes:
    """Thin volumes of one node. Holds no state."""

    def __init__(self, commands: Commands, lvm: LogicalVolumes) -> None:
        self._commands = commands
        self._lvm = lvm

    async def ensure(self, volume: Volume, pool: str) -> None:
        """See ``Backend.ensure``. One left unfinished is made anew."""
        name = full_name(volume.pool, volume.name)
        if await self._lvm.stands(volume):
            return
        state = await self._state(volume.pool, pool)
        tags = (UNFINISHED_TAG, *tags_for(volume.owner, volume.label))
        if volume.origin is None:
            check_room(state, volume.size_mib)
            size = ("-V", f"{volume.size_mib}m", "--thinpool", pool)
            await self._create(volume.name, *size, tags=tags, of=volume.pool)
        else:
            check_not_full(state)
            begin = await self._origin(volume, volume.origin)
            await self._create(volume.name, "-s", tags=tags, of=begin)
            made = (await self._lvm.find(name))[name]
            await self._lvm.extend(made, volume.size_mib)
        await self._lvm.finish(name, activate=False)

    async def check_growth(self, volume: Volume, pool: str, more_mib: int) -> None:
        """Raises NoSpace unless what is added fits."""
        if more_mib > 0:
            check_room(await self._state(volume.pool, pool), more_mib)

    async def forget(self, volume: Volume) -> None:
        """Nothing of the volume and its snapshots is left. Raises VolumeBusy."""
        try:
            found = await self._family(volume)
        except PoolMissing:
            return
        names = [full_name(one.group, one.name) for one in found]
        await self._lvm.remove_of(volume.owner, *names)

    async def snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend.snapshot``. One command, so it is never half done."""
        found = {one.name: one for one in await self._family(volume)}
        kept = kept_name(volume.name, name)
        if kept in found:
            return
        own = complete(
            {full_name(volume.pool, volume.name): found[volume.name]}
            if volume.name in found
            else {},
            full_name(volume.pool, volume.name),
        )
        check_not_full(await self._state(volume.pool, own.thin_pool))
        tags = (*tags_for(volume.owner, volume.label), SNAPSHOT_TAG + name)
        await self._create(kept, "-s", tags=tags, of=full_name(volume.pool, volume.name), skip=True)

    async def forget_snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend.forget_snapshot``. Nothing depends on one."""
        await self._lvm.remove_of(
            volume.owner, full_name(volume.pool, kept_name(volume.name, name))
        )

    async def revert(self, volume: Volume, name: str) -> None:
        """See ``Backend.revert``. The volume is made anew from its snapshot; broken off between,
        it is not there until that is done again."""
        found = {one.name: one for one in await self._family(volume)}
        kept = kept_name(volume.name, name)
        if kept not in found:
            raise VolumeMissing(f"{volume.name} has no snapshot {name}", subject=volume.name)
        whole = full_name(volume.pool, volume.name)
        if volume.name in found:
            if found[volume.name].opened:
                raise VolumeBusy(
                    f"logical volume {whole} is open; stop what uses it", subject=whole
                )
            checked_own(found[volume.name], volume.owner)
            await self._lvm.remove(whole)
        tags = (UNFINISHED_TAG, *tags_for(volume.owner, volume.label))
        await self._create(volume.name, "-s", tags=tags, of=full_name(volume.pool, kept))
        await self._lvm.extend((await self._lvm.find(whole))[whole], volume.size_mib)
        await self._lvm.finish(whole, activate=False)

    async def snapshots(self, volume: Volume) -> tuple[LogicalVolume | None, list[Snapshot]]:
        """The volume, if it is there, and its snapshots, oldest first. One command."""
        found = await self._family(volume)
        own = [one for one in found if one.name == volume.name]
        kept = sorted((one.time_s, one.snapshot or "", one) for one in found if one.snapshot)
        told = [Snapshot(name=name, size_mib=one.size_mib) for _, name, one in kept]
        return (own[0] if own else None), told

    async def empty(self, device: str) -> None:
        """The attached, unused volume reads as zeros and takes nothing of its pool."""
        await self._commands.run("blkdiscard", device)

    async def _family(self, volume: Volume) -> list[LogicalVolume]:
        found = await self._lvm.matching(volume.pool, f"^{volume.name}([+].*)?$")
        return [one for one in found if one.name == volume.name or one.snapshot]

    async def _origin(self, volume: Volume, origin: Origin) -> str:
        """The snapshot's logical volume. Raises VolumeMissing, NoSpace, BadParameter."""
        if origin.pool != volume.pool:
            raise BadParameter(
                f"{volume.name} cannot be a clone of what is in volume group {origin.pool}",
                subject=volume.name,
            )
        name = full_name(origin.pool, kept_name(origin.name, origin.snapshot))
        if name not in await self._lvm.find(name):
            raise VolumeMissing(
                f"snapshot {origin.name}@{origin.snapshot} is not on this node", subject=origin.name
            )
        if origin.size_mib > volume.size_mib:
            raise NoSpace(
                f"{volume.name} would have {volume.size_mib} MiB, its origin has"
                f" {origin.size_mib} MiB",
                subject=volume.name,
            )
        return name

    async def _state(self, group: str, pool: str) -> ThinPool:
        """How full the pool is; one that sleeps is woken. Raises PoolMissing."""
        name = full_name(group, pool)
        found = (await self._lvm.find(name)).get(name)
        if found is not None and found.is_thin_pool and found.data_percent is None:
            await self._lvm.activate(name)
            found = (await self._lvm.find(name)).get(name)
        state = pool_of(found) if found is not None else None
        if state is None:
            raise PoolMissing(
                f"there is no thin pool {name} on this node; make it with 'lvcreate --type"
                f" thin-pool -L SIZE -n {pool} {group}'",
                subject=name,
            )
        return state

    async def _create(
        self, name: str, *words: str, tags: tuple[str, ...], of: str, skip: bool = False
    ) -> None:
        marks = [word for tag in tags for word in ("--addtag", tag)]
        skips = "-ky" if skip else "-kn"
        argv = ("lvcreate", "--yes", skips, "-n", name, *words, *marks, of)
        output = await self._commands.run(*argv, check=False)
        if output.code != 0:
            raise refusal(argv, output, full_name(of.split("/", maxsplit=1)[0], name))


def check_room(state: ThinPool, size_mib: int) -> None:
    """Raises NoSpace unless so much can be written to the pool."""
    check_not_full(state)
    if size_mib > state.free_mib:
        raise NoSpace(
            f"{state}: there is no room for {size_mib} MiB; extend it with 'lvextend'",
            subject=state.name,
        )


def check_not_full(state: ThinPool) -> None:
    """Raises NoSpace when writes to the pool may soon stand still."""
    if max(state.data_percent, state.metadata_percent) >= FULL_PERCENT:
        raise NoSpace(f"{state}: it is nearly full; extend it with 'lvextend'", subject=state.name)
