"""Let go of the disks of a stopped instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterd.opcodes import disk_steps, locking, requirements
from clusterd.opcodes.fields import (
    Force,
    InstanceName,
)
from clusterd.steps.guests import (
    UnlinkDisks,
)
from clusterd.steps.instances import (
    decide,
)
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceDeactivateDisks(
    Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_DEACTIVATE_DISKS"
):
    """Let go of the disks of a stopped instance."""

    instance_name: InstanceName
    force: Force = False


def sights(opcode: InstanceDeactivateDisks, view: View) -> Iterable[str]:
    """The primary node."""
    return [view.primary(view.configuration.instance(opcode.instance_name)).name]


def check(opcode: InstanceDeactivateDisks, view: View) -> None:
    """The primary node answers and the instance does not run."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.node_online(view, view.primary(instance))
    if not opcode.force:
        requirements.guest_seen(view, instance)
    if requirements.runs(view, instance) and not opcode.force:
        raise Refused(
            f"Instance '{instance.name}' is running, can't deactivate its disks", "wrong_state"
        )


def plan(opcode: InstanceDeactivateDisks, view: View) -> Sequence[Step]:
    """Detach on both nodes."""
    instance = view.configuration.instance(opcode.instance_name)
    node, secondary = view.primary(instance), view.secondary(instance)
    mirror = secondary if secondary is not None and view.reachable(secondary) else None
    return [
        decide(instance, disks_active=False),
        UnlinkDisks(instance=instance.uuid, node=node.name),
        *disk_steps.deactivate(instance, node, mirror),
    ]


KIND = OpcodeKind(
    opcode=InstanceDeactivateDisks,
    locks=locking.the_instance,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="instance_name",
)
