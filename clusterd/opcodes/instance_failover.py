"""Stop an instance and start it on its other node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from clusterd import ipolicy
from clusterd.hooks import HookPoint, instance_environment, instance_nodes
from clusterd.model import AdminState, Instance, Node
from clusterd.opcodes import disk_steps, moving, requirements, wiring
from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    Iallocator,
    IgnoreIpolicy,
    InstanceName,
    ShutdownTimeout,
    TargetNode,
)
from clusterd.steps.cluster import Say
from clusterd.steps.disks import (
    CheckMirror,
    DetachVolume,
)
from clusterd.steps.guests import (
    AskGuestToStop,
    DestroyGuest,
    StartGuest,
    UnlinkDisks,
)
from clusterd.steps.instances import (
    MoveInstance,
)
from clusterd.view import View
from clusterd.volumes import is_shared
from jobqueue.errors import Refused
from jobqueue.lock import Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceFailover(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_FAILOVER"):
    """Stop an instance and start it on its other node."""

    instance_name: InstanceName
    shutdown_timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    ignore_consistency: Annotated[
        bool,
        Meta(description="go on although the copy may be stale or the source does not answer"),
    ] = False
    target_node: TargetNode = None
    ignore_ipolicy: IgnoreIpolicy = False
    cleanup: Annotated[bool, Meta(description="repair an interrupted failover instead")] = False
    iallocator: Iallocator = None


def locks(opcode: InstanceFailover, view: View) -> Iterable[Lock]:
    """The instance, its nodes and where it goes, once that is chosen."""
    return moving.locks_of_move(opcode, view, requirements.other_node)


def sights(opcode: InstanceFailover, view: View) -> Iterable[str]:
    """Source and target."""
    return moving.sights_of_move(opcode, view, requirements.other_node)


def check(opcode: InstanceFailover, view: View) -> None:
    """The target can take it, and the source answers, or is known to be out of order."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.served(
        {
            "repairing an interrupted failover (cleanup); fail over once more": opcode.cleanup,
        }
    )
    if not opcode.ignore_ipolicy:
        target = requirements.other_node(view, instance, opcode.target_node)
        ipolicy.require_on(view, instance, target)
    check_failover(view, instance, opcode.target_node, ignore_consistency=opcode.ignore_consistency)


def check_failover(
    view: View, instance: Instance, target_name: str | None, *, ignore_consistency: bool
) -> None:
    """What a failover needs, also one that stands in for a migration."""
    requirements.not_offline(instance)
    target = requirements.other_node(view, instance, target_name)
    requirements.node_takes_instances(view, target)
    wiring.require_connected(view, instance, target)
    requirements.hypervisor_answers(view, target, instance.hypervisor)
    if instance.admin_state is AdminState.UP:
        reason = f"failing over instance {instance.name}"
        requirements.memory_free(view, target, instance, reason)
    source = view.primary(instance)
    if not source.offline and not view.reachable(source) and not ignore_consistency:
        raise Refused(
            f"Node {source.name} does not answer, so instance '{instance.name}' may still run "
            f"there: mark the node offline once it is surely off, or use --ignore-consistency",
            "environment_error",
        )
    if source.offline and instance.disk_template == "drbd" and not ignore_consistency:
        raise Refused(
            f"The disks on offline node {source.name} cannot be compared with those on "
            f"{target.name}; use --ignore-consistency",
            "wrong_state",
        )


def plan(opcode: InstanceFailover, view: View) -> Sequence[Step]:
    """Stop it on the source as far as that answers, change hands, start it on the target."""
    instance = view.configuration.instance(opcode.instance_name)
    target = requirements.other_node(view, instance, opcode.target_node)
    return failover(
        view,
        instance,
        target,
        timeout_s=opcode.shutdown_timeout,
        ignore_consistency=opcode.ignore_consistency,
    )


def failover(
    view: View, instance: Instance, target: Node, *, timeout_s: float, ignore_consistency: bool
) -> Sequence[Step]:
    """The steps of a failover."""
    source = view.primary(instance)
    answers = view.reachable(source)
    steps: list[Step] = [Say(text=f"Failover instance {instance.name}")]
    if answers:
        steps += _leave(instance, source, target, timeout_s, check=not ignore_consistency)
    else:
        steps.append(Say(text=f"* source node {source.name} does not answer, going on without it"))
    secondary = source.uuid if instance.secondary_node is not None else None
    steps.append(MoveInstance(instance=instance.uuid, primary=target.uuid, secondary=secondary))
    if instance.admin_state is AdminState.UP:
        steps.append(Say(text=f"* activating the disks on target node {target.name}"))
        steps += disk_steps.activate(
            instance,
            target,
            source if answers else None,
            # nobody else can shut out a node that does not answer
            force=ignore_consistency or (not answers and is_shared(instance.disk_template)),
        )
        steps.append(Say(text=f"* starting the instance on the target node {target.name}"))
        steps.append(StartGuest(instance=instance.uuid, node=target.name))
    return steps


def _leave(
    instance: Instance, source: Node, target: Node, timeout_s: float, *, check: bool
) -> list[Step]:
    up = instance.admin_state is AdminState.UP
    name = instance.uuid
    steps: list[Step] = []
    if check and instance.disk_template == "drbd":
        steps.append(Say(text="* checking disk consistency between source and target"))
        steps += [
            CheckMirror(instance=name, disk=index, node=target.name)
            for index, _disk in enumerate(instance.disks)
        ]
    steps += [
        Say(text="* shutting down instance on source node"),
        AskGuestToStop(instance=name, node=source.name, timeout_s=timeout_s, restart=up),
        DestroyGuest(instance=name, node=source.name, restart=up),
        UnlinkDisks(instance=name, node=source.name),
        Say(text="* deactivating the instance's disks on source node"),
    ]
    steps += [
        DetachVolume(instance=name, disk=index, node=source.name, was_open=up)
        for index, _disk in enumerate(instance.disks)
    ]
    return steps


def environment(opcode: InstanceFailover, view: View) -> dict[str, str]:
    """The instance block, and who was and will be primary and secondary."""
    instance = view.configuration.instance(opcode.instance_name)
    source, target = requirements.moved(view, instance, opcode.target_node)
    mirrored = instance.secondary_node is not None
    return {
        **instance_environment(view, instance),
        "IGNORE_CONSISTENCY": str(opcode.ignore_consistency),
        "SHUTDOWN_TIMEOUT": str(opcode.shutdown_timeout),
        "OLD_PRIMARY": source.name,
        "NEW_PRIMARY": target.name,
        "OLD_SECONDARY": target.name if mirrored else "",
        "NEW_SECONDARY": source.name if mirrored else "",
        "FAILOVER_CLEANUP": str(opcode.cleanup),
    }


def hook_nodes(opcode: InstanceFailover, view: View) -> list[str]:
    """Master and the nodes of the instance that take part."""
    return instance_nodes(opcode, view)


KIND = OpcodeKind(
    opcode=InstanceFailover,
    choice=moving.another_node(),
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
    hooks=HookPoint(
        "instance-failover", "INSTANCE", environment, hook_nodes, lasting=requirements.MOVED
    ),
)
