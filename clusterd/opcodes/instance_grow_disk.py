"""Make a disk of an instance larger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from clusterd import ipolicy
from clusterd.hooks import HookPoint, instance_environment, instance_nodes
from clusterd.model import Instance, Node
from clusterd.opcodes import disk_steps, locking, requirements
from clusterd.opcodes.fields import IgnoreIpolicy, InstanceName
from clusterd.steps.cluster import Say
from clusterd.steps.disk_changes import DecideDisk, GrowVolume, ResizeVolume, disk_fields
from clusterd.steps.disks import AwaitMirror
from clusterd.steps.guest_devices import ReshapeGuest
from clusterd.view import View
from clusterd.volumes import can_grow, has_mirror, params_of, room_pool
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceGrowDisk(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_GROW_DISK"):
    """Make a disk of an instance larger."""

    instance_name: InstanceName
    disk: Annotated[int, Meta(ge=0, description="index of the disk")]
    amount: Annotated[int, Meta(ge=1, description="MiB to add, or the whole new size")]
    absolute: Annotated[bool, Meta(description="the amount is the new size")] = False
    wait_for_sync: Annotated[
        bool, Meta(description="wait until the addition is on both nodes of a mirror")
    ] = True
    ignore_ipolicy: IgnoreIpolicy = False


def sights(opcode: InstanceGrowDisk, view: View) -> Iterable[str]:
    """The nodes that hold it."""
    instance = view.configuration.instance(opcode.instance_name)
    return [node.name for node in view.nodes_of(instance)]


def new_size_mib(opcode: InstanceGrowDisk, instance: Instance) -> int:
    """The size that is asked for; raises Refused when it is not larger."""
    index = requirements.disk_at(instance, opcode.disk)
    size_mib = instance.disks[index].size_mib
    wanted = opcode.amount if opcode.absolute else size_mib + opcode.amount
    if wanted <= size_mib:
        raise Refused(
            f"Requested size ({wanted} MiB) is not larger than the current size ({size_mib} MiB) "
            f"of disk {index}: disks cannot be made smaller",
            "wrong_state",
        )
    return wanted


def check(opcode: InstanceGrowDisk, view: View) -> None:
    """It can grow, each node that holds it answers and has room."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.disks_settled(view, instance)
    wanted = new_size_mib(opcode, instance)
    index = requirements.disk_at(instance, opcode.disk)
    disk = instance.disks[index]
    if not can_grow(disk.template):
        raise Refused(f"Disk template {disk.template} does not support growing", "wrong_input")
    pool = room_pool(disk.template, disk.pool, disk.params)
    more = {(disk.template, pool): wanted - disk.size_mib}
    for node in view.nodes_of(instance):
        requirements.node_online(view, node)
        requirements.room_for(view, node, more)
    requirements.guest_seen(view, instance)
    if not opcode.ignore_ipolicy:
        disks = list(instance.disks)
        disks[opcode.disk] = msgspec.structs.replace(disk, size_mib=wanted)
        ipolicy.require(view, msgspec.structs.replace(instance, disks=tuple(disks)))


def plan(opcode: InstanceGrowDisk, view: View) -> Sequence[Step]:
    """Room on each node, the mirror's device, the record, the guest."""
    instance = view.configuration.instance(opcode.instance_name)
    name, index, disk = instance.uuid, opcode.disk, instance.disks[opcode.disk]
    wanted = new_size_mib(opcode, instance)
    primary, secondary = view.primary(instance), view.secondary(instance)
    text = f"Growing disk {index} of instance '{instance.name}' from {disk.size_mib} to {wanted}"
    steps: list[Step] = [*disk_steps.tidy(view, instance), Say(text=f"{text} MiB")]
    mirrored = has_mirror(disk.template)
    if not instance.disks_active:
        steps += disk_steps.activate(instance, primary, secondary)
    if mirrored:
        steps.append(AwaitMirror(instance=name, disk=index, node=primary.name))
    group = primary.group
    format = params_of(view, disk.template, disk.params, group).get("format", "raw")
    if format != "raw" and requirements.runs(view, instance):
        # QEMU alone may change such a file while a guest uses it; what it has done is found below
        grown = {disk.uuid: wanted}
        steps.append(ReshapeGuest(instance=name, node=primary.name, sizes=grown))
    steps += [
        GrowVolume(instance=name, disk=index, node=node.name, size_mib=wanted)
        for node in _last_primary(primary, secondary, mirrored=mirrored)
    ]
    steps.append(ResizeVolume(instance=name, disk=index, node=primary.name, size_mib=wanted))
    steps.append(DecideDisk(instance=name, disk=index, **disk_fields(disk, size_mib=wanted)))
    if requirements.runs(view, instance):
        steps.append(ReshapeGuest(instance=name, node=primary.name, optional=True))
    if mirrored and opcode.wait_for_sync:
        steps.append(AwaitMirror(instance=name, disk=index, node=primary.name, synced=True))
    if not instance.disks_active:
        steps += disk_steps.deactivate(instance, primary, secondary)
    return steps


def _last_primary(primary: Node, secondary: Node | None, *, mirrored: bool) -> list[Node]:
    return [secondary, primary] if mirrored and secondary is not None else [primary]


def environment(opcode: InstanceGrowDisk, view: View) -> dict[str, str]:
    """The instance block and what grows."""
    instance = view.configuration.instance(opcode.instance_name)
    return {
        **instance_environment(view, instance),
        "DISK": str(opcode.disk),
        "AMOUNT": str(opcode.amount),
        "ABSOLUTE": str(opcode.absolute),
    }


KIND = OpcodeKind(
    opcode=InstanceGrowDisk,
    locks=locking.the_instance,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
    hooks=HookPoint("disk-grow", "INSTANCE", environment, instance_nodes),
)
