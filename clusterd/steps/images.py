"""Steps on images: draw, measure, make a copy on a node, seal it, commit, forget; and fill a disk.

A copy of an image is written before its snapshot is taken and never after it, so whatever has the
snapshot is complete.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from clusterd.configuration import added
from clusterd.errors import CallFailed
from clusterd.model import Image
from clusterd.names import IMAGE_SNAPSHOT
from clusterd.steps.disks import OnVolume
from clusterd.volumes import image_volume
from clusterd.world import World
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Patience, Step
from storage.errors import VolumeBusy
from storage.interface import Backend
from storage.volume import Filled, Volume, VolumeStatus


class DrawImage(Step, frozen=True, kw_only=True, tag="image.draw"):
    """The image is in the configuration, still hidden. Undone by forgetting it."""

    draft: Image

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        found = world.configuration.find_image(self.draft.name)
        if found is not None:
            if found.made_by == context.job_id:
                return Outcome(output=found.uuid)
            raise Refused(f"Image '{self.draft.name}' is already in the cluster", "already_exists")
        now = world.now()
        image = msgspec.structs.replace(
            self.draft, uuid=world.random.uuid(), ctime=now, mtime=now, made_by=context.job_id
        )
        return Outcome(output=image.uuid, writes=added(image))

    async def undo(self, context: Any) -> Outcome:
        found = context.world.configuration.find_image(self.draft.name)
        if found is None or found.made_by != context.job_id:
            return NOTHING
        return Outcome(writes=context.world.configuration.removed(found))


class OnImage(Step, frozen=True, kw_only=True):
    """What the steps below share: which image, where."""

    image: str
    """uuid or name"""
    node: str
    """Host name."""

    def target(self, world: World) -> tuple[Backend, Volume] | None:
        """The backend and the image's volume, or None when the image is gone."""
        image = world.configuration.find_image(self.image)
        if image is None:
            return None
        node = world.configuration.node(self.node)
        return world.node(self.node).storage(image.template), image_volume(
            world.view(), image, node
        )

    def wanted(self, world: World) -> tuple[Backend, Volume]:
        """The same; raises Refused when the image is gone."""
        target = self.target(world)
        if target is None:
            raise Refused(f"Image '{self.image}' not known", "unknown_entity")
        return target


class MeasureImage(OnImage, frozen=True, kw_only=True, tag="image.measure"):
    """Size, format and checksum of the file are known, and as expected."""

    path: str
    expected: str = ""
    """Checksum that the file must have."""

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        found = await world.node(self.node).inspect_image(self.path)
        if self.expected and found.checksum != self.expected:
            raise Refused(
                f"{self.path} on node {self.node} has checksum {found.checksum}, expected"
                f" {self.expected}: it is another file, or damaged",
                "wrong_input",
            )
        image = world.configuration.find_image(self.image)
        if image is None:
            raise Refused(f"Image '{self.image}' not known", "unknown_entity")
        if image.checksum and image.checksum != found.checksum:
            raise Refused(
                f"{self.path} on node {self.node} has checksum {found.checksum}, the image has"
                f" {image.checksum}",
                "wrong_input",
            )
        writes = world.configuration.changed(
            image,
            world.now(),
            size_mib=found.size_mib,
            format=found.format,
            checksum=found.checksum,
        )
        return Outcome(writes=writes)

    async def undo(self, context: Any) -> Outcome:
        """The image is forgotten with its measures."""
        return NOTHING


class PlaceImage(OnImage, frozen=True, kw_only=True, tag="image.place"):
    """There is a volume for the image. Undone by removing it."""

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.ensure(volume)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].forget(target[1])
        return NOTHING


class WriteImage(OnImage, frozen=True, kw_only=True, tag="image.write"):
    """The volume has the file's contents, compared after the copy."""

    path: str

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        image = context.world.configuration.find_image(self.image)
        await backend.attach(volume)
        await backend.open(volume)
        await backend.fill(volume, self.path, image.format)
        await backend.detach(volume)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        """The volume is removed with its contents."""
        return NOTHING


