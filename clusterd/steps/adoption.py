"""Steps that make data that are there already the disks of a new instance."""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd import ipolicy
from clusterd.configuration import Configuration
from clusterd.errors import CallFailed
from clusterd.model import Instance
from clusterd.steps.disks import OnVolume
from clusterd.volumes import must_adopt, volume_on
from clusterd.world import World
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Step
from storage.errors import VolumeMissing


class MeasureAdopted(Step, frozen=True, kw_only=True, tag="disks.measure-adopted"):
    """The sizes of the instance's disks are those of what they will adopt; the policy allows them.
    Undone with the instance."""

    instance: str
    node: str
    sources: tuple[str, ...]
    ignore_ipolicy: bool = False

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = world.configuration.instance(self.instance)
        refuse_taken(world.configuration, instance)
        node = world.configuration.node(self.node)
        disks = []
        for disk, source in zip(instance.disks, self.sources, strict=True):
            volume = volume_on(world.view(), instance, disk, node)
            named = msgspec.structs.replace(volume, name=source)
            found = await world.node(self.node).storage(disk.template).look(named)
            if not found.present or not found.size_mib:
                raise Refused(
                    f"There is no '{source}' in '{disk.pool}' to adopt on node {self.node}",
                    "wrong_input",
                )
            disks.append(msgspec.structs.replace(disk, size_mib=found.size_mib))
        measured = msgspec.structs.replace(instance, disks=tuple(disks))
        if not self.ignore_ipolicy:
            ipolicy.require(world.view(), measured)
        return Outcome(
            writes=world.configuration.changed(instance, world.now(), disks=measured.disks)
        )


class AdoptData(OnVolume, frozen=True, kw_only=True, tag="disk.adopt-data"):
    """The data called ``source`` are the disk's. Undone by giving them back as nobody's."""

    source: str

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.adopt(volume, self.source)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is None:
            return NOTHING
        backend, volume = target
        nobodys = msgspec.structs.replace(volume, name=self.source, owner="", label="")
        try:
            await backend.adopt(nobodys, volume.name)
        except CallFailed as error:
            if error.kind != VolumeMissing.code:
                raise
        return NOTHING


def refuse_taken(configuration: Configuration, instance: Instance) -> None:
    """Raises Refused when a device is the disk of another instance, or of this one twice."""
    wanted = {disk.label for disk in instance.disks if must_adopt(disk.template)}
    if not wanted:
        return
    for other in configuration.instances(unfinished=True):
        if other.uuid == instance.uuid:
            continue
        for disk in (*other.disks, *other.drafted):
            if disk.label in wanted and must_adopt(disk.template):
                raise Refused(
                    f"'{disk.label}' is a disk of instance '{other.name}' already",
                    "resource_not_unique",
                )
