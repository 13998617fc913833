"""Move instances away from a node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from clusterd.iallocator.choice import Choice, Taken, node_excluded
from clusterd.iallocator.requests import NodeEvacuate as Asked
from clusterd.model import Instance
from clusterd.opcodes import locking, moving, wiring
from clusterd.opcodes.fields import EarlyRelease, Iallocator, NodeName
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step

Mode = Literal["primary-only", "secondary-only", "all"]


class NodeEvacuate(Opcode, frozen=True, kw_only=True, tag="OP_NODE_EVACUATE"):
    """Move instances away from a node."""

    node_name: NodeName
    mode: Annotated[Mode, Meta(description="which instances: by what the node is for them")]
    remote_node: Annotated[
        str | None, Meta(description="new secondary node of all (mode secondary-only)")
    ] = None
    iallocator: Iallocator = None
    early_release: EarlyRelease = False
    ignore_soft_errors: Annotated[
        bool | None, Meta(description="overstep spare memory, ratios and exclusion tags")
    ] = None


def moved(opcode: NodeEvacuate, view: View) -> list[Instance]:
    """The instances that leave, by name."""
    node = view.configuration.node(opcode.node_name)
    return [
        one
        for one in view.configuration.instances_on(node.uuid)
        if one.made_by is None
        and (opcode.mode == "all" or (one.primary_node == node.uuid) == _primary(opcode))
    ]


def _primary(opcode: NodeEvacuate) -> bool:
    return opcode.mode == "primary-only"


def locks(opcode: NodeEvacuate, view: View) -> Iterable[Lock]:
    """The instances must stay where they are until their jobs are in the queue."""
    node = view.configuration.node(opcode.node_name)
    return [
        BIG_LOCK_SHARED,
        *(locking.instance_lock(one.name, shared=True) for one in moved(opcode, view)),
        locking.node_lock(node, shared=True),
    ]


def check(opcode: NodeEvacuate, view: View) -> None:
    """Nodes exist, and a named one can only be a new secondary."""
    node = view.configuration.node(opcode.node_name)
    if opcode.remote_node is None:
        return
    if view.configuration.node(opcode.remote_node).uuid == node.uuid:
        raise Refused(
            f"Can not use the evacuated node {node.name} as a new secondary", "wrong_input"
        )
    if opcode.mode != "secondary-only":
        raise Refused(
            "A new node can only be named for secondary instances (mode secondary-only)",
            "wrong_input",
        )
    remote = view.configuration.node(opcode.remote_node)
    for instance in moved(opcode, view):
        wiring.require_connected(view, instance, remote)


def wanted(opcode: NodeEvacuate, view: View, taken: Taken) -> Asked | None:
    """The moves, unless a node was named or nothing is there."""
    if opcode.remote_node is not None:
        if opcode.iallocator:
            raise Refused("Do not specify both, iallocator and remote node", "wrong_input")
        return None
    names = tuple(one.name for one in moved(opcode, view))
    if not names:
        return None
    return Asked(
        instances=names,
        mode=opcode.mode,
        ignore_soft_errors=bool(opcode.ignore_soft_errors),
        excluded=node_excluded(view, taken),
    )


def plan(opcode: NodeEvacuate, view: View) -> Sequence[Step]:
    """New secondaries on the node that was named; nothing when there is nothing to move."""
    if opcode.remote_node is None:
        return moving.nothing_to_move(opcode, view)
    remote = view.configuration.node(opcode.remote_node).name
    bodies = [
        {
            "OP_ID": "OP_INSTANCE_REPLACE_DISKS",
            "instance_name": one.name,
            "early_release": opcode.early_release,
            "mode": "replace_new_secondary",
            "disks": [],
            "remote_node": remote,
            "priority": opcode.priority,
            "reason": opcode.reason,
        }
        for one in moved(opcode, view)
    ]
    return moving.in_portions([(msgspec.Raw(msgspec.json.encode(body)),) for body in bodies])


KIND = OpcodeKind(
    opcode=NodeEvacuate,
    choice=Choice(wanted=wanted, settle=moving.moves_as_jobs),
    locks=locks,
    check=check,
    plan=plan,
    result=moving.jobs_result,
    summary_field="node_name",
)
