"""Where copies of images are, and how another node gets one. Pure."""

from __future__ import annotations

from clusterd.model import Image, Node
from clusterd.opcodes import requirements
from clusterd.steps.cluster import Say
from clusterd.steps.image_copies import CarryImage, RecordCopy
from clusterd.steps.images import PlaceImage, SealImage
from clusterd.view import View
from clusterd.volumes import keeps_snapshots, params_of, room_pool
from jobqueue.errors import Refused
from jobqueue.step import Step


def lacks(image: Image | None, node: Node) -> bool:
    """Whether the node has to get a copy before its disks can begin as the image."""
    return image is not None and bool(image.nodes) and node.uuid not in image.nodes


def holder(view: View, image: Image, node: Node) -> Node:
    """The node whose copy travels: one of the same group if any answers; raises Refused."""
    found = [
        one for one in view.configuration.nodes() if one.uuid in image.nodes and view.reachable(one)
    ]
    if not found:
        raise Refused(f"No node with a copy of image '{image.name}' answers", "environment_error")
    return min(found, key=lambda one: (one.group != node.group, one.name))


def check(view: View, image: Image, node: Node) -> None:
    """One can be brought there, and there is room."""
    holder(view, image, node)
    pool = room_pool(image.template, image.pool, image.params)
    requirements.room_for(view, node, {(image.template, pool): image.size_mib})


def bring(view: View, image: Image, node: Node) -> list[Step]:
    """The node gets a copy, which stays."""
    source = holder(view, image, node)
    name = image.uuid
    params = params_of(view, image.template, image.params, node.group)
    steps: list[Step] = [
        Say(text=f"* copying image '{image.name}' from node {source.name} to {node.name}, once"),
        PlaceImage(image=name, node=node.name),
        CarryImage(image=name, node=node.name, source=source.name),
    ]
    if keeps_snapshots(image.template, params):
        steps.append(SealImage(image=name, node=node.name))
    return [*steps, RecordCopy(image=name, node=node.name)]
