"""Sequences of disk steps that several plans share. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clusterd.model import Disk, Instance, Node
from clusterd.steps.cluster import Say
from clusterd.steps.disk_changes import LetGo
from clusterd.steps.disks import (
    AttachVolume,
    AwaitMirror,
    CloseVolume,
    DetachVolume,
    EnsureVolume,
    ForgetVolume,
    OpenVolume,
    ShareVolume,
    UnshareVolume,
)
from clusterd.view import View
from clusterd.volumes import has_mirror, holders, is_shared, label_on, opens_alone
from jobqueue.step import Step

LEFT_BEHIND = "disks may be left on it"
"""What is said where data of former disks cannot be removed."""


def activate(
    instance: Instance,
    primary: Node,
    secondary: Node | None,
    *,
    force: bool = False,
    synced: bool = False,
) -> list[Step]:
    """The disks are usable on ``primary``, mirrored where there is a reachable ``secondary``."""
    steps: list[Step] = []
    name = instance.uuid
    for index, disk in enumerate(instance.disks):
        mirrored = has_mirror(disk.template) and secondary is not None
        if mirrored and secondary is not None:
            steps.append(
                AttachVolume(instance=name, disk=index, node=secondary.name, optional=True)
            )
            # left open by a migration whose end nobody saw; one that a guest uses stays open
            steps.append(CloseVolume(instance=name, disk=index, node=secondary.name, optional=True))
        steps.append(AttachVolume(instance=name, disk=index, node=primary.name))
        if mirrored:
            steps.append(
                AwaitMirror(instance=name, disk=index, node=primary.name, optional=not synced)
            )
        lonely = has_mirror(disk.template) and secondary is None
        steps.append(
            OpenVolume(instance=name, disk=index, node=primary.name, force=force or lonely)
        )
        if synced and mirrored:
            steps.append(AwaitMirror(instance=name, disk=index, node=primary.name, synced=True))
    return steps


def deactivate(instance: Instance, primary: Node | None, secondary: Node | None) -> list[Step]:
    """The disks are not usable anywhere; the caller leaves out nodes that cannot be reached."""
    steps: list[Step] = []
    for index, disk in enumerate(instance.disks):
        if primary is not None:
            steps.append(DetachVolume(instance=instance.uuid, disk=index, node=primary.name))
        if secondary is not None and has_mirror(disk.template):
            steps.append(
                DetachVolume(instance=instance.uuid, disk=index, node=secondary.name, optional=True)
            )
    return steps


def open_both(instance: Instance, source: Node, target: Node) -> list[Step]:
    """Both nodes may write: the window of a live migration."""
    steps: list[Step] = []
    for index, disk in enumerate(instance.disks):
        name = instance.uuid
        mirrored = has_mirror(disk.template)
        steps.append(AttachVolume(instance=name, disk=index, node=target.name, keep=mirrored))
        if is_shared(disk.template):
            steps.append(ShareVolume(instance=name, disk=index, node=target.name))
        if opens_alone(disk.template):
            steps.append(ShareVolume(instance=name, disk=index, node=source.name))
        if not mirrored:
            continue
        steps += [
            AwaitMirror(instance=name, disk=index, node=source.name, synced=True),
            ShareVolume(instance=name, disk=index, node=source.name),
            ShareVolume(instance=name, disk=index, node=target.name),
        ]
    steps += [
        OpenVolume(instance=instance.uuid, disk=index, node=target.name)
        for index, _disk in enumerate(instance.disks)
    ]
    return steps


def close_source(instance: Instance, source: Node, target: Node) -> list[Step]:
    """Only the target may write again; the source may have died meanwhile."""
    steps: list[Step] = []
    for index, disk in enumerate(instance.disks):
        disk_of: dict[str, Any] = {
            "instance": instance.uuid,
            "disk": index,
            "optional": True,
            "insists": True,
        }
        if has_mirror(disk.template):
            steps += [
                CloseVolume(**disk_of, node=source.name),
                UnshareVolume(**disk_of, node=source.name, closes=True),
                UnshareVolume(**disk_of, node=target.name),
            ]
        else:
            steps.append(DetachVolume(**disk_of, node=source.name, patience_s=60.0))
        if is_shared(disk.template):
            steps.append(UnshareVolume(**disk_of, node=target.name))
    return steps


def make(
    name: str, index: int, disk: Disk, nodes: tuple[Node, ...], *, drafted: bool = False
) -> list[Step]:
    """Storage of one disk on its nodes (primary first), attached; a new mirror is complete by
    definition."""
    clean = has_mirror(disk.template)
    steps: list[Step] = []
    order = [node.name for node in reversed(nodes)]
    steps += [EnsureVolume(instance=name, disk=index, node=node, drafted=drafted) for node in order]
    steps += [
        AttachVolume(instance=name, disk=index, node=node, clean=clean, drafted=drafted)
        for node in order
    ]
    primary = nodes[0].name
    if clean:
        steps.append(AwaitMirror(instance=name, disk=index, node=primary, drafted=drafted))
    steps.append(OpenVolume(instance=name, disk=index, node=primary, force=True, drafted=drafted))
    if clean:
        steps.append(
            AwaitMirror(instance=name, disk=index, node=primary, synced=True, drafted=drafted)
        )
    return steps


def sides(instance: Instance, disk: Disk) -> list[str]:
    """The nodes (uuid) with data that are this disk's alone, and no longer or not yet those of one
    that the instance has."""
    own = {
        (node, label_on(one, node), one.template)
        for one in instance.disks
        for node in holders(instance, one)
    }
    return [
        node
        for node in holders(instance, disk)
        if (node, label_on(disk, node), disk.template) not in own
    ]


def tidy(view: View, instance: Instance) -> list[Step]:
    """What earlier jobs left of disks is removed, once each node with it answers or is offline."""
    left = [
        (at, view.configuration.node(uuid))
        for at, one in enumerate(instance.drafted)
        for uuid in sides(instance, one)
    ]
    if not instance.drafted or not all(n.offline or view.reachable(n) for _, n in left):
        return []
    name = instance.uuid
    steps: list[Step] = []
    for at, node in left:
        if node.offline:
            steps.append(Say(text=f"node {node.name} is offline: {LEFT_BEHIND}"))
        else:
            steps.append(ForgetVolume(instance=name, disk=at, node=node.name, drafted=True))
    return [*steps, LetGo(instance=name)]


def forget_old(instance: Instance, holders_of: Sequence[Sequence[Node]]) -> list[Step]:
    """After ``CommitDisks``: for each disk that went, in order, it goes from these nodes."""
    name = instance.uuid
    steps: list[Step] = [
        ForgetVolume(instance=name, disk=at, node=node.name, drafted=True)
        for at, nodes in enumerate(holders_of)
        for node in nodes
    ]
    return [*steps, LetGo(instance=name)]
