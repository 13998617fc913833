"""What new disks begin as: nothing, an image, the snapshot of another instance. Pure.

A disk of the image's own template that can have clones is one, by copy on write. Every other disk
is filled: it shares the blocks of the image's file where both lie in one file system that can do
so, else it gets a copy that is compared with the image.
"""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.model import Disk, DiskOrigin, Image, Instance, Node
from clusterd.names import IMAGE_SNAPSHOT
from clusterd.steps.cluster import Say
from clusterd.steps.images import FillDisk
from clusterd.view import View
from clusterd.volumes import (
    image_name,
    is_shared,
    keeps_snapshots,
    lasting_parameters,
    on_files,
    on_volume_group,
    params_of,
)
from jobqueue.errors import Refused
from jobqueue.step import Step


def find_image(view: View, name: str | None) -> Image | None:
    """The image asked for, if one is; raises Refused."""
    return view.configuration.image(name) if name else None


def sized(
    specs: tuple[dict[str, Any], ...], image: Image | None, template: str
) -> tuple[dict[str, Any], ...]:
    """The disks asked for; the first is as large as the image and, where it is of its template, of
    its kind and where it is, unless it says otherwise: so it can be a clone."""
    if image is None:
        return specs
    first, *others = specs or ({},)
    like: dict[str, Any] = {"size": image.size_mib}
    if template == image.template:
        lasting = lasting_parameters(template)
        like |= {name: image.params[name] for name in sorted(lasting & set(image.params))}
        if on_volume_group(template):
            like["vg"] = image.pool
    return ({**like, **first}, *others)


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
    if disk.template != image.template:
        return False
    held = params_of(view, image.template, image.params, node.group)
    own = params_of(view, disk.template, disk.params, node.group)
    lasting = lasting_parameters(disk.template)
    # a directory does not matter: what can be told apart is in the file's format
    near = is_shared(disk.template) or on_files(disk.template) or disk.pool == image.pool
    alike = all(held.get(name) == own.get(name) for name in lasting)
    return near and alike and keeps_snapshots(disk.template, held)


def fill(view: View, instance: Instance, image: Image | None, node: Node) -> list[Step]:
    """What copies the image where no clone was made; either is said."""
    if image is None or not instance.disks:
        return []
    if instance.disks[0].origin is not None:
        return [Say(text=f"* disk 0 begins as image '{image.name}', by copy on write")]
    return [
        Say(text=f"* filling disk 0 with image '{image.name}'"),
        FillDisk(instance=instance.name, disk=0, node=node.name, image=image.uuid),
    ]
