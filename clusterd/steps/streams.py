"""Steps that carry contents of disks between nodes: to an export, from one, from disk to disk.

The receiver is told, then the sender; its answer means that everything is safe. A stream has a new
token at each attempt, and takes the place of an earlier one, so doing it again begins anew.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from clusterd.export_file import dump_of
from clusterd.guests import os_environment
from clusterd.model import Instance
from clusterd.steps.disks import OnVolume
from clusterd.steps.guests import linked_disks
from clusterd.volumes import volume_on
from clusterd.world import OsRun, StreamEnd, World
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Patience
from storage.errors import ContentsDiffer
from storage.interface import Backend
from storage.volume import Volume, VolumeStatus

TOKEN_BYTES = 8
STREAM_PATIENCE = Patience(for_s=300.0)
"""For streams that break: each attempt begins anew, so they are few."""


FORMAT_MIB = 16
"""What a file in another format than raw may take beside what is in it,"""
FORMAT_PART = 64
"""and this part of that."""


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """Both ends of a stream: host name and what is there."""

    source: str
    source_end: StreamEnd
    target: str
    target_end: StreamEnd
    compress: str = "none"


def file_limit_mib(size_mib: int) -> int:
    """What a file in another format than raw may have at most with so much in it."""
    return size_mib + size_mib // FORMAT_PART + FORMAT_MIB


async def carry(context: Any, what: str, ends: Ends) -> Outcome:
    """Everything is at the target. Answers how many bytes."""
    world: World = context.world
    token = world.random.token(TOKEN_BYTES)

    def heard(text: str) -> None:
        context.log(f"   {what}: {text}", "progress")

    await world.node(ends.target).accept_stream(token, ends.target_end)
    sender = world.node(ends.source, heard)
    sent = await sender.send_stream(token, ends.target, ends.source_end, ends.compress)
    context.log(f"   {what}: {sent / 1024 / 1024:.0f} MiB sent")
    return Outcome(output=sent)


async def script_end(
    world: World, instance: Instance, where: tuple[str, int], action: str, paths: dict[str, str]
) -> StreamEnd:
    """The OS definition's script for the disk ``where[1]`` on node ``where[0]``."""
    node, index = where
    links, statuses = await linked_disks(world, instance, node)
    environment = os_environment(world.view(), instance, links)
    environment |= {
        f"DISK_{place}_URI": status.source.uri
        for place, status in enumerate(statuses)
        if status.source is not None
    }
    word = action.upper()
    environment |= {
        f"{word}_INDEX": str(index),
        **{f"{word}_{key}": text for key, text in paths.items()},
    }
    run = OsRun(os=instance.os, action=action, instance=instance.name, environment=environment)
    size_mib = instance.disks[index].size_mib
    place = f"{instance.uuid}/{index}"
    return StreamEnd(kind="script", place=place, size_mib=size_mib, run=run)


async def script_of_disk(
    world: World, instance: Instance, where: tuple[str, int], action: str, disk: VolumeStatus
) -> StreamEnd:
    """The same with what names the disk itself: how its storage shows it."""
    path = disk.path or ""
    shown = {"DEVICE": path, "DISK_PATH": path}
    if disk.source is not None:
        shown["DISK_URI"] = disk.source.uri
    return await script_end(world, instance, where, action, shown)


class CarryDisk(OnVolume, frozen=True, kw_only=True):
    """What the steps below share: a stream that may be broken off and begun anew."""

    breakable: ClassVar[bool] = True
    compress: str = "none"

    @property
    def patience(self) -> Patience:
        return STREAM_PATIENCE


