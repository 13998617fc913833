"""Sequences of disk steps that several plans share. Pure."""

from __future__ import annotations

from clusterd.model import Instance, Node
from clusterd.steps.disks import (
    AttachVolume,
    AwaitMirror,
    CloseVolume,
    DetachVolume,
    OpenVolume,
    ShareVolume,
    UnshareVolume,
)
from clusterd.volumes import has_mirror, is_shared
from jobqueue.step import Step


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
        name = instance.uuid
        steps.append(CloseVolume(instance=name, disk=index, node=source.name, optional=True))
        if has_mirror(disk.template):
            steps += [
                UnshareVolume(instance=name, disk=index, node=source.name, optional=True),
                UnshareVolume(instance=name, disk=index, node=target.name, optional=True),
            ]
        else:
            steps.append(
                DetachVolume(
                    instance=name, disk=index, node=source.name, optional=True, patience_s=60.0
                )
            )
        if is_shared(disk.template):
            steps.append(UnshareVolume(instance=name, disk=index, node=target.name, optional=True))
    return steps