class SealImage(OnImage, frozen=True, kw_only=True, tag="image.seal"):
    """The contents are kept in a protected snapshot, where the backend has snapshots."""

    async def do(self, context: Any) -> Outcome:
        backend, volume = self.wanted(context.world)
        await backend.snapshot(volume, IMAGE_SNAPSHOT)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].forget_snapshot(target[1], IMAGE_SNAPSHOT)
        return NOTHING


class CommitImage(Step, frozen=True, kw_only=True, tag="image.commit"):
    """The image is finished and everybody sees it."""

    seals: ClassVar[str] = "the image exists"
    image: str

    async def do(self, context: Any) -> Outcome:
        configuration = context.world.configuration
        found = configuration.find_image(self.image)
        if found is None:
            raise Refused(f"Image '{self.image}' not known", "unknown_entity")
        return Outcome(writes=configuration.changed(found, context.world.now(), made_by=None))


class RemoveImage(OnImage, frozen=True, kw_only=True, tag="image.remove"):
    """Nothing of the image is left on the node, or in the pool."""

    no_undo: ClassVar[str] = "the image's data are gone"

    async def do(self, context: Any) -> Outcome:
        target = self.target(context.world)
        if target is not None:
            await target[0].forget(target[1])
        return NOTHING


class ForgetImage(Step, frozen=True, kw_only=True, tag="image.forget"):
    """The image is not in the configuration."""

    no_undo: ClassVar[str] = "the image's data are gone"
    image: str

    async def do(self, context: Any) -> Outcome:
        found = context.world.configuration.find_image(self.image)
        if found is None:
            return NOTHING
        return Outcome(writes=context.world.configuration.removed(found))


class RecordImage(Step, frozen=True, kw_only=True, tag="image.record"):
    """Name and properties of the image are as wanted. Undone by those that the plan saw."""

    image: str
    """uuid"""
    name: str
    properties: dict[str, str]
    name_before: str
    properties_before: dict[str, str]

    async def do(self, context: Any) -> Outcome:
        return self._write(context.world, self.name, self.properties)

    async def undo(self, context: Any) -> Outcome:
        return self._write(context.world, self.name_before, self.properties_before)

    def _write(self, world: World, name: str, properties: dict[str, str]) -> Outcome:
        found = world.configuration.find_image(self.image)
        if found is None:
            return NOTHING
        writes = world.configuration.changed(found, world.now(), name=name, properties=properties)
        return Outcome(writes=writes)


class FillDisk(OnVolume, frozen=True, kw_only=True, tag="disk.fill"):
    """The open disk of an instance has the contents of an image: a copy, compared afterwards."""

    image: str

    @property
    def patience(self) -> Patience:
        return Patience(for_s=60.0)

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        backend, volume = self.wanted(world)
        image = world.configuration.image(self.image)
        node = world.configuration.node(self.node)
        source = world.node(self.node).storage(image.template)
        held = image_volume(world.view(), image, node)
        await source.attach(held)
        found = await source.look(held)
        where = readable(found)
        if where is None:
            raise Refused(f"Image '{image.name}' is not on node {self.node}", "wrong_state")
        how = await backend.fill(volume, where, found.format)
        context.log(f"   {_WORDS[how]}")
        await _let_go(source, held)
        return NOTHING

    async def undo(self, context: Any) -> Outcome:
        """The disk is removed with its contents."""
        return NOTHING


_WORDS = {
    Filled.COPIED: "copied and compared",
    Filled.SHARED: "it shares the blocks of the image's file",
}


def readable(found: VolumeStatus) -> str | None:
    """What QEMU's programs read the image from: its snapshot where that is a file of its own."""
    kept = [one.path for one in found.snapshots if one.name == IMAGE_SNAPSHOT and one.path]
    return kept[0] if kept else found.source.uri if found.source is not None else found.path


async def _let_go(backend: Backend, volume: Volume) -> None:
    """The image is not attached, unless another job reads it at this moment."""
    try:
        await backend.detach(volume)
    except CallFailed as error:
        if error.kind != VolumeBusy.code:
            raise
