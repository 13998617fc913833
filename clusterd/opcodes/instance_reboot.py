"""Restart an instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from clusterd.hooks import HookPoint, instance_environment, instance_nodes
from clusterd.model import AdminState
from clusterd.opcodes import disk_steps, locking, requirements
from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    InstanceName,
    ShutdownTimeout,
)
from clusterd.opcodes.instance_shutdown import let_go, stop
from clusterd.steps.guests import (
    RebootGuest,
    StartGuest,
)
from clusterd.steps.instances import (
    decide,
)
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceReboot(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_REBOOT"):
    """Restart an instance."""

    instance_name: InstanceName
    reboot_type: Annotated[
        Literal["soft", "hard", "full"],
        Meta(description="soft: ask the guest; hard: reset; full: stop and start anew"),
    ]
    shutdown_timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    ignore_secondaries: Annotated[
        bool, Meta(description="start although disks on the secondary node fail")
    ] = False


def sights(opcode: InstanceReboot, view: View) -> Iterable[str]:
    """The primary node."""
    return [view.primary(view.configuration.instance(opcode.instance_name)).name]


def check(opcode: InstanceReboot, view: View) -> None:
    """The instance is not offline and its node answers."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.not_offline(instance)
    node = view.primary(instance)
    requirements.node_online(view, node)
    requirements.hypervisor_answers(view, node, instance.hypervisor)


def plan(opcode: InstanceReboot, view: View) -> Sequence[Step]:
    """Soft and hard act on the running guest; full, and any on a stopped one, start it anew."""
    instance = view.configuration.instance(opcode.instance_name)
    node, secondary = view.primary(instance), view.secondary(instance)
    wish = decide(instance, admin_state=AdminState.UP, disks_active=bool(instance.disks))
    running = requirements.runs(view, instance)
    if running and opcode.reboot_type != "full":
        hard = opcode.reboot_type == "hard"
        return [wish, RebootGuest(instance=instance.uuid, node=node.name, hard=hard)]
    steps: list[Step] = [wish]
    if running:
        steps += [*stop(view, instance, opcode.shutdown_timeout), *let_go(view, instance)]
    mirror = secondary if secondary is not None and view.reachable(secondary) else None
    steps += disk_steps.activate(instance, node, mirror, force=opcode.ignore_secondaries)
    return [*steps, StartGuest(instance=instance.uuid, node=node.name)]


def environment(opcode: InstanceReboot, view: View) -> dict[str, str]:
    """The instance block and how it is restarted."""
    instance = view.configuration.instance(opcode.instance_name)
    return {
        **instance_environment(view, instance),
        "IGNORE_SECONDARIES": str(opcode.ignore_secondaries),
        "REBOOT_TYPE": opcode.reboot_type,
        "SHUTDOWN_TIMEOUT": str(opcode.shutdown_timeout),
    }


KIND = OpcodeKind(
    opcode=InstanceReboot,
    locks=locking.the_instance,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
    hooks=HookPoint("instance-reboot", "INSTANCE", environment, instance_nodes),
)
