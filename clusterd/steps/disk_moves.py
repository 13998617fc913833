"""Steps that bring an instance's disks to another node over mirrors that serve no longer."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from clusterd.model import Disk, Instance
from clusterd.steps.disks import OnVolume
from clusterd.volumes import label_on, numbered, volume_on
from clusterd.world import World
from jobqueue.step import NOTHING, Outcome, Step
from storage.interface import Backend
from storage.volume import Volume


def arrived(instance: Instance, at: int, node_uuid: str) -> Disk:
    """The instance's disk as it will be on the node that it moves to."""
    disk, draft = numbered(instance)[at], instance.drafted[at]
    return msgspec.structs.replace(disk, label=label_on(draft, node_uuid), origin=None)


def arriving(instance: Instance, node_uuid: str) -> Instance:
    """The instance with its disks as they will be on the node that it moves to."""
    places = range(len(instance.disks))
    return msgspec.structs.replace(
        instance, disks=tuple(arrived(instance, at, node_uuid) for at in places)
    )


class Commit(Step, frozen=True, kw_only=True):
    """What both commits share: whose instance, where it is now, where it came from."""

    seals: ClassVar[str] = "the instance belongs to its new node"
    instance: str
    primary: str
    """uuid"""
    left: str
    """uuid"""

    def changed(self, world: World, found: Instance, **others: Any) -> Outcome:
        """The instance is on ``primary`` with the disks that came along."""
        writes = world.configuration.changed(
            found,
            world.now(),
            primary_node=self.primary,
            disks=arriving(found, self.primary).disks,
            moving_to=self.left,
            **others,
        )
        return Outcome(writes=writes)


class CommitTravelled(Commit, frozen=True, kw_only=True, tag="disks.commit-travelled"):
    """The instance is on ``primary`` with the disks that travelled; the old ones are still to be
    removed from ``left``."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.instance(self.instance)
        if found.primary_node == self.primary:
            return NOTHING
        return self.changed(world, found, drafted=numbered(found))


class TakeCopy(OnVolume, frozen=True, kw_only=True, tag="disk.take-copy"):
    """The drafted mirror's data on the node are a disk of the instance's own kind. Undone by
    giving them back."""

    async def do(self, context: Any) -> Outcome:
        own = self._own(context.world)
        if own is not None:
            _, mirror = self.wanted(context.world)
            await own[0].adopt(own[1], mirror.name)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target, own = self.target(context.world), self._own(context.world)
        if target is not None and own is not None:
            await own[0].forget(own[1])  # the source has all that was copied
        return NOTHING

    def _own(self, world: World) -> tuple[Backend, Volume] | None:
        instance = world.configuration.find_instance(self.instance)
        if instance is None or self.disk >= len(instance.drafted):
            return None
        node = world.configuration.node(self.node)
        disk = arrived(instance, self.disk, node.uuid)
        volume = volume_on(world.view(), instance, disk, node)
        return world.node(self.node).storage(disk.template), volume


class CommitMoved(Commit, frozen=True, kw_only=True, tag="disks.commit-moved"):
    """The instance and its disks are on ``primary``; the mirrors are still to be removed."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        return self.changed(world, world.configuration.instance(self.instance))
