"""Make the disks of an instance usable on its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd.opcodes import disk_steps, locking, requirements
from clusterd.opcodes.fields import (
    InstanceName,
)
from clusterd.steps.instances import (
    decide,
)
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceActivateDisks(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_ACTIVATE_DISKS"):
    """Make the disks of an instance usable on its nodes."""

    instance_name: InstanceName
    ignore_size: Annotated[bool, Meta(description="accepted for compatibility")] = False
    wait_for_sync: Annotated[bool, Meta(description="wait until mirrors are complete")] = False
    only_active: Annotated[
        bool, Meta(description="do nothing unless the disks should be in use already")
    ] = False


def check(opcode: InstanceActivateDisks, view: View) -> None:
    """The primary node answers."""
    instance = view.configuration.instance(opcode.instance_name)
    requirements.node_online(view, view.primary(instance))


def plan(opcode: InstanceActivateDisks, view: View) -> Sequence[Step]:
    """Attach on both nodes, open on the primary."""
    instance = view.configuration.instance(opcode.instance_name)
    tidy = disk_steps.tidy(view, instance)
    if opcode.only_active and not instance.disks_active:
        return tidy
    node, secondary = view.primary(instance), view.secondary(instance)
    mirror = secondary if secondary is not None and view.reachable(secondary) else None
    steps = disk_steps.activate(instance, node, mirror, synced=opcode.wait_for_sync)
    return [*tidy, decide(instance, disks_active=True), *steps]


def result(opcode: InstanceActivateDisks, view: View, outputs: Sequence[Any]) -> Any:
    """[[node, disk, device]] on the primary."""
    instance = view.configuration.instance(opcode.instance_name)
    node = view.primary(instance).name
    paths = [output for output in outputs if isinstance(output, str)]
    both = len(paths) > len(instance.disks)
    shown = paths[1::2] if both else paths
    return [[node, f"disk/{index}", path] for index, path in enumerate(shown)]


KIND = OpcodeKind(
    opcode=InstanceActivateDisks,
    locks=locking.the_instance,
    check=check,
    plan=plan,
    result=result,
    summary_field="instance_name",
)
