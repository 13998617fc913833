"""Start an instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from clusterd.hooks import HookPoint, instance_environment, instance_nodes
from clusterd.model import AdminState, Instance
from clusterd.opcodes import disk_steps, locking, requirements
from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    Beparams,
    Force,
    Hvparams,
    InstanceName,
    ShutdownTimeout,
)
from clusterd.steps.cluster import Say
from clusterd.steps.guests import (
    StartGuest,
)
from clusterd.steps.instances import (
    decide,
)
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceStartup(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_STARTUP"):
    """Start an instance."""

    instance_name: InstanceName
    force: Force = False
    ignore_offline_nodes: Annotated[
        bool, Meta(description="only mark it up when its primary node is offline")
    ] = False
    hvparams: Hvparams = {}
    beparams: Beparams = {}
    no_remember: Annotated[bool, Meta(description="do not record that it should be up")] = False
    startup_paused: Annotated[bool, Meta(description="leave the guest paused")] = False
    shutdown_timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    only_up: Annotated[bool, Meta(description="do nothing unless it should run already")] = False


def sights(opcode: InstanceStartup, view: View) -> Iterable[str]:
    """The primary node."""
    return [view.primary(view.configuration.instance(opcode.instance_name)).name]


def check(opcode: InstanceStartup, view: View) -> None:
    """The instance is not offline, its node answers and has memory for it."""
    instance = view.configuration.instance(opcode.instance_name)
    if _unwanted(opcode, instance):
        return
    requirements.not_offline(instance)
    node = view.primary(instance)
    if node.offline and opcode.ignore_offline_nodes:
        return
    requirements.node_online(view, node)
    requirements.hypervisor_answers(view, node, instance.hypervisor)
    if not requirements.runs(view, instance):
        requirements.memory_free(view, node, instance, f"starting instance {instance.name}")


def plan(opcode: InstanceStartup, view: View) -> Sequence[Step]:
    """Record the wish, make the disks usable, start the guest; nothing for one that runs."""
    instance = view.configuration.instance(opcode.instance_name)
    if _unwanted(opcode, instance):
        return [Say(text=f" - It is to be {instance.admin_state} by now and is left as it is")]
    node = view.primary(instance)
    secondary = view.secondary(instance)
    wish: list[Step] = []
    if not opcode.no_remember:
        wish.append(decide(instance, admin_state=AdminState.UP, disks_active=bool(instance.disks)))
    if node.offline:
        return [*wish, Say(text=" - WARNING: Primary node offline, marked instance as started")]
    if requirements.runs(view, instance):
        return wish
    mirror = secondary if secondary is not None and view.reachable(secondary) else None
    force = opcode.force or (secondary is not None and secondary.offline)
    start = StartGuest(
        instance=instance.uuid,
        node=node.name,
        paused=opcode.startup_paused,
        hvparams={key: value for key, value in opcode.hvparams.items() if value is not None},
        beparams={key: value for key, value in opcode.beparams.items() if value is not None},
    )
    return [*wish, *disk_steps.activate(instance, node, mirror, force=force), start]


def _unwanted(opcode: InstanceStartup, instance: Instance) -> bool:
    return opcode.only_up and instance.admin_state is not AdminState.UP


def environment(opcode: InstanceStartup, view: View) -> dict[str, str]:
    """The instance block and FORCE."""
    instance = view.configuration.instance(opcode.instance_name)
    return {**instance_environment(view, instance), "FORCE": str(opcode.force)}


KIND = OpcodeKind(
    opcode=InstanceStartup,
    locks=locking.the_instance,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
    hooks=HookPoint("instance-start", "INSTANCE", environment, instance_nodes),
)
