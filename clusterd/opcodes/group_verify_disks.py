"""List the instances of a group whose disks are missing or not usable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd import disk_health
from clusterd.opcodes import locking
from clusterd.opcodes.fields import GroupName
from clusterd.steps.cluster import Say
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class GroupVerifyDisks(Opcode, frozen=True, kw_only=True, tag="OP_GROUP_VERIFY_DISKS"):
    """List the instances of a group whose disks are missing or not usable."""

    group_name: GroupName
    is_strict: Annotated[bool, Meta(description="mirrors that stand alone count too")] = True


def locks(opcode: GroupVerifyDisks, view: View) -> Iterable[Lock]:
    """The group must stay what it is."""
    group = view.configuration.group(opcode.group_name)
    return [BIG_LOCK_SHARED, locking.group_lock(group.name, shared=True)]


def sights(opcode: GroupVerifyDisks, view: View) -> Iterable[str]:
    """The group's nodes."""
    group = view.configuration.group(opcode.group_name)
    nodes = view.configuration.nodes()
    return [node.name for node in nodes if node.group == group.uuid and not node.offline]


def plan(opcode: GroupVerifyDisks, view: View) -> Sequence[Step]:
    """The nodes were looked at; what they saw is the result."""
    return [Say(text=f"* Looking at the disks of group {opcode.group_name}")]


def result(opcode: GroupVerifyDisks, view: View, _outputs: Sequence[Any]) -> Any:
    """({node: reason}, [instance], {instance: [[node, volume]]})"""
    group = view.configuration.group(opcode.group_name)
    found = disk_health.of_group(view, group.uuid, strict=opcode.is_strict)
    missing = {name: [list(one) for one in lacks] for name, lacks in found.missing.items()}
    return [found.silent, list(found.inactive), missing]


KIND = OpcodeKind(
    opcode=GroupVerifyDisks,
    locks=locks,
    sights=sights,
    plan=plan,
    result=result,
    summary_field="group_name",
)
