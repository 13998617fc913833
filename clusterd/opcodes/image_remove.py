"""Remove an image that nothing depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterd.model import Image, Node
from clusterd.opcodes import locking, requirements
from clusterd.opcodes.fields import ImageName
from clusterd.steps.cluster import Say
from clusterd.steps.images import ForgetImage, RemoveImage
from clusterd.view import View
from clusterd.volumes import image_children
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ImageRemove(Opcode, frozen=True, kw_only=True, tag="OP_IMAGE_REMOVE"):
    """Remove an image that nothing depends on."""

    image_name: ImageName


def the_image(opcode: ImageRemove, view: View) -> Iterable[Lock]:
    """It alone."""
    return (BIG_LOCK_SHARED, locking.image_lock(view.configuration.image(opcode.image_name).name))


def holders(view: View, image: Image) -> list[Node]:
    """The nodes that have a copy, or for shared storage one that answers."""
    configuration = view.configuration
    if image.nodes:
        return [node for node in configuration.nodes() if node.uuid in image.nodes]
    usable = [node for node in configuration.nodes() if view.reachable(node) and node.vm_capable]
    if not usable:
        raise Refused(f"No node answers that reaches image '{image.name}'", "environment_error")
    return usable[:1]


def check(opcode: ImageRemove, view: View) -> None:
    """No disk reads from it, and those that hold it answer."""
    image = view.configuration.image(opcode.image_name)
    names = image_children(view.configuration, image)
    if names:
        raise Refused(
            f"Image '{image.name}' is needed by the disks of {requirements.listed(names)}: make"
            " them independent with 'gnt-instance flatten', or remove the instances",
            "wrong_state",
        )
    for node in holders(view, image):
        if not node.offline:
            requirements.node_online(view, node)


def plan(opcode: ImageRemove, view: View) -> Sequence[Step]:
    """Each copy, then the image."""
    image = view.configuration.image(opcode.image_name)
    steps: list[Step] = []
    for node in holders(view, image):
        if node.offline:
            text = f" - WARNING: node {node.name} is offline, disks may be left on it"
            steps.append(Say(text=text))
        else:
            steps.append(RemoveImage(image=image.uuid, node=node.name))
    return [*steps, ForgetImage(image=image.uuid)]


KIND = OpcodeKind(
    opcode=ImageRemove,
    locks=the_image,
    check=check,
    plan=plan,
    summary_field="image_name",
)
