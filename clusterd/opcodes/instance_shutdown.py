"""Stop an instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from clusterd.hooks import HookPoint, instance_environment, instance_nodes
from clusterd.model import AdminState, Instance
from clusterd.opcodes import disk_steps, locking, requirements
from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    Force,
    InstanceName,
    ShutdownTimeout,
)
from clusterd.steps.cluster import Say
from clusterd.steps.guests import (
    AskGuestToStop,
    DestroyGuest,
    UnlinkDisks,
)
from clusterd.steps.instances import (
    decide,
)
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceShutdown(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_SHUTDOWN"):
    """Stop an instance."""

    instance_name: InstanceName
    force: Force = False
    ignore_offline_nodes: Annotated[
        bool, Meta(description="only mark it down when its primary node is offline")
    ] = False
    timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    no_remember: Annotated[bool, Meta(description="do not record that it should be down")] = False
    admin_state_source: Literal["admin", "user"] | None = None


def sights(opcode: InstanceShutdown, view: View) -> Iterable[str]:
    """The primary node."""
    return [view.primary(view.configuration.instance(opcode.instance_name)).name]


def check(opcode: InstanceShutdown, view: View) -> None:
    """The instance is not offline (unless forced) and its node answers."""
    instance = view.configuration.instance(opcode.instance_name)
    if not opcode.force:
        requirements.not_offline(instance)
    node = view.primary(instance)
    if node.offline and opcode.ignore_offline_nodes:
        return
    requirements.node_online(view, node)


def plan(opcode: InstanceShutdown, view: View) -> Sequence[Step]:
    """Record the wish, ask the guest, end it, let go of its disks."""
    instance = view.configuration.instance(opcode.instance_name)
    node = view.primary(instance)
    wish: list[Step] = []
    if not opcode.no_remember:
        wish.append(
            decide(
                instance,
                admin_state=AdminState.DOWN,
                admin_state_source=opcode.admin_state_source or "admin",
                disks_active=False,
            )
        )
    if node.offline:
        return [*wish, Say(text=" - WARNING: Primary node offline, marked instance as stopped")]
    timeout_s = 0 if opcode.force else opcode.timeout
    return [*wish, *stop(view, instance, timeout_s), *let_go(view, instance)]


def stop(view: View, instance: Instance, timeout_s: float) -> list[Step]:
    """The guest is asked, then ended."""
    node = view.primary(instance).name
    asked = AskGuestToStop(instance=instance.uuid, node=node, timeout_s=timeout_s)
    return [asked, DestroyGuest(instance=instance.uuid, node=node)]


def let_go(view: View, instance: Instance) -> list[Step]:
    """Links and disks are given up on the nodes that can be reached."""
    node, secondary = view.primary(instance), view.secondary(instance)
    mirror = secondary if secondary is not None and view.reachable(secondary) else None
    return [
        UnlinkDisks(instance=instance.uuid, node=node.name),
        *disk_steps.deactivate(instance, node, mirror),
    ]


def environment(opcode: InstanceShutdown, view: View) -> dict[str, str]:
    """The instance block and TIMEOUT."""
    instance = view.configuration.instance(opcode.instance_name)
    return {**instance_environment(view, instance), "TIMEOUT": str(opcode.timeout)}


KIND = OpcodeKind(
    opcode=InstanceShutdown,
    locks=locking.the_instance,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
    hooks=HookPoint("instance-stop", "INSTANCE", environment, instance_nodes),
)
