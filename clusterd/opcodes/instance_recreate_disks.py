"""Make lost disks of an instance anew, empty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from clusterd import capacity
from clusterd.hooks import HookPoint, instance_environment, instance_nodes
from clusterd.iallocator.answers import Answer
from clusterd.iallocator.choice import Choice, Taken, allocator_name
from clusterd.iallocator.requests import Allocate
from clusterd.model import AdminState, Disk, DrbdPair, Instance, Node
from clusterd.opcodes import disk_steps, locking, placing, requirements, wiring
from clusterd.opcodes.fields import Iallocator, InstanceName
from clusterd.steps.cluster import Say
from clusterd.steps.disk_changes import CommitDisks, DraftDisks, raw_fields
from clusterd.steps.disks import DetachVolume
from clusterd.view import View
from clusterd.volumes import has_mirror, numbered, volume_on
from jobqueue.errors import Refused
from jobqueue.lock import Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step
from jobqueue.surroundings import Chosen

CHANGEABLE = frozenset({"size", "spindles"})


class InstanceRecreateDisks(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_RECREATE_DISKS"):
    """Make lost disks of an instance anew, empty."""

    instance_name: InstanceName
    disks: Annotated[
        tuple[Any, ...], Meta(description="indices, or (index, {size}); none: all disks")
    ] = ()
    nodes: Annotated[
        tuple[str, ...], Meta(description="new nodes, primary first; none: where they were")
    ] = ()
    node_uuids: Annotated[
        tuple[str, ...] | None, Meta(description="accepted for compatibility: name the nodes")
    ] = None
    iallocator: Iallocator = None


def chosen(opcode: InstanceRecreateDisks, instance: Instance) -> dict[int, Disk]:
    """Index -> the disk as it will be, but for identities; raises Refused."""
    found: dict[int, Disk] = {}
    disks = numbered(instance)
    for item in opcode.disks or range(len(disks)):
        which, spec = (item[0], item[1]) if isinstance(item, list | tuple) else (item, {})
        index = requirements.disk_at(instance, which)
        unknown = sorted(set(spec) - CHANGEABLE)
        if unknown:
            raise Refused(f"Disk {index}: '{unknown[0]}' cannot be changed here", "wrong_input")
        size_mib = spec.get("size", disks[index].size_mib)
        if not isinstance(size_mib, int) or size_mib <= 0:
            raise Refused(f"Disk {index}: invalid size {size_mib!r}", "wrong_input")
        if index in found:
            raise Refused(f"Disk {index} is named twice", "wrong_input")
        found[index] = msgspec.structs.replace(
            disks[index], size_mib=size_mib, label="", drbd=None, synced=False
        )
    return dict(sorted(found.items()))


def new_nodes(opcode: InstanceRecreateDisks, view: View) -> tuple[Node, ...]:
    """Where the disks will be, primary first; raises Refused."""
    instance = view.configuration.instance(opcode.instance_name)
    present = view.nodes_of(instance)
    if not opcode.nodes:
        return present
    nodes = tuple(view.configuration.node(name) for name in opcode.nodes)
    if len(nodes) != len(present) or len({node.uuid for node in nodes}) != len(nodes):
        raise Refused(
            f"Instance '{instance.name}' has {len(present)} nodes, {len(nodes)} different ones "
            "must replace them",
            "wrong_input",
        )
    return nodes


def wanted(opcode: InstanceRecreateDisks, view: View, taken: Taken) -> Allocate | None:
    """New nodes for all its disks, where an allocator is named instead of them."""
    if not opcode.iallocator:
        return None
    if opcode.nodes:
        raise Refused("Give either the iallocator or the new nodes, not both", "wrong_input")
    instance = view.configuration.instance(opcode.instance_name)
    disks = chosen(opcode, instance)
    if len(disks) < len(instance.disks):
        raise Refused(
            "Some disks are to be recreated on other nodes and others are not: recreate all",
            "wrong_input",
        )
    draft = msgspec.structs.replace(instance, disks=tuple(disks.values()))
    return Allocate(
        instance=placing.asked(view, draft, None),
        excluded=placing.excluded(view, draft, taken, None),
        replaces=instance.uuid,
    )


def settle(opcode: InstanceRecreateDisks, view: View, answer: Answer) -> Chosen:
    """The opcode with its nodes."""
    if not answer.nodes:
        raise placing.none_found(view, opcode, opcode.instance_name, answer.info)
    needed = len(view.nodes_of(view.configuration.instance(opcode.instance_name)))
    nodes = placing.nodes_of(view, opcode.instance_name, answer.nodes, needed)
    name = allocator_name(view, opcode.iallocator)
    return Chosen(opcode=msgspec.structs.replace(opcode, nodes=nodes, iallocator=name))


def locks(opcode: InstanceRecreateDisks, view: View) -> tuple[Lock, ...]:
    """The instance, its networks, its nodes and the new ones."""
    instance = view.configuration.instance(opcode.instance_name)
    nodes = new_nodes(opcode, view)
    return (*locking.on_instance(view, instance, *nodes), *wiring.kept(view, instance))


def sights(opcode: InstanceRecreateDisks, view: View) -> Iterable[str]:
    """All nodes that answer, old and new."""
    instance = view.configuration.instance(opcode.instance_name)
    both = (*view.nodes_of(instance), *new_nodes(opcode, view))
    return [node.name for node in both if not node.offline]


def check(opcode: InstanceRecreateDisks, view: View) -> None:
    """The instance is down, the disks are lost, and the nodes have room."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.disks_settled(view, instance)
    requirements.guest_seen(view, instance)
    if instance.admin_state is AdminState.UP or requirements.runs(view, instance):
        raise Refused(
            f"Instance '{instance.name}' is marked to be up, cannot recreate disks: shut it down",
            "wrong_state",
        )
    made = chosen(opcode, instance)
    nodes = new_nodes(opcode, view)
    if not made:
        raise Refused(f"Instance '{instance.name}' has no disks", "wrong_input")
    moved = {node.uuid for node in nodes} != {node.uuid for node in view.nodes_of(instance)}
    if moved and len(made) < len(instance.disks):
        raise Refused(
            "Some disks are to be recreated on other nodes and others are not: recreate all",
            "wrong_input",
        )
    for node in nodes:
        requirements.node_takes_instances(view, node)
        if node not in view.nodes_of(instance):
            wiring.require_connected(view, instance, node)
        requirements.room_for(view, node, capacity.disk_need_mib(made.values()))
        requirements.providers_found(view, node, made.values())
    for index in made:
        _lost(view, instance, index)


