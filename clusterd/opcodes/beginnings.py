"""What new disks begin as: nothing, an image, the snapshot of another instance. Pure.

A disk of the image's own template that can have clones is one, by copy on write; every other disk
gets a copy that is compared with the image.
"""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.model import Disk, DiskOrigin, Image, Instance, Node
from clusterd.names import IMAGE_SNAPSHOT
from clusterd.steps.images import FillDisk
from clusterd.view import View
from clusterd.volumes import image_name, is_shared, keeps_snapshots
from jobqueue.errors import Refused
from jobqueue.step import Step


def find_image(view: View, name: str | None) -> Image | None:
    """The image asked for, if one is; raises Refused."""
    return view.configuration.image(name) if name else None


def sized(specs: tuple[dict[str, Any], ...], image: Image | None) -> tuple[dict[str, Any], ...]:
    """The disks asked for; the first is as large as the image unless it says otherwise."""
    if image is None:
        return specs
    first, *others = specs or ({},)
    return ({"size": image.size_mib, **first}, *others)


def begun(
    view: View, disks: tuple[Disk, ...], image: Image | None, nodes: tuple[Node, ...]
) -> tuple[Disk, ...]:
    """The disks, the first with its origin if it is to be a clone; raises Refused."""
    if image is None:
        return disks
    if not disks:
        raise Refused("An instance from an image needs a disk", "wrong_input")
    first = disks[0]
    if first.size_mib < image.size_mib:
        raise Refused(
            f"Disk 0 has {first.size_mib} MiB, image '{image.name}' needs {image.size_mib} MiB",
            "wrong_input",
        )
    if image.nodes and nodes[0].uuid not in image.nodes:
        raise Refused(
            f"Node {nodes[0].name} has no copy of image '{image.name}'; make the instance where"
            " one is, or keep the image in shared storage",
            "wrong_input",
        )
    if not clones(view, first, image, nodes[0]):
        return disks
    origin = DiskOrigin(
        image=image.uuid,
        pool=image.pool,
        name=image_name(image.uuid),
        snapshot=IMAGE_SNAPSHOT,
        size_mib=image.size_mib,
        label=image.name,
    )
    return (msgspec.structs.replace(first, origin=origin), *disks[1:])


def clones(view: View, disk: Disk, image: Image, node: Node) -> bool:
    """Whether the disk is made by copy on write."""
    params = {**view.diskparams(image.template, node.group), **image.params}
    same_place = is_shared(disk.template) or disk.pool == image.pool
    return disk.template == image.template and same_place and keeps_snapshots(disk.template, params)


def fill(view: View, instance: Instance, image: Image | None, node: Node) -> list[Step]:
    """What copies the image where no clone was made."""
    if image is None or instance.disks[0].origin is not None:
        return []
    return [FillDisk(instance=instance.name, disk=0, node=node.name, image=image.uuid)]
