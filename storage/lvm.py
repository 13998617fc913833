"""Template ``plain``: one logical volume a disk, ``<uuid>.diskN`` as Ganeti names it.

Attached means active. There is no mirror, so opening, closing and sharing change nothing. With the
parameter ``thin-pool`` the disk is in that thin pool of its volume group, and has snapshots.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from storage.errors import PoolMissing, Unsupported, VolumeBusy, VolumeMissing
from storage.interface import Backend, Commands, Threads
from storage.logical_volumes import (
    LogicalVolumes,
    complete,
    device_path,
    full_name,
)
from storage.lvm_report import LogicalVolume, tags_for
from storage.plugin import Plugin, StorageSettings, checked_parameters
from storage.stills import StilledByLvm
from storage.thin_pools import ThinVolumes, capacities
from storage.unmirrored import Unmirrored
from storage.unsnapped import fill_at
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

NAME_SHAPE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.disk\d+")


POOL_SHAPE = r"^([A-Za-z0-9][A-Za-z0-9+_.-]*)?$(?!\n)"


class PlainParameters(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """Disk parameters of ``plain``; ``stripes`` is Ganeti's, the others ours."""

    stripes: Annotated[int, msgspec.Meta(ge=1)] = 1
    wipe: bool = False
    """Fill a new volume with zeros, so that nothing of its former owner can be read. A thin one
    reads as zeros anyhow."""
    thin_pool: Annotated[str, msgspec.Meta(pattern=POOL_SHAPE)] = ""
    """Thin pool in the volume group, made by the operator; empty: none. A disk stays in its own."""