def _lost(view: View, instance: Instance, index: int) -> None:
    disk = instance.disks[index]
    for node in view.nodes_of(instance):
        observation = view.sight(node).observation
        if node.offline or observation is None:
            continue
        name = volume_on(view, instance, disk, node).name
        if name in {stored.name for stored in observation.stored}:
            hint = " or replace the lost copy with 'gnt-instance replace-disks'"
            raise Refused(
                f"Disk {index} of instance '{instance.name}' still exists on node {node.name} "
                f"({name}): remove it first{hint if has_mirror(disk.template) else ''}",
                "wrong_state",
            )


def plan(opcode: InstanceRecreateDisks, view: View) -> Sequence[Step]:
    """New identities, new storage, then the record."""
    instance = view.configuration.instance(opcode.instance_name)
    nodes, made = new_nodes(opcode, view), chosen(opcode, instance)
    primary, secondary = nodes[0], nodes[1] if len(nodes) > 1 else None
    pair = None
    if secondary is not None:
        pair = DrbdPair(nodes=(primary.uuid, secondary.uuid), minors=(-1, -1), port=0, secret="")
    drafts = tuple(msgspec.structs.replace(disk, drbd=pair) for disk in made.values())
    elsewhere = primary.uuid if primary.uuid != instance.primary_node else None
    name = instance.uuid
    steps: list[Step] = [
        *disk_steps.tidy(view, instance),
        *([Say(text=_selected(opcode))] if opcode.iallocator else []),
        Say(text=f"* recreating disks of instance {instance.name}"),
        DraftDisks(instance=name, disks=drafts, moving_to=elsewhere),
    ]
    for place, disk in enumerate(drafts):
        steps += disk_steps.make(name, place, disk, nodes, drafted=True)
    steps += [
        DetachVolume(instance=name, disk=place, node=node.name, drafted=True)
        for place in range(len(drafts))
        for node in nodes
    ]
    new = raw_fields(
        primary_node=primary.uuid,
        secondary_node=secondary.uuid if secondary is not None else None,
        disks_active=False,
    )
    answer = [node for node in view.nodes_of(instance) if view.reachable(node)]
    left = instance.primary_node if elsewhere else None
    steps.append(
        CommitDisks(instance=name, places=tuple(made), keeps=bool(answer), left=left, changes=new)
    )
    if answer:
        steps += disk_steps.forget_old(instance, [answer for _ in made])
    return steps


def _selected(opcode: InstanceRecreateDisks) -> str:
    return (
        f"Selected nodes for instance {opcode.instance_name} via iallocator {opcode.iallocator}:"
        f" {', '.join(opcode.nodes)}"
    )


def environment(opcode: InstanceRecreateDisks, view: View) -> dict[str, str]:
    """The instance block."""
    return instance_environment(view, view.configuration.instance(opcode.instance_name))


KIND = OpcodeKind(
    opcode=InstanceRecreateDisks,
    choice=Choice(wanted=wanted, settle=settle),
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
    hooks=HookPoint("instance-recreate-disks", "INSTANCE", environment, instance_nodes),
)
