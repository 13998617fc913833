"""Steps that bring copies of an image to further nodes, where the next instances begin as them.

What arrives is read again there and summed, and must be what every other copy is.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from clusterd.model import Image
from clusterd.steps.images import OnImage, readable
from clusterd.steps.streams import STREAM_PATIENCE, Ends, carry, file_limit_mib
from clusterd.volumes import image_volume
from clusterd.world import StreamEnd, World
from jobqueue.errors import Refused
from jobqueue.step import NOTHING, Outcome, Patience
from storage.errors import ContentsDiffer


class CarryImage(OnImage, frozen=True, kw_only=True, tag="image.carry"):
    """The new copy on the node holds what that of ``source`` does. Undone with the copy."""

    breakable: ClassVar[bool] = True
    source: str
    """Host name of a node with a copy."""

    @property
    def patience(self) -> Patience:
        return STREAM_PATIENCE

    async def do(self, context: Any) -> Outcome:
        world: World = context.world
        image = world.configuration.image(self.image)
        size_mib = file_limit_mib(image.size_mib)
        begin = await self._source_path(world, image)
        backend, volume = self.wanted(world)
        if not (await backend.look(volume)).present:
            await backend.forget(volume)  # an earlier attempt broke off in its first bytes
            await backend.ensure(volume)
        end = await backend.attach(volume)
        await backend.open(volume)
        raw = (await backend.look(volume)).format == "raw"
        limit_mib = image.size_mib if raw else size_mib
        ends = Ends(
            source=self.source,
            source_end=StreamEnd(kind="disk", place=begin, size_mib=limit_mib),
            target=self.node,
            target_end=StreamEnd(kind="disk", place=end, size_mib=limit_mib),
        )
        await carry(context, f"image {image.name}", ends)
        there = await world.node(self.node).sum_contents(end, limit_mib)
        wanted = image.contents or await world.node(self.source).sum_contents(begin, limit_mib)
        if there != wanted:
            raise Refused(
                f"The copy of image '{image.name}' on node {self.node} has checksum {there}, not"
                f" {wanted}: check the disks of {self.source} and {self.node}, then try again",
                ContentsDiffer.code,
            )
        await backend.detach(volume)
        return Outcome(writes=world.configuration.changed(image, world.now(), contents=wanted))

    async def undo(self, context: Any) -> Outcome:
        """Nothing arrives any more; the copy is removed with what did."""
        target = self.target(context.world)
        if target is not None:
            status = await target[0].look(target[1])
            if status.path is not None:
                await context.world.node(self.node).stop_stream(status.path)
        return NOTHING

    async def _source_path(self, world: World, image: Image) -> str:
        node = world.configuration.node(self.source)
        held = image_volume(world.view(), image, node)
        backend = world.node(self.source).storage(image.template)
        await backend.attach(held)
        path = readable(await backend.look(held))
        if path is None:
            raise Refused(f"Image '{image.name}' is not on node {self.source}", "wrong_state")
        return path


class RecordCopy(OnImage, frozen=True, kw_only=True, tag="image.record-copy"):
    """The configuration knows of the node's copy. Undone by forgetting it."""

    async def do(self, context: Any) -> Outcome:
        return self._write(context.world, has=True)

    async def undo(self, context: Any) -> Outcome:
        return self._write(context.world, has=False)

    def _write(self, world: World, *, has: bool) -> Outcome:
        image = world.configuration.find_image(self.image)
        if image is None:
            return NOTHING
        uuid = world.configuration.node(self.node).uuid
        if (uuid in image.nodes) is has:
            return NOTHING
        new = msgspec.structs.replace(
            image,
            nodes=_with(image.nodes, uuid, has=has),
            cached=_with(image.cached, uuid, has=has),
        )
        writes = world.configuration.changed(image, world.now(), nodes=new.nodes, cached=new.cached)
        return Outcome(writes=writes)


def _with(uuids: tuple[str, ...], uuid: str, *, has: bool) -> tuple[str, ...]:
    others = tuple(one for one in uuids if one != uuid)
    return (*others, uuid) if has else others
