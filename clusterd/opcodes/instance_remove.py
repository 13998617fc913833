"""Remove an instance with its disks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from clusterd.hooks import HookPoint, instance_environment, instance_nodes, master_node
from clusterd.model import AdminState
from clusterd.opcodes import disk_steps, locking, requirements
from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    InstanceName,
    ShutdownTimeout,
)
from clusterd.opcodes.instance_shutdown import stop
from clusterd.steps.cluster import Say
from clusterd.steps.disks import (
    ForgetVolume,
)
from clusterd.steps.guests import (
    UnlinkDisks,
)
from clusterd.steps.instances import (
    ForgetInstance,
    decide,
)
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceRemove(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_REMOVE"):
    """Remove an instance with its disks."""

    instance_name: InstanceName
    shutdown_timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    ignore_failures: Annotated[
        bool, Meta(description="forget it although parts could not be removed")
    ] = False


def check(opcode: InstanceRemove, view: View) -> None:
    """Nobody reads from its snapshots; the primary node answers, or is marked offline and failures
    are ignored."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.no_children(view, instance)
    if not opcode.ignore_failures:
        requirements.node_online(view, view.primary(instance))


def plan(opcode: InstanceRemove, view: View) -> Sequence[Step]:
    """Stop the guest, remove the disks from each node that answers, forget the instance."""
    instance = view.configuration.instance(opcode.instance_name)
    primary = view.primary(instance)
    steps: list[Step] = []
    if view.reachable(primary):
        steps += stop(view, instance, opcode.shutdown_timeout)
        steps.append(UnlinkDisks(instance=instance.uuid, node=primary.name))
    steps.append(decide(instance, admin_state=AdminState.DOWN, disks_active=False))
    steps += disk_steps.tidy(view, instance)
    for node in (*view.nodes_of(instance)[1:], primary):
        if not view.reachable(node):
            text = f" - WARNING: node {node.name} does not answer, disks may be left on it"
            steps.append(Say(text=text))
            continue
        steps += [
            ForgetVolume(
                instance=instance.uuid,
                disk=index,
                node=node.name,
                optional=opcode.ignore_failures,
            )
            for index, _disk in enumerate(instance.disks)
        ]
    return [*steps, ForgetInstance(instance=instance.uuid)]


def environment(opcode: InstanceRemove, view: View) -> dict[str, str]:
    """The instance block and SHUTDOWN_TIMEOUT; nothing once it is gone."""
    instance = view.configuration.find_instance(opcode.instance_name)
    if instance is None:
        return {"OP_TARGET": opcode.instance_name}
    timeout = {"SHUTDOWN_TIMEOUT": str(opcode.shutdown_timeout)}
    return {**instance_environment(view, instance), **timeout}


KIND = OpcodeKind(
    opcode=InstanceRemove,
    locks=locking.the_instance,
    check=check,
    plan=plan,
    summary_field="instance_name",
    hooks=HookPoint("instance-remove", "INSTANCE", environment, master_node, post=instance_nodes),
)
