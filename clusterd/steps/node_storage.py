"""Steps on the storage of nodes beside the disks of instances."""

from __future__ import annotations

from typing import Any, ClassVar

from clusterd.errors import CallFailed
from clusterd.world import World
from jobqueue.step import NOTHING, Outcome, Patience, Step

READ_PATIENCE = Patience(for_s=5.0)


class ListUnits(Step, frozen=True, kw_only=True, tag="node-storage.list"):
    """Says what storage of a type a node has; None where it does not answer."""

    node: str
    kind: str

    @property
    def patience(self) -> Patience:
        return READ_PATIENCE

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        cluster = world.configuration.cluster
        own = {"file": cluster.file_storage_dir, "sharedfile": cluster.shared_file_storage_dir}
        directories = tuple(filter(None, [own.get(self.kind, "")]))
        try:
            rows = await world.node(self.node).storage_units(self.kind, directories)
        except CallFailed as error:
            context.log(f" - WARNING: {error.message}")
            return Outcome(output=[self.node, None])
        return Outcome(output=[self.node, list(rows)])


class ListVolumes(Step, frozen=True, kw_only=True, tag="node-storage.volumes"):
    """Says which logical volumes a node has; None where it does not answer."""

    node: str

    @property
    def patience(self) -> Patience:
        return READ_PATIENCE

    async def do(self, context: Any) -> Outcome:
        try:
            rows = await context.world.node(self.node).logical_volumes()
        except CallFailed as error:
            context.log(f" - WARNING: {error.message}")
            return Outcome(output=[self.node, None])
        return Outcome(output=[self.node, list(rows)])


class SetAllocatable(Step, frozen=True, kw_only=True, tag="node-storage.allocatable"):
    """New extents may (not) be taken from a physical volume."""

    no_undo: ClassVar[str] = "how it was before is not known"
    node: str
    name: str
    allowed: bool

    async def do(self, context: Any) -> Outcome:
        await context.world.node(self.node).set_allocatable(self.name, self.allowed)
        return NOTHING


class RepairVolumeGroup(Step, frozen=True, kw_only=True, tag="node-storage.repair-group"):
    """A volume group no longer counts on disks that are gone."""

    no_undo: ClassVar[str] = "what lay on the lost disks is given up"
    node: str
    name: str

    async def do(self, context: Any) -> Outcome:
        await context.world.node(self.node).repair_volume_group(self.name)
        return NOTHING
