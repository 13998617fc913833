"""Rename a node group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clusterd.hooks import HookPoint, master_node
from clusterd.opcodes import grouping, locking
from clusterd.opcodes.fields import GroupName, NewGroupName
from clusterd.steps import objects
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class GroupRename(Opcode, frozen=True, kw_only=True, tag="OP_GROUP_RENAME"):
    """Rename a node group."""

    group_name: GroupName
    new_name: NewGroupName


def locks(opcode: GroupRename, view: View) -> Iterable[Lock]:
    """The group, and its new name."""
    names = {view.configuration.group(opcode.group_name).name, opcode.new_name}
    return (BIG_LOCK_SHARED, *(locking.group_lock(name) for name in sorted(names)))


def check(opcode: GroupRename, view: View) -> None:
    """The new name is free."""
    grouping.require_free(view, opcode.new_name)


def plan(opcode: GroupRename, view: View) -> Sequence[Step]:
    """One write."""
    return [objects.record(view.configuration.group(opcode.group_name), name=opcode.new_name)]


def result(opcode: GroupRename, _view: View, _outputs: Sequence[Any]) -> Any:
    """The new name."""
    return opcode.new_name


def environment(opcode: GroupRename, _view: View) -> dict[str, str]:
    """Both names."""
    return {"OLD_NAME": opcode.group_name, "NEW_NAME": opcode.new_name}


def hook_nodes(opcode: GroupRename, view: View) -> list[str]:
    """The master, and the group's nodes, whichever name it has by now."""
    found = view.configuration.find_group(opcode.group_name)
    group = found or view.configuration.find_group(opcode.new_name)
    nodes = grouping.nodes_of(view, group) if group is not None else []
    return [*master_node(opcode, view), *(node.name for node in nodes)]


KIND = OpcodeKind(
    opcode=GroupRename,
    locks=locks,
    check=check,
    plan=plan,
    result=result,
    summary_field="group_name",
    hooks=HookPoint("group-rename", "GROUP", environment, hook_nodes),
)
