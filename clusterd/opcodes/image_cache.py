"""Copy an image to the nodes of a group before instances need it there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from clusterd.model import Image, Node
from clusterd.opcodes import copied_images, locking, requirements
from clusterd.opcodes.fields import GroupName, ImageName, NodeName
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ImageCache(Opcode, frozen=True, kw_only=True, tag="OP_IMAGE_CACHE"):
    """Copy an image to the nodes of a group before instances need it there."""

    image_name: ImageName
    group_name: Annotated[
        GroupName | None, Meta(description="its nodes that take instances; default is all nodes")
    ] = None
    nodes: Annotated[tuple[NodeName, ...], Meta(description="these nodes instead of a group")] = ()


def targets(opcode: ImageCache, view: View, image: Image) -> list[Node]:
    """The nodes that lack a copy."""
    configuration = view.configuration
    group = configuration.group(opcode.group_name).uuid if opcode.group_name else None
    asked = {configuration.node(name).uuid for name in opcode.nodes}
    return [
        node
        for node in configuration.nodes()
        if copied_images.lacks(image, node)
        and (node.uuid in asked if asked else node.vm_capable and not node.offline)
        and group in (None, node.group)
    ]


def locks(opcode: ImageCache, view: View) -> Iterable[Lock]:
    """The image; its new nodes must stay what they are."""
    image = view.configuration.image(opcode.image_name)
    nodes = targets(opcode, view, image)
    return [
        BIG_LOCK_SHARED,
        locking.image_lock(image.name),
        *(locking.node_lock(node, shared=True) for node in nodes),
    ]


def sights(opcode: ImageCache, view: View) -> Iterable[str]:
    """The nodes that get a copy."""
    image = view.configuration.image(opcode.image_name)
    return [node.name for node in targets(opcode, view, image)]


def check(opcode: ImageCache, view: View) -> None:
    """It is kept on nodes, some lack it, and they have room."""
    image = view.configuration.image(opcode.image_name)
    if opcode.group_name and opcode.nodes:
        raise Refused("Name a group or nodes, not both", "wrong_input")
    if not image.nodes:
        raise Refused(
            f"Image '{image.name}' is in storage that all nodes reach: no copy is needed",
            "wrong_state",
        )
    for node in targets(opcode, view, image):
        requirements.node_online(view, node)
        copied_images.check(view, image, node)


def plan(opcode: ImageCache, view: View) -> Sequence[Step]:
    """One node after the other."""
    image = view.configuration.image(opcode.image_name)
    return [
        step
        for node in targets(opcode, view, image)
        for step in copied_images.bring(view, image, node)
    ]


KIND = OpcodeKind(
    opcode=ImageCache,
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="image_name",
)