class PlainBackend(StilledByLvm, Unmirrored):
    """Logical volumes of one node. Holds no state of its own."""

    template = Template.PLAIN

    def __init__(self, commands: Commands, volume_groups: tuple[str, ...]) -> None:
        self._commands = commands
        self._lvm = LogicalVolumes(commands)
        self._thin = ThinVolumes(commands, self._lvm)
        self._volume_groups = volume_groups

    async def ensure(self, volume: Volume) -> None:
        """See ``Backend``. One left unfinished is made anew."""
        parameters = checked_parameters(volume, PlainParameters)
        if parameters.thin_pool:
            await self._thin.ensure(volume, parameters.thin_pool)
            return
        name = full_name(volume.pool, volume.name)
        if await self._lvm.stands(volume):
            return
        await self._lvm.create(
            name,
            volume.size_mib,
            tags=tags_for(volume.owner, volume.label),
            stripes=parameters.stripes,
            wipe=parameters.wipe,
        )
        await self._lvm.finish(name, activate=False)

    async def forget(self, volume: Volume) -> None:
        """See ``Backend``."""
        if _thin_pool(volume):
            await self.forget_still(volume)
            await self._thin.forget(volume)
            return
        name = full_name(volume.pool, volume.name)
        await self._lvm.remove_of(volume.owner, name, stilled=True)

    async def grow(self, volume: Volume) -> None:
        """See ``Backend``."""
        name = full_name(volume.pool, volume.name)
        found = complete(await self._lvm.find(name), name)
        if _thin_pool(volume):
            more_mib = volume.size_mib - found.size_mib
            await self._thin.check_growth(volume, _thin_pool(volume), more_mib)
        await self._lvm.extend(found, volume.size_mib)

    async def adopt(self, volume: Volume, name: str) -> None:
        """See ``Backend``."""
        await self._lvm.rename(volume.pool, name, volume.name, tags_for(volume.owner, volume.label))

    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """See ``Backend``."""
        name = full_name(volume.pool, volume.name)
        found = complete(await self._lvm.find(name), name)
        if not found.active:
            await self._lvm.activate(name)
        return device_path(volume.pool, volume.name)

    async def detach(self, volume: Volume) -> None:
        """See ``Backend``."""
        found = await self._unused(volume)
        if found is not None and found.active:
            await self._lvm.deactivate(full_name(volume.pool, volume.name))

    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """See ``Backend``."""
        name = full_name(volume.pool, volume.name)
        if not complete(await self._lvm.find(name), name).active:
            raise VolumeMissing(f"logical volume {name} is not attached; attach it", subject=name)

    async def close(self, volume: Volume) -> None:
        """See ``Backend``."""
        await self._unused(volume)

    async def snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend``. In thin pools."""
        _check_thin(volume)
        await self._thin.snapshot(volume, name)

    async def forget_snapshot(self, volume: Volume, name: str) -> None:
        """See ``Backend``. Nothing depends on one."""
        if _thin_pool(volume):
            await self._thin.forget_snapshot(volume, name)

    async def revert(self, volume: Volume, name: str) -> None:
        """See ``Backend``. In thin pools."""
        _check_thin(volume)
        await self._thin.revert(volume, name)

    async def flatten(self, volume: Volume) -> None:
        """See ``Backend``. No volume depends on another."""

    async def fill(self, volume: Volume, path: str, format: Literal["raw", "qcow2"]) -> Filled:
        """See ``Backend``. Of a thin volume only what is not zero takes room."""
        status = await self.look(volume)
        thin = bool(_thin_pool(volume)) and status.path is not None
        if thin and status.path is not None:
            await self._unused(volume)
            await self._thin.empty(status.path)
        return await fill_at(self, self._commands, volume, path, format, zeroed=thin)

    async def look(self, volume: Volume) -> VolumeStatus:
        """See ``Backend``. One command."""
        found, kept = await self._find_all(volume)
        if found is None or found.unfinished:
            return VolumeStatus(uuid=volume.uuid, present=False)
        return VolumeStatus(
            uuid=volume.uuid,
            present=True,
            path=device_path(volume.pool, volume.name) if found.active else None,
            size_mib=found.size_mib,
            health=Health.OK,
            snapshots=kept,
        )

    async def list(self) -> tuple[Stored, ...]:
        """See ``Backend``."""
        return await self._lvm.stored(self.template, NAME_SHAPE, lambda lv: lv.active)

    async def capacity(self) -> tuple[Capacity, ...]:
        """See ``Backend``. A thin pool is told as ``group/pool``, with what nobody has written to
        yet; one that sleeps is left out."""
        found, volumes = await self._lvm.room(self.template, self._volume_groups)
        pools = capacities(volumes, self._volume_groups) if found else []
        return tuple(sorted((*found, *pools), key=lambda one: one.pool))

    async def _unused(self, volume: Volume) -> LogicalVolume | None:
        """What is found. Raises VolumeBusy while it is open; LVM itself would first try for 5 s."""
        found = await self._find(volume)
        if found is not None and found.opened:
            name = full_name(volume.pool, volume.name)
            raise VolumeBusy(f"logical volume {name} is open; stop what uses it", subject=name)
        return found

    async def _find_all(self, volume: Volume) -> tuple[LogicalVolume | None, tuple[Snapshot, ...]]:
        """The volume and its snapshots. One command."""
        if not _thin_pool(volume):
            return await self._find(volume), ()
        try:
            found, kept = await self._thin.snapshots(volume)
        except PoolMissing:
            return None, ()
        return found, tuple(kept)

    async def _find(self, volume: Volume) -> LogicalVolume | None:
        name = full_name(volume.pool, volume.name)
        try:
            return (await self._lvm.find(name)).get(name)
        except PoolMissing:
            return None


def _thin_pool(volume: Volume) -> str:
    return checked_parameters(volume, PlainParameters).thin_pool


def _check_thin(volume: Volume) -> None:
    if not _thin_pool(volume):
        raise Unsupported(
            f"{volume.name} is not in a thin pool, so it keeps no snapshots; use the disk parameter"
            " thin-pool, rbd, or qcow2 files",
            subject=volume.name,
        )


def _keeps_snapshots(parameters: Mapping[str, object]) -> bool:
    return bool(parameters.get("thin-pool"))


def _stand_alone(_parameters: Mapping[str, object]) -> bool:
    return False


def _make(commands: Commands, threads: Threads, settings: StorageSettings) -> Backend:
    return PlainBackend(commands, settings.volume_groups)


PLUGINS = (
    Plugin(
        template=Template.PLAIN,
        naming="{label}.disk{index}",
        make=_make,
        parameters=PlainParameters,
        uses_volume_groups=True,
        stills=True,
        snapshots=_keeps_snapshots,
        clones_depend=_stand_alone,
        lasting=frozenset({"thin-pool"}),
        inner_pool="thin-pool",
        adopts=True,
    ),
)
