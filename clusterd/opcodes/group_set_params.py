"""Change the parameters of a node group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from clusterd import ipolicy
from clusterd.hooks import HookPoint, master_node
from clusterd.model import Group, Policy
from clusterd.opcodes import grouping, locking
from clusterd.opcodes.fields import GroupName
from clusterd.opcodes.grouping import (
    AllocPolicy,
    DiskParams,
    DiskState,
    HvState,
    IPolicy,
    NdParams,
)
from clusterd.opcodes.requirements import NAMED_MAX
from clusterd.steps import objects
from clusterd.steps.cluster import Say
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class GroupSetParams(Opcode, frozen=True, kw_only=True, tag="OP_GROUP_SET_PARAMS"):
    """Change the parameters of a node group."""

    group_name: GroupName
    alloc_policy: AllocPolicy = None
    ndparams: NdParams = None
    diskparams: DiskParams = None
    ipolicy: IPolicy = None
    hv_state: HvState = None
    disk_state: DiskState = None


def locks(opcode: GroupSetParams, view: View) -> Iterable[Lock]:
    """The group alone."""
    group = view.configuration.group(opcode.group_name)
    return (BIG_LOCK_SHARED, locking.group_lock(group.name))


def check(opcode: GroupSetParams, view: View) -> None:
    """Something is to change, and the parameters are some."""
    if not grouping.changes(opcode, view.configuration.group(opcode.group_name)):
        raise Refused("Please pass at least one modification", "wrong_input")


def plan(opcode: GroupSetParams, view: View) -> Sequence[Step]:
    """One write; what violates a new policy is told, and stays as it is."""
    group = view.configuration.group(opcode.group_name)
    new = grouping.changes(opcode, group)
    steps: list[Step] = []
    if "ipolicy" in new:
        violating = _violating(view, group, new["ipolicy"])
        if violating:
            named = ", ".join(violating[:NAMED_MAX])
            more = "" if len(violating) <= NAMED_MAX else f" and {len(violating) - NAMED_MAX} more"
            text = f" - WARNING: After the change these instances violate the policy: {named}{more}"
            steps.append(Say(text=text))
    return [*steps, objects.record(group, **new)]


def _violating(view: View, group: Group, policy: Policy) -> list[str]:
    """Names of the instances that come to violate the policy."""
    return [
        one.name
        for one in grouping.instances_of(view, group)
        if view.primary(one).group == group.uuid
        and not {*ipolicy.violations(view, one, own=policy)} <= {*ipolicy.violations(view, one)}
    ]


def result(opcode: GroupSetParams, view: View, _outputs: Sequence[Any]) -> Any:
    """[[parameter, new value]]"""
    group = view.configuration.group(opcode.group_name)
    asked = [name for name in grouping.FIELDS if getattr(opcode, name)]
    return [[name, msgspec.to_builtins(getattr(group, name))] for name in asked]


def environment(opcode: GroupSetParams, _view: View) -> dict[str, str]:
    """The group and its new allocation policy."""
    return {"GROUP_NAME": opcode.group_name, "NEW_ALLOC_POLICY": str(opcode.alloc_policy)}


KIND = OpcodeKind(
    opcode=GroupSetParams,
    locks=locks,
    check=check,
    plan=plan,
    result=result,
    summary_field="group_name",
    hooks=HookPoint("group-modify", "GROUP", environment, master_node),
)
