"""Join mirrors again whose two copies were written separately: one copy is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from clusterd.model import Instance, Node
from clusterd.opcodes import disk_steps, locking, requirements
from clusterd.opcodes.fields import NAME, PLAIN, InstanceName
from clusterd.steps.cluster import Say
from clusterd.steps.disk_changes import GiveUpCopy, JoinCopy
from clusterd.steps.disks import AwaitMirror, CloseVolume
from clusterd.view import View
from clusterd.volumes import has_mirror
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step
from storage.volume import Link


class InstanceRepairDisks(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_REPAIR_DISKS"):
    """Join mirrors again whose two copies were written separately: one copy is kept."""

    instance_name: InstanceName
    keep: Annotated[
        Annotated[str, Meta(pattern=NAME, extra=PLAIN)],
        Meta(description="node whose copy is kept; what was written only on the other is lost"),
    ]


def sides(opcode: InstanceRepairDisks, view: View) -> tuple[Node, Node]:
    """(node whose copy is kept, the other); raises Refused."""
    instance = view.configuration.instance(opcode.instance_name)
    secondary = view.secondary(instance)
    if not has_mirror(instance.disk_template) or secondary is None:
        raise Refused(
            f"The disks of instance '{instance.name}' have no mirror to repair", "wrong_input"
        )
    primary, keep = view.primary(instance), view.configuration.node(opcode.keep)
    if keep.uuid == primary.uuid:
        return primary, secondary
    if keep.uuid == secondary.uuid:
        return secondary, primary
    raise Refused(
        f"Node {keep.name} has no copy: instance '{instance.name}' lives on {primary.name} and "
        f"{secondary.name}",
        "wrong_input",
    )


def sights(opcode: InstanceRepairDisks, view: View) -> Iterable[str]:
    """Both nodes."""
    return [node.name for node in sides(opcode, view)]


def parted(view: View, instance: Instance, nodes: Sequence[Node]) -> list[int]:
    """The disks that stand alone, as their nodes saw them."""
    alone = {
        seen.uuid
        for node in nodes
        if (observation := view.sight(node).observation) is not None
        for seen in observation.volumes
        if seen.link is Link.STANDALONE
    }
    return [index for index, disk in enumerate(instance.disks) if disk.uuid in alone]


def check(opcode: InstanceRepairDisks, view: View) -> None:
    """Both nodes answer, a mirror stands alone, and no guest uses the copy that is given up."""
    instance = view.configuration.instance(opcode.instance_name)
    keep, other = sides(opcode, view)
    for node in (keep, other):
        requirements.node_online(view, node)
    requirements.disks_settled(view, instance)
    guest = view.guest(instance, other)
    if guest is not None and guest.alive:
        raise Refused(
            f"Instance '{instance.name}' runs on node {other.name}, whose copy would be given up: "
            "stop it first, or keep that copy",
            "wrong_state",
        )
    if not parted(view, instance, (keep, other)):
        raise Refused(
            f"No disk of instance '{instance.name}' stands alone: nothing is to be repaired; if a "
            "mirror is only not connected, use activate-disks",
            "wrong_state",
        )


def plan(opcode: InstanceRepairDisks, view: View) -> Sequence[Step]:
    """The other copy gives up its changes, the kept one takes it back, and it is copied."""
    instance = view.configuration.instance(opcode.instance_name)
    keep, other = sides(opcode, view)
    name = instance.uuid
    steps: list[Step] = disk_steps.tidy(view, instance)
    for index in parted(view, instance, (keep, other)):
        steps += [
            Say(text=f"* disk {index}: keeping the copy on {keep.name}"),
            CloseVolume(instance=name, disk=index, node=other.name),
            GiveUpCopy(instance=name, disk=index, node=other.name),
            JoinCopy(instance=name, disk=index, node=keep.name),
            AwaitMirror(instance=name, disk=index, node=keep.name),
        ]
    steps += [
        AwaitMirror(instance=name, disk=index, node=keep.name, synced=True)
        for index in parted(view, instance, (keep, other))
    ]
    return steps


KIND = OpcodeKind(
    opcode=InstanceRepairDisks,
    locks=locking.the_instance,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
)
