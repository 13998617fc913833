"""Move an instance with its disks to another node, while it is down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from clusterd import capacity, ipolicy
from clusterd.hooks import HookPoint, instance_environment, master_node
from clusterd.model import AdminState, Disk, DrbdPair, Instance, Node
from clusterd.opcodes import copies, disk_plans, disk_steps, locking, requirements, wiring
from clusterd.opcodes.fields import (
    NAME,
    PLAIN,
    SHUTDOWN_TIMEOUT_S,
    Compress,
    IgnoreIpolicy,
    InstanceName,
    ShutdownTimeout,
)
from clusterd.steps.cluster import Say
from clusterd.steps.disk_changes import AdoptVolume, DraftDisks
from clusterd.steps.disk_moves import CommitMoved, TakeCopy
from clusterd.steps.disks import (
    AttachVolume,
    AwaitMirror,
    DetachVolume,
    EnsureVolume,
    OpenVolume,
)
from clusterd.steps.guests import AskGuestToStop, DestroyGuest, StartGuest, UnlinkDisks
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step

MOVABLE = ("plain", "file")


class InstanceMove(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_MOVE"):
    """Move an instance with its disks to another node, while it is down."""

    instance_name: InstanceName
    target_node: Annotated[
        Annotated[str, Meta(pattern=NAME, extra=PLAIN)], Meta(description="node to move to")
    ]
    shutdown_timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    ignore_ipolicy: IgnoreIpolicy = False
    compress: Compress = "none"
    ignore_consistency: Annotated[
        bool, Meta(description="accepted for compatibility: the source must answer")
    ] = False


def locks(opcode: InstanceMove, view: View) -> tuple[Lock, ...]:
    """The instance, its networks, its node and the target."""
    instance = view.configuration.instance(opcode.instance_name)
    target = view.configuration.node(opcode.target_node)
    return (*locking.on_instance(view, instance, target), *wiring.kept(view, instance))


def sights(opcode: InstanceMove, view: View) -> Iterable[str]:
    """Source and target."""
    instance = view.configuration.instance(opcode.instance_name)
    return [view.primary(instance).name, view.configuration.node(opcode.target_node).name]


def check(opcode: InstanceMove, view: View) -> None:
    """Its disks can be moved, both nodes answer, and the target has room."""
    instance = view.configuration.instance(opcode.instance_name)
    source, target = view.primary(instance), view.configuration.node(opcode.target_node)
    if instance.disk_template not in MOVABLE:
        raise Refused(
            f"Instances with disk template {instance.disk_template} are not moved by this version:"
            f" only {', '.join(MOVABLE)}; mirrored and shared ones fail over or migrate",
            "wrong_state",
        )
    if source.uuid == target.uuid:
        raise Refused(
            f"Instance '{instance.name}' is already on the node {target.name}", "wrong_state"
        )
    requirements.not_offline(instance)
    requirements.no_snapshots(instance, "moved")
    requirements.disks_settled(view, instance)
    requirements.node_online(view, source)
    requirements.node_takes_instances(view, target)
    wiring.require_connected(view, instance, target)
    requirements.hypervisor_answers(view, target, instance.hypervisor)
    if instance.admin_state is AdminState.UP:
        requirements.memory_free(view, target, instance, f"moving instance {instance.name}")
    if instance.disk_template == "file":
        copies.check(view, instance, copies.fresh(instance), [target])
    else:
        need = capacity.disk_need_mib(drafts(view, instance, target))
        requirements.room_for(view, target, need)
    if not opcode.ignore_ipolicy:
        ipolicy.require(view, msgspec.structs.replace(instance, primary_node=target.uuid))


def drafts(view: View, instance: Instance, target: Node) -> tuple[Disk, ...]:
    """The mirrors over which the data travel, but for identities; the target's copies have labels
    of their own."""
    source = view.primary(instance)
    return tuple(
        msgspec.structs.replace(
            disk,
            drbd=DrbdPair(
                nodes=(source.uuid, target.uuid),
                minors=(-1, -1),
                port=0,
                secret="",
                labels=(disk.label, ""),
            ),
        )
        for disk in disk_plans.mirrored(view, instance, target)
    )


def plan(opcode: InstanceMove, view: View) -> Sequence[Step]:
    """The disks become mirrors for as long as they are copied; the target's copies stay."""
    instance = view.configuration.instance(opcode.instance_name)
    source, target = view.primary(instance), view.configuration.node(opcode.target_node)
    name, places = instance.uuid, range(len(instance.disks))
    up = instance.admin_state is AdminState.UP
    timeout_s = opcode.shutdown_timeout
    steps: list[Step] = [
        *disk_steps.tidy(view, instance),
        Say(text=f"Shutting down instance {instance.name} on source node {source.name}"),
        AskGuestToStop(instance=name, node=source.name, timeout_s=timeout_s, restart=up),
        DestroyGuest(instance=name, node=source.name, restart=up),
        UnlinkDisks(instance=name, node=source.name),
    ]
    steps += [DetachVolume(instance=name, disk=at, node=source.name, was_open=up) for at in places]
    if instance.disk_template == "file":
        steps += copies.carried(view, instance, target, compress=opcode.compress)
    else:
        steps += _mirrored(view, instance, target, up=up)
    if up:
        steps.append(Say(text=f"Starting instance {instance.name} on node {target.name}"))
        steps += disk_steps.activate(instance, target, None)
        steps.append(StartGuest(instance=name, node=target.name))
    return steps


