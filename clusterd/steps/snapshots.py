"""Steps on the snapshots of an instance: draw, freeze, take, commit, revert, forget; flatten disks.

A snapshot is drawn before it is taken, so that whatever is left of it belongs to the instance.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from clusterd.model import Instance, InstanceSnapshot
from clusterd.steps.disks import OnVolume
from clusterd.steps.guests import OnGuest
from clusterd.world import World
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Patience, Step

THAW_PATIENCE = Patience(for_s=60.0)


def find_snapshot(instance: Instance, name: str) -> InstanceSnapshot | None:
    """The snapshot of this name, finished or not."""
    return next((one for one in instance.snapshots if one.name == name), None)


class OnSnapshot(Step, frozen=True, kw_only=True):
    """What the steps below share."""

    instance: str
    """uuid or name"""
    snapshot: str

    def written(self, world: World, snapshots: tuple[InstanceSnapshot, ...]) -> Outcome:
        """The instance with these snapshots."""
        instance = world.configuration.instance(self.instance)
        return Outcome(
            writes=world.configuration.changed(instance, world.now(), snapshots=snapshots)
        )

    def others(self, instance: Instance) -> tuple[InstanceSnapshot, ...]:
        """All but this one."""
        return tuple(one for one in instance.snapshots if one.name != self.snapshot)


class DrawSnapshot(OnSnapshot, frozen=True, kw_only=True, tag="snapshot.draw"):
    """The snapshot is recorded as being made. Undone by forgetting it."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = world.configuration.instance(self.instance)
        found = find_snapshot(instance, self.snapshot)
        if found is not None and found.made_by == context.job_id:
            return NOTHING
        if found is not None:
            raise Refused(
                f"Instance '{instance.name}' has a snapshot '{self.snapshot}' already",
                "already_exists",
            )
        drawn = InstanceSnapshot(
            uuid=world.random.uuid(),
            name=self.snapshot,
            ctime=world.now(),
            disks=tuple(disk.uuid for disk in instance.disks),
            made_by=context.job_id,
        )
        return self.written(world, (*instance.snapshots, drawn))

    async def undo(self, context: Any) -> Outcome:
        instance = context.world.configuration.find_instance(self.instance)
        found = find_snapshot(instance, self.snapshot) if instance is not None else None
        if found is None or found.made_by != context.job_id:
            return NOTHING
        return self.written(context.world, self.others(instance))


class CommitSnapshot(OnSnapshot, frozen=True, kw_only=True, tag="snapshot.commit"):
    """The snapshot is finished."""

    seals: ClassVar[str] = "the snapshot exists"

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = world.configuration.instance(self.instance)
        finished = tuple(
            msgspec.structs.replace(one, made_by=None) if one.name == self.snapshot else one
            for one in instance.snapshots
        )
        return self.written(world, finished)


class ForgetSnapshot(OnSnapshot, frozen=True, kw_only=True, tag="snapshot.forget"):
    """The snapshot is not recorded."""

    no_undo: ClassVar[str] = "the snapshot's data are gone"

    async def do(self, context: Any) -> Outcome:
        instance = context.world.configuration.find_instance(self.instance)
        if instance is None or find_snapshot(instance, self.snapshot) is None:
            return NOTHING
        return self.written(context.world, self.others(instance))


class SnapshotVolume(OnVolume, frozen=True, kw_only=True, tag="disk.snapshot"):
    """The disk's contents of this moment are kept. Undone by dropping them."""

    snapshot: str

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.snapshot(volume, self.snapshot)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].forget_snapshot(target[1], self.snapshot)
        return NOTHING


class ForgetVolumeSnapshot(OnVolume, frozen=True, kw_only=True, tag="disk.forget-snapshot"):
    """The disk has no snapshot of this name."""

    no_undo: ClassVar[str] = "the snapshot's data are gone"
    snapshot: str

    async def do(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].forget_snapshot(target[1], self.snapshot)
        return NOTHING


class RevertVolume(OnVolume, frozen=True, kw_only=True, tag="disk.revert"):
    """The disk's contents are those of the snapshot."""

    no_undo: ClassVar[str] = "what was written since the snapshot is gone"
    snapshot: str

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.revert(volume, self.snapshot)
        return NOTHING


class FlattenVolume(OnVolume, frozen=True, kw_only=True, tag="disk.flatten"):
    """The disk depends on no snapshot, and the configuration says so. Going on is always right, so
    nothing is undone."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        backend, volume = self.wanted(world)
        await backend.flatten(volume)
        instance = world.configuration.instance(self.instance)
        disks = tuple(
            msgspec.structs.replace(disk, origin=None) if index == self.disk else disk
            for index, disk in enumerate(instance.disks)
        )
        return Outcome(writes=world.configuration.changed(instance, world.now(), disks=disks))

    async def undo(self, context: Any) -> Outcome:
        """A disk that stands alone is as good as one that does not."""
        return NOTHING


class FreezeGuest(OnGuest, frozen=True, kw_only=True, tag="guest.freeze"):
    """The guest's file systems are frozen if its agent answers, and the snapshot that is being made
    says whether they are. Undone by thawing them."""

    snapshot: str = ""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = self.wanted(world)
        frozen = await self.driver(world, instance).freeze(instance.name)
        if not frozen:
            context.log(
                "   the guest's agent does not answer: file systems are as after a power failure"
            )
        told = tuple(
            msgspec.structs.replace(one, frozen=frozen) if one.name == self.snapshot else one
            for one in instance.snapshots
        )
        writes = world.configuration.changed(instance, world.now(), snapshots=told)
        return Outcome(output=frozen, writes=writes)

    async def undo(self, context: Any) -> Outcome:
        instance = self.find(context.world)
        if instance is not None:
            await self.driver(context.world, instance).thaw(instance.name)
        return NOTHING


class ThawGuest(OnGuest, frozen=True, kw_only=True, tag="guest.thaw"):
    """No file system of the guest is frozen."""

    @property
    def patience(self) -> Patience:
        return THAW_PATIENCE

    async def do(self, context: Any) -> Outcome:
        instance = self.find(context.world)
        if instance is not None:
            await self.driver(context.world, instance).thaw(instance.name)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        """Thawed is what it should be."""
        return NOTHING
