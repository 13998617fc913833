"""Move all instances of a node group to others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from clusterd.hooks import HookPoint, master_node
from clusterd.iallocator.answers import Answer, Job
from clusterd.iallocator.choice import Choice, Taken, node_excluded
from clusterd.iallocator.requests import ChangeGroup
from clusterd.opcodes import grouping, locking, moving
from clusterd.opcodes.fields import EarlyRelease, GroupName, Iallocator, TargetGroups
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.surroundings import Chosen


class GroupEvacuate(Opcode, frozen=True, kw_only=True, tag="OP_GROUP_EVACUATE"):
    """Move all instances of a node group to others."""

    group_name: GroupName
    target_groups: TargetGroups = None
    iallocator: Iallocator = None
    early_release: EarlyRelease = False
    sequential: Annotated[bool, Meta(description="move one instance after the other")] = False
    force_failover: Annotated[
        bool, Meta(description="stop instances and start them there, never migrate")
    ] = False


def targets(opcode: GroupEvacuate, view: View) -> tuple[str, ...]:
    """uuids of the groups that they may go to; raises Refused."""
    own = view.configuration.group(opcode.group_name)
    asked = opcode.target_groups
    if not asked:
        found = [group for group in view.configuration.groups() if group.uuid != own.uuid]
        if not found:
            raise Refused("There are no possible target groups", "wrong_input")
        return tuple(group.uuid for group in found)
    groups = [view.configuration.group(name) for name in asked]
    if any(group.uuid == own.uuid for group in groups):
        raise Refused(f"Can't evacuate group '{own.name}' to itself", "wrong_input")
    return tuple(dict.fromkeys(group.uuid for group in groups))


def locks(opcode: GroupEvacuate, view: View) -> Iterable[Lock]:
    """The instances must stay where they are until their jobs are in the queue, and the groups
    what they are."""
    group = view.configuration.group(opcode.group_name)
    instances = grouping.instances_of(view, group)
    names = {view.configuration.group(uuid).name for uuid in (group.uuid, *targets(opcode, view))}
    return (
        BIG_LOCK_SHARED,
        *(locking.instance_lock(one.name, shared=True) for one in instances),
        *(locking.group_lock(name, shared=True) for name in sorted(names)),
    )


def wanted(opcode: GroupEvacuate, view: View, taken: Taken) -> ChangeGroup | None:
    """The moves, unless nothing is there."""
    chosen = targets(opcode, view)
    group = view.configuration.group(opcode.group_name)
    names = tuple(one.name for one in grouping.instances_of(view, group))
    if not names:
        return None
    return ChangeGroup(instances=names, target_groups=chosen, excluded=node_excluded(view, taken))


def settle(opcode: GroupEvacuate, view: View, answer: Answer) -> Chosen:
    """The allocator's jobs, by failovers or one after the other if that was asked for."""
    jobs = answer.jobs
    if opcode.force_failover:
        jobs = tuple(tuple(_failed_over(body) for body in job) for job in jobs)
    if opcode.sequential:
        jobs = chained(jobs)
    return moving.moves_as_jobs(opcode, view, msgspec.structs.replace(answer, jobs=jobs))


def _failed_over(body: dict[str, Any]) -> dict[str, Any]:
    if body["OP_ID"] != "OP_INSTANCE_MIGRATE":
        return body
    names = ("instance_name", "target_node")
    kept: dict[str, Any] = {name: body[name] for name in names if name in body}
    return {"OP_ID": "OP_INSTANCE_FAILOVER", **kept}


def chained(jobs: tuple[Job, ...]) -> tuple[Job, ...]:
    """Each job waits for the one before it, whatever becomes of that. A job can only name one that
    is submitted with it, so of very many some become one job."""
    size = -(-len(jobs) // moving.JOBS_A_STEP) or 1
    joined = [
        tuple(body for job in jobs[start : start + size] for body in job)
        for start in range(0, len(jobs), size)
    ]
    return tuple(
        ({**job[0], "depends": [[-1, []]]}, *job[1:]) if at else job
        for at, job in enumerate(joined)
    )


def environment(opcode: GroupEvacuate, view: View) -> dict[str, str]:
    """The group, and where its instances may go."""
    names = [view.configuration.group(uuid).name for uuid in targets(opcode, view)]
    return {"GROUP_NAME": opcode.group_name, "TARGET_GROUPS": " ".join(names)}


def hook_nodes(opcode: GroupEvacuate, view: View) -> list[str]:
    """The master and the group's nodes."""
    group = view.configuration.group(opcode.group_name)
    nodes = grouping.nodes_of(view, group)
    return [*master_node(opcode, view), *(node.name for node in nodes)]


KIND = OpcodeKind(
    opcode=GroupEvacuate,
    choice=Choice(wanted=wanted, settle=settle),
    locks=locks,
    plan=moving.nothing_to_move,
    result=moving.jobs_result,
    summary_field="group_name",
    hooks=HookPoint("group-evacuate", "GROUP", environment, hook_nodes),
)
