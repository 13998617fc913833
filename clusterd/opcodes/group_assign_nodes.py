"""Assign nodes to a node group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from clusterd.model import Instance, Node
from clusterd.opcodes import locking
from clusterd.opcodes.fields import Force, GroupName, NodeName
from clusterd.steps.cluster import Say
from clusterd.steps.nodes import record_node
from clusterd.view import View
from clusterd.volumes import has_mirror
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class GroupAssignNodes(Opcode, frozen=True, kw_only=True, tag="OP_GROUP_ASSIGN_NODES"):
    """Assign nodes to a node group."""

    group_name: GroupName
    nodes: Annotated[tuple[NodeName, ...], Meta(description="nodes to move into it")]
    force: Force = False


def moved(opcode: GroupAssignNodes, view: View) -> list[Node]:
    """The nodes that are in another group now, by name."""
    group = view.configuration.group(opcode.group_name)
    found = {node.name: node for node in map(view.configuration.node, opcode.nodes)}
    return [found[name] for name in sorted(found) if found[name].group != group.uuid]


def locks(opcode: GroupAssignNodes, view: View) -> Iterable[Lock]:
    """The nodes, the group that they come to and those that they leave."""
    nodes = moved(opcode, view)
    groups = {opcode.group_name, *(node.group for node in nodes)}
    names = {view.configuration.group(group).name for group in groups}
    return (
        BIG_LOCK_SHARED,
        *(locking.group_lock(name) for name in sorted(names)),
        *(locking.node_lock(node, shared=False) for node in nodes),
    )


def splits(opcode: GroupAssignNodes, view: View) -> tuple[list[str], list[str]]:
    """Names of the mirrored instances that come to span groups, and of those that did and still
    do."""
    group = view.configuration.group(opcode.group_name)
    nodes = moved(opcode, view)
    after = {node.uuid: group.uuid for node in nodes}
    touched: dict[str, Instance] = {}
    for node in nodes:
        for one in view.configuration.instances_on(node.uuid):
            if has_mirror(one.disk_template):
                touched[one.name] = one
    new: list[str] = []
    old: list[str] = []
    for name in sorted(touched):
        pair = view.nodes_of(touched[name])
        if len({after.get(node.uuid, node.group) for node in pair}) > 1:
            was_split = len({node.group for node in pair}) > 1
            (old if was_split else new).append(name)
    return new, old


def check(opcode: GroupAssignNodes, view: View) -> None:
    """No mirrored instance comes to span groups, unless that is forced."""
    if not opcode.nodes:
        raise Refused("No nodes to be assigned", "wrong_input")
    new, _old = splits(opcode, view)
    if new and not opcode.force:
        raise Refused(
            "The following instances get split by this change and --force was not given: "
            f"{', '.join(new)}",
            "wrong_state",
        )


def plan(opcode: GroupAssignNodes, view: View) -> Sequence[Step]:
    """One write a node. No data moves."""
    group = view.configuration.group(opcode.group_name)
    new, old = splits(opcode, view)
    steps: list[Step] = []
    if new:
        text = f" - WARNING: This operation splits the following instances: {', '.join(new)}"
        steps.append(Say(text=text))
    if old:
        text = f" - WARNING: These instances go on to be split across groups: {', '.join(old)}"
        steps.append(Say(text=text))
    steps += [record_node(node, group=group.uuid) for node in moved(opcode, view)]
    return steps


KIND = OpcodeKind(
    opcode=GroupAssignNodes,
    locks=locks,
    check=check,
    plan=plan,
    summary_field="group_name",
)