def _mirrored(view: View, instance: Instance, target: Node, *, up: bool) -> list[Step]:
    """Logical volumes become mirrors for as long as they are copied."""
    source, name, places = view.primary(instance), instance.uuid, range(len(instance.disks))
    steps: list[Step] = [DraftDisks(instance=name, disks=drafts(view, instance, target))]
    for at in places:
        steps += _copied(name, at, source, target)
    steps.append(CommitMoved(instance=name, primary=target.uuid, left=source.uuid))
    if not up:  # DRBD has left them usable
        steps += [DetachVolume(instance=name, disk=at, node=target.name) for at in places]
    return [*steps, *disk_steps.forget_old(instance, [(source, target) for _ in places])]


def _copied(name: str, at: int, source: Node, target: Node) -> list[Step]:
    """One disk is on the target, whole, and nobody uses it."""
    steps: list[Step] = [
        Say(text=f"* copying disk {at} to {target.name}"),
        EnsureVolume(instance=name, disk=at, node=target.name, drafted=True),
        AdoptVolume(instance=name, disk=at, draft=at, node=source.name),
    ]
    steps += [
        AttachVolume(instance=name, disk=at, node=node.name, drafted=True)
        for node in (target, source)
    ]
    steps += [
        AwaitMirror(instance=name, disk=at, node=source.name, drafted=True),
        OpenVolume(instance=name, disk=at, node=source.name, force=True, drafted=True),
        AwaitMirror(instance=name, disk=at, node=source.name, drafted=True, synced=True),
    ]
    steps += [
        DetachVolume(instance=name, disk=at, node=node.name, drafted=True)
        for node in (source, target)
    ]
    return [*steps, TakeCopy(instance=name, disk=at, node=target.name, drafted=True)]


def environment(opcode: InstanceMove, view: View) -> dict[str, str]:
    """The instance block, the target and SHUTDOWN_TIMEOUT."""
    instance = view.configuration.instance(opcode.instance_name)
    return {
        **instance_environment(view, instance),
        "TARGET_NODE": opcode.target_node,
        "SHUTDOWN_TIMEOUT": str(opcode.shutdown_timeout),
    }


def hook_nodes(opcode: InstanceMove, view: View) -> list[str]:
    """Master, primary, target."""
    instance = view.configuration.find_instance(opcode.instance_name)
    own = [view.primary(instance).name] if instance is not None else []
    return [*master_node(opcode, view), *own, view.configuration.node(opcode.target_node).name]


KIND = OpcodeKind(
    opcode=InstanceMove,
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
    hooks=HookPoint("instance-move", "INSTANCE", environment, hook_nodes),
)
