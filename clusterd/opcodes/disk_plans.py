"""Plans for changing which disks an instance has, and of what kind they are. Pure."""

from __future__ import annotations

import msgspec

from clusterd.model import AdminState, Disk, DrbdPair, Instance, Node
from clusterd.opcodes import copies, disk_steps
from clusterd.opcodes.item_changes import DiskChange
from clusterd.steps.cluster import Say
from clusterd.steps.disk_changes import (
    AdoptVolume,
    CommitDisks,
    DraftDisks,
    SetDisk,
    disk_fields,
    raw_fields,
)
from clusterd.steps.disks import (
    AttachVolume,
    AwaitMirror,
    DetachVolume,
    EnsureVolume,
    OpenVolume,
)
from clusterd.steps.guest_devices import ReshapeGuest
from clusterd.view import View
from clusterd.volumes import numbered
from jobqueue.step import Step

PLAIN, DRBD = "plain", "drbd"
CONVERSIONS = ((PLAIN, DRBD), (DRBD, PLAIN))
"""What is converted without copying the data."""


def change(view: View, instance: Instance, wanted: DiskChange, *, hot: bool) -> list[Step]:
    """Disks come, change and go. ``hot``: the guest runs and is told."""
    name, primary = instance.uuid, view.primary(instance)
    nodes = view.nodes_of(instance)
    steps: list[Step] = [
        SetDisk(instance=name, disk=at, **disk_fields(instance.disks[at], **fields))
        for at, fields in wanted.modified
    ]
    if not wanted.added and not wanted.removed:
        return steps
    steps = [*disk_steps.tidy(view, instance), *steps]
    drafts = tuple(disk for _, disk in wanted.added)
    # an instance that had no disk until now, and runs, had none to activate either
    first = bool(drafts) and not instance.disks and instance.admin_state is AdminState.UP
    stays_attached = instance.disks_active or first
    if drafts:
        steps.append(DraftDisks(instance=name, disks=drafts))
    for place, disk in enumerate(drafts):
        steps.append(Say(text=f"* creating disk {disk.number}"))
        steps += disk_steps.make(name, place, disk, nodes, drafted=True)
        if not stays_attached:
            steps += [
                DetachVolume(instance=name, disk=place, node=node.name, drafted=True)
                for node in nodes
            ]
    if wanted.removed and hot:
        uuids = tuple(instance.disks[at].uuid for at in wanted.removed)
        steps.append(ReshapeGuest(instance=name, node=primary.name, without=uuids))
    steps += [
        DetachVolume(instance=name, disk=at, node=node.name, was_open=node is primary)
        for at in wanted.removed
        if instance.disks_active
        for node in nodes
    ]
    places = tuple(at for at, _ in wanted.added)
    new: dict[str, object] = {"disks_active": True} if first else {}
    if wanted.template != instance.disk_template:
        new["disk_template"] = wanted.template
    steps.append(
        CommitDisks(
            instance=name,
            places=places,
            inserts=True,
            removes=wanted.removed,
            changes=raw_fields(**new),
        )
    )
    if hot:
        steps.append(ReshapeGuest(instance=name, node=primary.name, optional=True))
    if wanted.removed:
        steps += disk_steps.forget_old(instance, [nodes for _ in wanted.removed])
    return steps


def convert(
    view: View, instance: Instance, template: str, secondary: Node | None, *, wait: bool
) -> list[Step]:
    """The disks become those of another template, in place; the instance is down."""
    steps = disk_steps.tidy(view, instance)
    if (instance.disk_template, template) not in CONVERSIONS:
        return [*steps, *copies.convert(view, instance, template, secondary)]
    if template == DRBD and secondary is not None:
        return [*steps, *_to_mirror(view, instance, secondary, wait=wait)]
    return [*steps, *_to_plain(view, instance)]


def mirrored(view: View, instance: Instance, secondary: Node) -> tuple[Disk, ...]:
    """The disks as mirrors, but for identities."""
    primary = view.primary(instance)
    meta = str(view.diskparams(DRBD, primary.group).get("metavg") or "")
    pair = DrbdPair(nodes=(primary.uuid, secondary.uuid), minors=(-1, -1), port=0, secret="")
    return tuple(
        msgspec.structs.replace(
            disk, template=DRBD, drbd=pair, meta_pool=meta or disk.pool, params={}, synced=False
        )
        for disk in numbered(instance)
    )


def _to_mirror(view: View, instance: Instance, secondary: Node, *, wait: bool) -> list[Step]:
    """The data get metadata and a copy on another node."""
    name, primary = instance.uuid, view.primary(instance)
    drafts = mirrored(view, instance, secondary)
    steps: list[Step] = [
        Say(text=f"* converting the disks of instance {instance.name} to {DRBD}"),
        DraftDisks(instance=name, disks=drafts),
    ]
    places = tuple(range(len(drafts)))
    for at in places:
        steps += [
            DetachVolume(instance=name, disk=at, node=primary.name),
            EnsureVolume(instance=name, disk=at, node=secondary.name, drafted=True),
            AdoptVolume(instance=name, disk=at, draft=at, node=primary.name),
        ]
        steps += [
            AttachVolume(instance=name, disk=at, node=node.name, drafted=True)
            for node in (secondary, primary)
        ]
        steps += [
            AwaitMirror(instance=name, disk=at, node=primary.name, drafted=True),
            OpenVolume(instance=name, disk=at, node=primary.name, force=True, drafted=True),
        ]
    new = raw_fields(disk_template=DRBD, secondary_node=secondary.uuid)
    steps.append(CommitDisks(instance=name, places=places, keeps=False, changes=new))
    if wait:
        steps.append(Say(text="* waiting for the copies to be complete"))
        steps += [
            AwaitMirror(instance=name, disk=at, node=primary.name, synced=True) for at in places
        ]
    # a copy that nobody waited for is completed when the disk is used again
    steps += [
        DetachVolume(instance=name, disk=at, node=node.name)
        for at in places
        for node in (primary, secondary)
    ]
    return steps


def _to_plain(view: View, instance: Instance) -> list[Step]:
    """The copy on the primary stays, the other and the metadata go."""
    name, primary, secondary = instance.uuid, view.primary(instance), view.secondary(instance)
    answers = secondary is not None and view.reachable(secondary)
    nodes = [node for node in (primary, secondary) if node is not None]
    reachable = nodes if answers else [primary]
    drafts = tuple(
        msgspec.structs.replace(disk, template=PLAIN, drbd=None, meta_pool="", params={})
        for disk in numbered(instance)
    )
    steps: list[Step] = [Say(text=f"* converting the disks of instance {instance.name} to {PLAIN}")]
    # only a copy that is known to be whole may become the only one
    steps += disk_steps.activate(instance, primary, secondary if answers else None, synced=answers)
    steps.append(DraftDisks(instance=name, disks=drafts))
    for at in range(len(drafts)):
        steps += [DetachVolume(instance=name, disk=at, node=node.name) for node in reachable]
        steps.append(AdoptVolume(instance=name, disk=at, draft=at, node=primary.name))
    new = raw_fields(disk_template=PLAIN, secondary_node=None)
    steps.append(CommitDisks(instance=name, places=tuple(range(len(drafts))), changes=new))
    # DRBD has left them usable
    steps += [DetachVolume(instance=name, disk=at, node=primary.name) for at in range(len(drafts))]
    if not answers and secondary is not None:
        steps.append(Say(text=f"node {secondary.name} does not answer: {disk_steps.LEFT_BEHIND}"))
    steps += disk_steps.forget_old(instance, [reachable for _ in drafts])
    return steps
