"""Move a running instance to its other node without stopping it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from clusterd import ipolicy
from clusterd.hooks import HookPoint, instance_environment, instance_nodes
from clusterd.model import Instance, Node
from clusterd.opcodes import disk_steps, moving, requirements, travelling, wiring
from clusterd.opcodes.fields import (
    Iallocator,
    IgnoreIpolicy,
    InstanceName,
    TargetNode,
)
from clusterd.opcodes.instance_failover import check_failover, failover
from clusterd.steps.cluster import Say
from clusterd.steps.guests import UnlinkDisks
from clusterd.steps.instances import (
    MoveInstance,
    decide,
    record,
)
from clusterd.steps.migration import AwaitMigration, BeginMigration, DropCopy, SettleGuest
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceMigrate(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_MIGRATE"):
    """Move a running instance to another node without stopping it; local disks travel with it."""

    instance_name: InstanceName
    mode: Annotated[Literal["live", "non-live"] | None, Meta(description="how to migrate")] = None
    live: Annotated[bool | None, Meta(description="old form of mode")] = None
    target_node: TargetNode = None
    allow_runtime_changes: Annotated[
        bool, Meta(description="accepted for compatibility: a guest keeps its memory")
    ] = True
    ignore_ipolicy: IgnoreIpolicy = False
    cleanup: Annotated[bool, Meta(description="repair an interrupted migration instead")] = False
    iallocator: Iallocator = None
    allow_failover: Annotated[bool, Meta(description="fail over when the instance is down")] = False
    ignore_hvversions: Annotated[bool, Meta(description="accepted for compatibility")] = False


def locks(opcode: InstanceMigrate, view: View) -> Iterable[Lock]:
    """The instance, its nodes and where it goes, once that is chosen."""
    return moving.locks_of_move(opcode, view, travelling.target_of)


def sights(opcode: InstanceMigrate, view: View) -> Iterable[str]:
    """Source and target."""
    return moving.sights_of_move(opcode, view, travelling.target_of)


def check(opcode: InstanceMigrate, view: View) -> None:
    """It runs, both nodes answer, and the target has room."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.not_offline(instance)
    target = travelling.target_of(view, instance, opcode.target_node)
    requirements.node_online(view, view.primary(instance))
    if opcode.cleanup:
        requirements.node_online(view, target)
        return
    requirements.guest_seen(view, instance)
    if not opcode.ignore_ipolicy:
        ipolicy.require_on(view, instance, target)
    if not requirements.runs(view, instance):
        if opcode.allow_failover:
            check_failover(view, instance, opcode.target_node, ignore_consistency=False)
            return
        raise Refused(
            f"Instance '{instance.name}' is not running: use failover, or --allow-failover",
            "wrong_state",
        )
    requirements.node_takes_instances(view, target)
    wiring.require_connected(view, instance, target)
    requirements.hypervisor_answers(view, target, instance.hypervisor)
    requirements.memory_free(view, target, instance, f"migrating instance {instance.name}")
    travelling.check(view, instance, target)


def plan(opcode: InstanceMigrate, view: View) -> Sequence[Step]:
    """Open the disks on both nodes, move the guest, change hands, close the source."""
    instance = view.configuration.instance(opcode.instance_name)
    source = view.primary(instance)
    target = travelling.target_of(view, instance, opcode.target_node)
    if opcode.cleanup:
        return clean_up(view, instance, source, target)
    if not requirements.runs(view, instance):
        return failover(view, instance, target, timeout_s=120, ignore_consistency=False)
    live = opcode.mode != "non-live" and opcode.live is not False
    if travelling.travels(instance):
        return travelling.plan(view, instance, target, live=live)
    name = instance.uuid
    return [
        Say(text=f"Migrating instance {instance.name}"),
        record(instance, moving_to=target.uuid),
        Say(text="* checking disk consistency and opening the disks on both nodes"),
        *disk_steps.open_both(instance, source, target),
        Say(text=f"* migrating instance to {target.name}"),
        BeginMigration(instance=name, node=source.name, target=target.name, live=live),
        AwaitMigration(instance=name, node=source.name, target=target.name),
        *hand_over(instance, source, target),
        Say(text="* done"),
    ]


def hand_over(instance: Instance, source: Node, target: Node) -> list[Step]:
    """What follows once the guest runs on the target."""
    name = instance.uuid
    secondary = source.uuid if instance.secondary_node is not None else None
    return [
        MoveInstance(instance=name, primary=target.uuid, secondary=secondary),
        SettleGuest(instance=name, node=target.name, arrived=True),
        SettleGuest(instance=name, node=source.name, arrived=False),
        *disk_steps.close_source(instance, source, target),
        UnlinkDisks(instance=name, node=source.name),
    ]


def clean_up(view: View, instance: Instance, source: Node, target: Node) -> list[Step]:
    """Repair an interrupted migration: the guest's place decides who is primary. A copy that never
    ran decides nothing: only its source could tell that it may."""
    there = view.guest(instance, target)
    here = view.guest(instance, source)
    moved = there is not None and there.alive and not there.unreleased
    if moved and here is not None and here.alive:
        text = (
            f"Instance '{instance.name}' runs on both {source.name} and {target.name}: stop one "
            f"by hand"
        )
        raise Refused(text, "wrong_state")
    if moved and not travelling.travels(instance):
        return hand_over(instance, source, target)
    if moved and instance.drafted:
        return travelling.hand_over(instance, source, target)
    drop = DropCopy(instance=instance.uuid, node=source.name, target=target.name)
    if travelling.travels(instance):
        return [drop, *travelling.stayed(view, instance, target)]
    return [
        drop,
        SettleGuest(instance=instance.uuid, node=target.name, arrived=False),
        *disk_steps.close_source(instance, target, source),
        decide(instance, moving_to=None),
    ]


def environment(opcode: InstanceMigrate, view: View) -> dict[str, str]:
    """The instance block, and who was and will be primary and secondary."""
    instance = view.configuration.instance(opcode.instance_name)
    source, target = requirements.moved(view, instance, opcode.target_node)
    mirrored = instance.secondary_node is not None
    return {
        **instance_environment(view, instance),
        "MIGRATE_LIVE": str(opcode.mode != "non-live" and opcode.live is not False),
        "MIGRATE_CLEANUP": str(opcode.cleanup),
        "OLD_PRIMARY": source.name,
        "NEW_PRIMARY": target.name,
        "OLD_SECONDARY": target.name if mirrored else "",
        "NEW_SECONDARY": source.name if mirrored else "",
        "ALLOW_RUNTIME_CHANGES": str(opcode.allow_runtime_changes),
    }


KIND = OpcodeKind(
    opcode=InstanceMigrate,
    choice=moving.another_node(),
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
    hooks=HookPoint(
        "instance-migrate", "INSTANCE", environment, instance_nodes, lasting=requirements.MOVED
    ),
)
