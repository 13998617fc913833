"""Add a node group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterd.hooks import HookPoint, master_node
from clusterd.model import Group
from clusterd.opcodes import grouping, locking
from clusterd.opcodes.fields import NewGroupName
from clusterd.opcodes.grouping import (
    AllocPolicy,
    DiskParams,
    DiskState,
    HvState,
    IPolicy,
    NdParams,
)
from clusterd.steps import objects
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class GroupAdd(Opcode, frozen=True, kw_only=True, tag="OP_GROUP_ADD"):
    """Add a node group."""

    group_name: NewGroupName
    alloc_policy: AllocPolicy = None
    ndparams: NdParams = None
    diskparams: DiskParams = None
    ipolicy: IPolicy = None
    hv_state: HvState = None
    disk_state: DiskState = None


def locks(opcode: GroupAdd, _view: View) -> Iterable[Lock]:
    """The new name."""
    return (BIG_LOCK_SHARED, locking.group_lock(opcode.group_name))


def draft(opcode: GroupAdd) -> Group:
    """The group as it will be, without identity."""
    bare = Group(uuid="", name=opcode.group_name)
    return Group(uuid="", name=opcode.group_name, **grouping.changes(opcode, bare))


def check(opcode: GroupAdd, view: View) -> None:
    """The name is free, and the parameters are some."""
    grouping.require_free(view, opcode.group_name)
    draft(opcode)


def plan(opcode: GroupAdd, _view: View) -> Sequence[Step]:
    """One write."""
    return [objects.add(draft(opcode))]


def environment(opcode: GroupAdd, _view: View) -> dict[str, str]:
    """The new name."""
    return {"GROUP_NAME": opcode.group_name}


KIND = OpcodeKind(
    opcode=GroupAdd,
    locks=locks,
    check=check,
    plan=plan,
    summary_field="group_name",
    hooks=HookPoint("group-add", "GROUP", environment, master_node),
)
