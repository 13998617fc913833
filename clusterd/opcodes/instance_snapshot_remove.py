"""Drop a snapshot that nothing depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clusterd.model import Instance, InstanceSnapshot
from clusterd.opcodes import locking, requirements
from clusterd.opcodes.fields import InstanceName, SnapshotName
from clusterd.steps.snapshots import ForgetSnapshot, ForgetVolumeSnapshot, find_snapshot
from clusterd.view import View
from clusterd.volumes import snapshot_children
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceSnapshotRemove(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_SNAPSHOT_REMOVE"):
    """Drop a snapshot that nothing depends on."""

    instance_name: InstanceName
    snapshot: SnapshotName


def wanted(instance: Instance, name: str) -> InstanceSnapshot:
    """The instance's snapshot; raises Refused."""
    found = find_snapshot(instance, name)
    if found is None:
        known = ", ".join(one.name for one in instance.snapshots) or "none"
        raise Refused(
            f"Instance '{instance.name}' has no snapshot '{name}': it has {known}",
            "unknown_entity",
        )
    return found


def check(opcode: InstanceSnapshotRemove, view: View) -> None:
    """No disk reads from it."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.node_online(view, view.primary(instance))
    snapshot = wanted(instance, opcode.snapshot)
    names = snapshot_children(view, instance, snapshot.name)
    if names:
        raise Refused(
            f"Snapshot '{snapshot.name}' of instance '{instance.name}' is needed by the disks of"
            f" {requirements.listed(names)}: make them independent with 'gnt-instance flatten',"
            " or remove the instances",
            "wrong_state",
        )


def plan(opcode: InstanceSnapshotRemove, view: View) -> Sequence[Step]:
    """Each disk's, then the record."""
    instance = view.configuration.instance(opcode.instance_name)
    primary = view.primary(instance).name
    on: dict[str, Any] = {"instance": instance.uuid, "snapshot": opcode.snapshot}
    steps: list[Step] = [
        ForgetVolumeSnapshot(**on, disk=index, node=primary)
        for index, disk in enumerate(instance.disks)
        if disk.uuid in wanted(instance, opcode.snapshot).disks
    ]
    return [*steps, ForgetSnapshot(**on)]


KIND = OpcodeKind(
    opcode=InstanceSnapshotRemove,
    locks=locking.the_instance,
    check=check,
    plan=plan,
    summary_field="instance_name",
)
