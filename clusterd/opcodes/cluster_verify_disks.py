"""List the instances whose disks are missing or not usable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from clusterd.opcodes import locking, moving
from clusterd.opcodes.group_verify_disks import GroupVerifyDisks
from clusterd.steps.cluster import submit
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ClusterVerifyDisks(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY_DISKS"):
    """Check disks and activate those that are down."""

    group_name: Annotated[str | None, Meta(description="only this node group")] = None
    is_strict: Annotated[bool, Meta(description="mirrors that stand alone count too")] = True


def check(opcode: ClusterVerifyDisks, view: View) -> None:
    """The group exists."""
    if opcode.group_name:
        view.configuration.group(opcode.group_name)


def plan(opcode: ClusterVerifyDisks, view: View) -> Sequence[Step]:
    """One job a group."""
    names = [opcode.group_name] if opcode.group_name else None
    names = names or [group.name for group in view.configuration.groups()]
    jobs: list[list[Opcode]] = [
        [GroupVerifyDisks(group_name=name, is_strict=opcode.is_strict)] for name in names
    ]
    return moving.in_portions(submit(jobs).jobs)


KIND = OpcodeKind(
    opcode=ClusterVerifyDisks,
    locks=locking.cluster_shared,
    check=check,
    plan=plan,
    result=moving.jobs_result,
)
