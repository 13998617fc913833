"""Make an instance's disks independent of images and snapshots."""

from __future__ import annotations

from collections.abc import Sequence

from clusterd.opcodes import locking, requirements
from clusterd.opcodes.fields import InstanceName
from clusterd.steps.cluster import Say
from clusterd.steps.snapshots import FlattenVolume
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceFlatten(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_FLATTEN"):
    """Make an instance's disks independent of images and snapshots, by copying what they share."""

    instance_name: InstanceName


def check(opcode: InstanceFlatten, view: View) -> None:
    """The node answers."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.node_online(view, view.primary(instance))


def plan(opcode: InstanceFlatten, view: View) -> Sequence[Step]:
    """Each disk that depends on another."""
    instance = view.configuration.instance(opcode.instance_name)
    node = view.primary(instance).name
    steps: list[Step] = []
    for index, disk in enumerate(instance.disks):
        if disk.origin is not None:
            steps.append(Say(text=f"* copying what disk {index} shares"))
            steps.append(FlattenVolume(instance=instance.uuid, disk=index, node=node))
    return steps


KIND = OpcodeKind(
    opcode=InstanceFlatten,
    locks=locking.the_instance,
    check=check,
    plan=plan,
    summary_field="instance_name",
)
