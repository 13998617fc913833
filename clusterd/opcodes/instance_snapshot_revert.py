"""Take an instance's disks back to a snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterd.opcodes import locking, requirements
from clusterd.opcodes.fields import InstanceName, SnapshotName
from clusterd.opcodes.instance_snapshot_remove import wanted
from clusterd.steps.cluster import Say
from clusterd.steps.disks import DetachVolume
from clusterd.steps.snapshots import RevertVolume
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceSnapshotRevert(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_SNAPSHOT_REVERT"):
    """Take a stopped instance's disks back to a snapshot; what was written since is lost."""

    instance_name: InstanceName
    snapshot: SnapshotName


def sights(opcode: InstanceSnapshotRevert, view: View) -> Iterable[str]:
    """The primary node."""
    return [view.primary(view.configuration.instance(opcode.instance_name)).name]


def check(opcode: InstanceSnapshotRevert, view: View) -> None:
    """The snapshot is of all its disks, and the guest does not run."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.node_online(view, view.primary(instance))
    requirements.guest_seen(view, instance)
    snapshot = wanted(instance, opcode.snapshot)
    if snapshot.disks != tuple(disk.uuid for disk in instance.disks):
        raise Refused(
            f"Instance '{instance.name}' has other disks than when snapshot '{snapshot.name}' was"
            " taken",
            "wrong_state",
        )
    if requirements.runs(view, instance):
        raise Refused(
            f"Instance '{instance.name}' is running: stop it with 'gnt-instance shutdown'",
            "wrong_state",
        )


def plan(opcode: InstanceSnapshotRevert, view: View) -> Sequence[Step]:
    """Each disk, out of use meanwhile."""
    instance = view.configuration.instance(opcode.instance_name)
    primary = view.primary(instance).name
    steps: list[Step] = [
        DetachVolume(instance=instance.uuid, disk=index, node=primary)
        for index, _disk in enumerate(instance.disks)
    ]
    steps.append(Say(text=f"* taking the disks back to '{opcode.snapshot}'"))
    steps += [
        RevertVolume(instance=instance.uuid, disk=index, node=primary, snapshot=opcode.snapshot)
        for index, _disk in enumerate(instance.disks)
    ]
    return steps


KIND = OpcodeKind(
    opcode=InstanceSnapshotRevert,
    locks=locking.the_instance,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
)