class ExportDisk(CarryDisk, frozen=True, kw_only=True, tag="export.disk"):
    """The contents of a disk are in the unfinished export on ``keeper``. Undone with that."""

    keeper: str
    still: bool = False
    """A still is read, not the disk itself."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = world.configuration.instance(self.instance)
        disk = instance.disks[self.disk]
        backend, volume = self.wanted(world)
        status = await backend.look(volume)
        if self.still:
            status = msgspec.structs.replace(status, path=await backend.still(volume))
        if instance.os:
            where = (self.node, self.disk)
            end = await script_of_disk(world, instance, where, "export", status)
        else:
            end = StreamEnd(kind="disk", place=status.path or "", size_mib=disk.size_mib)
        dump = StreamEnd(kind="file", place=self._dump(instance), size_mib=disk.size_mib)
        ends = Ends(
            source=self.node,
            source_end=end,
            target=self.keeper,
            target_end=dump,
            compress=self.compress,
        )
        return await carry(context, f"disk {self.disk}", ends)

    async def undo(self, context: Any) -> Outcome:
        """No stream goes on; what it wrote goes with the unfinished export."""
        found = self.find(context.world)
        if found is not None:
            await context.world.node(self.keeper).stop_stream(self._dump(found[0]))
        return NOTHING

    def _dump(self, instance: Instance) -> str:
        return f"{instance.name}.new/{dump_of(instance.disks[self.disk].uuid)}"


class ImportDisk(CarryDisk, frozen=True, kw_only=True, tag="import.disk"):
    """The open disk has the contents of a dump on ``source``. Undone by removing the disk."""

    source: str
    dump: str
    """Its path there."""
    raw: bool = False
    """Written as it is, not by the OS definition's script."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = world.configuration.instance(self.instance)
        backend, volume = self.wanted(world)
        status = await backend.look(volume)
        if self.raw:
            end = StreamEnd(kind="disk", place=status.path or "", size_mib=volume.size_mib)
        else:
            where = (self.node, self.disk)
            end = await script_of_disk(world, instance, where, "import", status)
        dump = StreamEnd(kind="file", place=self.dump, size_mib=volume.size_mib)
        ends = Ends(
            source=self.source,
            source_end=dump,
            target=self.node,
            target_end=end,
            compress=self.compress,
        )
        return await carry(context, f"disk {self.disk}", ends)

    async def undo(self, context: Any) -> Outcome:
        """No stream goes on; the disk is removed with what it wrote."""
        world: World = context.world
        found = self.find(world)
        if found is None:
            return NOTHING
        place = f"{found[0].uuid}/{self.disk}"
        if self.raw:
            backend, volume = self.wanted(world)
            place = (await backend.look(volume)).path or place
        await world.node(self.node).stop_stream(place)
        return NOTHING


class CopyDisk(CarryDisk, frozen=True, kw_only=True, tag="disk.copy"):
    """The drafted disk of the same place has the contents of the disk. Both are open, and nobody
    else uses them. Undone by removing the drafted one."""

    to: str
    """Host name of the node with the drafted disk."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        instance = world.configuration.instance(self.instance)
        backend, volume = self.wanted(world)
        source = await backend.look(volume)
        new, draft = self._draft(world, instance)
        target = await new.look(draft)
        if source.format != "raw" and self.node != self.to:
            return await self._carry_file(context, source.path or "", target.path or "")
        if source.format != target.format or source.format != "raw":
            # what is in a file of another format is read and written by QEMU's programs alone
            await new.fill(draft, source.path or "", source.format)
            return NOTHING
        ends = self._ends(source.path or "", target.path or "", volume.size_mib)
        return await carry(context, f"disk {self.disk}", ends)

    async def _carry_file(self, context: Any, source: str, target: str) -> Outcome:
        """The file as it is, which is no raw one, compared afterwards."""
        world: World = context.world
        instance = world.configuration.instance(self.instance)
        limit_mib = file_limit_mib(instance.disks[self.disk].size_mib)
        sent = await carry(context, f"disk {self.disk}", self._ends(source, target, limit_mib))
        there = await world.node(self.to).sum_contents(target, limit_mib)
        wanted = await world.node(self.node).sum_contents(source, limit_mib)
        if there != wanted:
            raise Refused(
                f"The copy of disk {self.disk} on node {self.to} has checksum {there}, not"
                f" {wanted}: check the disks of {self.node} and {self.to}, then try again",
                ContentsDiffer.code,
            )
        return sent

    def _ends(self, source: str, target: str, size_mib: int) -> Ends:
        return Ends(
            source=self.node,
            source_end=StreamEnd(kind="disk", place=source, size_mib=size_mib),
            target=self.to,
            target_end=StreamEnd(kind="disk", place=target, size_mib=size_mib),
            compress=self.compress,
        )

    async def undo(self, context: Any) -> Outcome:
        """No stream goes on."""
        world: World = context.world
        instance = world.configuration.find_instance(self.instance)
        if instance is None or self.disk >= len(instance.drafted):
            return NOTHING
        backend, volume = self._draft(world, instance)
        path = (await backend.look(volume)).path
        if path is not None:
            await world.node(self.to).stop_stream(path)
        return NOTHING

    def _draft(self, world: World, instance: Instance) -> tuple[Backend, Volume]:
        draft = instance.drafted[self.disk]
        volume = volume_on(world.view(), instance, draft, world.configuration.node(self.to))
        return world.node(self.to).storage(draft.template), volume


class StillVolume(OnVolume, frozen=True, kw_only=True, tag="disk.still"):
    """The disk's contents of this moment can be read. Undone by forgetting them."""

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        return Outcome(output=await backend.still(volume))

    async def undo(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].forget_still(target[1])
        return NOTHING


class ForgetStill(OnVolume, frozen=True, kw_only=True, tag="disk.forget-still"):
    """The disk has no still."""

    async def do(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].forget_still(target[1])
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        """There is none, as it should be."""
        return NOTHING
