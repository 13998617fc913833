"""Keep the contents that all disks of an instance have now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd.opcodes import locking, requirements
from clusterd.opcodes.fields import InstanceName, SnapshotName
from clusterd.steps.cluster import Say
from clusterd.steps.disks import AttachVolume
from clusterd.steps.snapshots import (
    CommitSnapshot,
    DrawSnapshot,
    FreezeGuest,
    SnapshotVolume,
    ThawGuest,
    find_snapshot,
)
from clusterd.view import View
from clusterd.volumes import keeps_snapshots, params_of
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step

SNAPSHOTS_MAX = 100
"""Of one instance."""


class InstanceSnapshotAdd(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_SNAPSHOT_ADD"):
    """Keep the contents that all disks of an instance have now."""

    instance_name: InstanceName
    snapshot: SnapshotName
    freeze: Annotated[
        bool, Meta(description="freeze the guest's file systems meanwhile if its agent answers")
    ] = True


def check(opcode: InstanceSnapshotAdd, view: View) -> None:
    """It has disks that can have snapshots, and none of this name."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.node_online(view, view.primary(instance))
    requirements.guest_seen(view, instance)
    if not instance.disks:
        raise Refused(f"Instance '{instance.name}' has no disks", "wrong_state")
    if find_snapshot(instance, opcode.snapshot) is not None:
        raise Refused(
            f"Instance '{instance.name}' has a snapshot '{opcode.snapshot}' already",
            "already_exists",
        )
    if len(instance.snapshots) >= SNAPSHOTS_MAX:
        raise Refused(f"Instance '{instance.name}' has {SNAPSHOTS_MAX} snapshots", "wrong_state")
    group = view.primary(instance).group
    for index, disk in enumerate(instance.disks):
        params = params_of(view, disk.template, disk.params, group)
        if not keeps_snapshots(disk.template, params):
            raise Refused(
                f"Disk {index} of instance '{instance.name}' has template {disk.template} and"
                " cannot have snapshots so; use rbd, a thin pool of plain, or qcow2 files",
                "wrong_state",
            )


def plan(opcode: InstanceSnapshotAdd, view: View) -> Sequence[Step]:
    """Freeze, take one of each disk, thaw."""
    instance = view.configuration.instance(opcode.instance_name)
    primary = view.primary(instance).name
    on: dict[str, Any] = {"instance": instance.uuid, "snapshot": opcode.snapshot}
    freezes = opcode.freeze and requirements.runs(view, instance)
    steps: list[Step] = [DrawSnapshot(**on)]
    if freezes:
        steps.append(Say(text="* freezing the guest's file systems"))
        steps.append(FreezeGuest(**on, node=primary))
    for index, _disk in enumerate(instance.disks):
        steps.append(AttachVolume(instance=instance.uuid, disk=index, node=primary, keep=True))
        steps.append(SnapshotVolume(**on, disk=index, node=primary))
    if freezes:
        steps.append(ThawGuest(instance=instance.uuid, node=primary))
    return [*steps, CommitSnapshot(**on)]


KIND = OpcodeKind(
    opcode=InstanceSnapshotAdd,
    locks=locking.the_instance,
    sights=lambda opcode, view: [
        view.primary(view.configuration.instance(opcode.instance_name)).name
    ],
    check=check,
    plan=plan,
    summary_field="instance_name",
)
