"""Disks that become others by being copied, byte by byte, while their instance is down: conversions
between templates that share no data, and the way of files to another node. Pure.
"""

from __future__ import annotations

import msgspec

from clusterd import capacity
from clusterd.model import Disk, Instance, Node
from clusterd.opcodes import disk_steps, drafts, requirements
from clusterd.steps.cluster import Say
from clusterd.steps.disk_changes import CommitDisks, DraftDisks, raw_fields
from clusterd.steps.disk_moves import CommitTravelled
from clusterd.steps.disks import AttachVolume, DetachVolume, EnsureVolume, OpenVolume
from clusterd.steps.streams import CopyDisk
from clusterd.view import View
from clusterd.volumes import guests_alone, has_mirror, numbered, params_of
from jobqueue.errors import Refused
from jobqueue.step import Step

COPIED = ("plain", "drbd", "file", "sharedfile", "rbd")
"""Templates whose disks a node can read and write."""


def converts(old: str, new: str) -> bool:
    """Whether one becomes the other so."""
    return old in COPIED and new in COPIED


def as_template(
    view: View, instance: Instance, template: str, secondary: Node | None
) -> tuple[Disk, ...]:
    """The disks as those of another template, but for identities; raises Refused."""
    nodes = (view.primary(instance), *((secondary,) if secondary is not None else ()))
    specs = tuple(
        {"size": disk.size_mib, "mode": disk.mode, "name": disk.name} for disk in instance.disks
    )
    made = drafts.disks(view, specs, template, nodes)
    return tuple(
        msgspec.structs.replace(disk, number=old.number)
        for disk, old in zip(made, numbered(instance), strict=True)
    )


def check(view: View, instance: Instance, disks: tuple[Disk, ...], nodes: list[Node]) -> None:
    """Both the disks there are and the new ones can be read and written, each by itself, and there
    is room; raises Refused."""
    group = view.primary(instance).group
    for index, disk in enumerate((*instance.disks, *disks)):
        params = params_of(view, disk.template, disk.params, group)
        what = f"Disk {index % len(instance.disks)} of instance '{instance.name}'"
        if guests_alone(disk.template, params):
            raise Refused(
                f"{what} would be copied as a {disk.template} disk that only its guest can read:"
                " rbd needs access=kernelspace",
                "wrong_state",
            )
        if params.get("format", "raw") != "raw" and disk.origin is not None:
            raise Refused(
                f"{what} reads from the image or snapshot that it began as: make it stand alone"
                " with 'gnt-instance flatten' first",
                "wrong_state",
            )
    for node in nodes:
        requirements.node_takes_instances(view, node)
        requirements.room_for(view, node, capacity.disk_need_mib(disks))


def convert(view: View, instance: Instance, template: str, secondary: Node | None) -> list[Step]:
    """New disks beside the old ones, filled from them, take their place."""
    name, primary, old = instance.uuid, view.primary(instance), view.secondary(instance)
    new_disks = as_template(view, instance, template, secondary)
    nodes = (primary, *((secondary,) if secondary is not None else ()))
    answers = old is not None and view.reachable(old)
    held = [primary, *((old,) if old is not None and answers else ())]
    places = range(len(new_disks))
    steps: list[Step] = [
        Say(text=f"* converting the disks of instance {instance.name} to {template}"),
        *disk_steps.activate(instance, primary, old if answers else None),
        DraftDisks(instance=name, disks=new_disks),
    ]
    for at in places:
        steps += disk_steps.make(name, at, new_disks[at], nodes, drafted=True)
        steps.append(Say(text=f"* copying disk {at}"))
        steps.append(CopyDisk(instance=name, disk=at, node=primary.name, to=primary.name))
        steps += [
            DetachVolume(instance=name, disk=at, node=node.name, drafted=True) for node in nodes
        ]
    steps += [
        DetachVolume(instance=name, disk=at, node=node.name) for at in places for node in held
    ]
    uuid = secondary.uuid if has_mirror(template) and secondary is not None else None
    new = raw_fields(disk_template=template, secondary_node=uuid)
    steps.append(CommitDisks(instance=name, places=tuple(places), changes=new))
    if old is not None and not answers:
        steps.append(Say(text=f"node {old.name} does not answer: {disk_steps.LEFT_BEHIND}"))
    return [*steps, *disk_steps.forget_old(instance, [held for _ in places])]


def carried(view: View, instance: Instance, target: Node, *, compress: str) -> list[Step]:
    """The stopped instance is on ``target`` with its disks; those on its node are removed."""
    name, source = instance.uuid, view.primary(instance)
    places = range(len(instance.disks))
    steps: list[Step] = [
        DraftDisks(instance=name, disks=fresh(instance), moving_to=target.uuid),
        *(AttachVolume(instance=name, disk=at, node=source.name) for at in places),
    ]
    for at in places:
        steps += [
            Say(text=f"* copying disk {at} to {target.name}"),
            EnsureVolume(instance=name, disk=at, node=target.name, drafted=True),
            AttachVolume(instance=name, disk=at, node=target.name, drafted=True),
            OpenVolume(instance=name, disk=at, node=target.name, force=True, drafted=True),
            CopyDisk(instance=name, disk=at, node=source.name, to=target.name, compress=compress),
            DetachVolume(instance=name, disk=at, node=target.name, drafted=True),
        ]
    return [
        *steps,
        CommitTravelled(instance=name, primary=target.uuid, left=source.uuid),
        *disk_steps.forget_old(instance, [(source,) for _ in places]),
    ]


def fresh(instance: Instance) -> tuple[Disk, ...]:
    """The same disks elsewhere, but for identities."""
    return tuple(
        msgspec.structs.replace(disk, uuid="", label="", origin=None) for disk in numbered(instance)
    )
