"""Repair storage of a node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from clusterd.model import AdminState
from clusterd.opcodes import locking, requirements
from clusterd.opcodes.fields import NodeName
from clusterd.steps.node_storage import RepairVolumeGroup
from clusterd.view import View
from clusterd.volumes import has_mirror
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class RepairNodeStorage(Opcode, frozen=True, kw_only=True, tag="OP_REPAIR_NODE_STORAGE"):
    """Repair storage of a node."""

    node_name: NodeName
    storage_type: Annotated[str, Meta(description="only lvm-vg can be repaired")]
    name: Annotated[str | None, Meta(description="the volume group")] = None
    ignore_consistency: Annotated[
        bool, Meta(description="although instances have no whole copy elsewhere")
    ] = False


def locks(opcode: RepairNodeStorage, view: View) -> Iterable[Lock]:
    """The node, and its instances, which must stay what they are."""
    node = view.configuration.node(opcode.node_name)
    names = [instance.name for instance in view.configuration.instances_on(node.uuid)]
    return [
        BIG_LOCK_SHARED,
        *(locking.instance_lock(name) for name in names),
        locking.node_lock(node, shared=True),
    ]


def check(opcode: RepairNodeStorage, view: View) -> None:
    """It can be repaired, and what is given up has a whole copy elsewhere."""
    if opcode.storage_type != "lvm-vg":
        raise Refused(
            f"Storage units of type '{opcode.storage_type}' can not be repaired", "wrong_input"
        )
    if not opcode.name or opcode.name.startswith("-"):
        raise Refused("Name the volume group", "wrong_input")
    node = view.configuration.node(opcode.node_name)
    requirements.node_online(view, node)
    if opcode.ignore_consistency:
        return
    for instance in view.configuration.instances_on(node.uuid):
        mirrored = has_mirror(instance.disk_template)
        if instance.admin_state is AdminState.UP and not (
            mirrored and instance.primary_node != node.uuid
        ):
            raise Refused(
                f"Instance '{instance.name}' uses storage of node {node.name}: move it away "
                "first, or ignore the consistency",
                "wrong_state",
            )


def plan(opcode: RepairNodeStorage, view: View) -> Sequence[Step]:
    """One command."""
    node = view.configuration.node(opcode.node_name)
    return [RepairVolumeGroup(node=node.name, name=str(opcode.name))]


KIND = OpcodeKind(
    opcode=RepairNodeStorage, locks=locks, check=check, plan=plan, summary_field="node_name"
)
