"""Create several instances; an allocator chooses the nodes of all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from clusterd.iallocator.answers import Answer
from clusterd.iallocator.choice import Choice, Taken, allocator_name
from clusterd.iallocator.requests import MultiAllocate
from clusterd.opcodes import instance_create, locking, moving, placing
from clusterd.opcodes.fields import Iallocator
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.new_instances import template_of
from clusterd.steps.cluster import Note, Say, submit
from clusterd.view import View
from clusterd.volumes import has_mirror
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import OP_ID, Opcode, OpcodeKind
from jobqueue.step import Step
from jobqueue.surroundings import Chosen

MAX_INSTANCES = 1000
"""Their verdicts are kept with the job, and their jobs stand in the queue at once."""


class InstanceMultiAlloc(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_MULTI_ALLOC"):
    """Create several instances; an allocator chooses the nodes of all of them together."""

    instances: Annotated[
        tuple[dict[str, Any], ...], Meta(description="OP_INSTANCE_CREATE objects, without nodes")
    ] = ()
    iallocator: Iallocator = None
    opportunistic_locking: Annotated[
        bool, Meta(description="do not wait for nodes that are locked, choose among the others")
    ] = False


def creations(opcode: InstanceMultiAlloc) -> list[InstanceCreate]:
    """Its instances; raises Refused naming the one that is wrong."""
    found = []
    for index, body in enumerate(opcode.instances):
        if body.get(OP_ID, InstanceCreate.op_id()) != InstanceCreate.op_id():
            raise Refused(f"Instance {index}: {body[OP_ID]} creates no instance", "wrong_input")
        try:
            found.append(msgspec.convert(body, type=InstanceCreate, strict=True))
        except msgspec.ValidationError as error:
            name = body.get("instance_name", index)
            raise Refused(f"Instance {name}: {error}", "wrong_input") from None
    return found


def locks(opcode: InstanceMultiAlloc, view: View) -> Iterable[Lock]:
    """The new names."""
    return [
        BIG_LOCK_SHARED,
        *(locking.instance_lock(one.instance_name) for one in creations(opcode)),
    ]


def check(opcode: InstanceMultiAlloc, _view: View) -> None:
    """It is a list of instances without nodes or allocators of their own."""
    asked = creations(opcode)
    if not asked:
        raise Refused("No instance was named", "wrong_input")
    if len(asked) > MAX_INSTANCES:
        raise Refused(
            f"{len(asked)} instances asked for, at most {MAX_INSTANCES} at a time", "wrong_input"
        )
    names = [one.instance_name for one in asked]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Refused(f"Instance '{twice[0]}' is named twice", "wrong_input")
    for one in asked:
        if one.iallocator is not None:
            raise Refused(
                f"Instance '{one.instance_name}': iallocator is not allowed to be set on instance "
                f"objects when allocating multiple instances",
                "wrong_input",
            )
        if one.pnode is not None or one.snode is not None:
            raise Refused(
                f"Instance '{one.instance_name}' names nodes: create it by itself", "wrong_input"
            )


def wanted(opcode: InstanceMultiAlloc, view: View, taken: Taken) -> MultiAllocate:
    """The nodes of all."""
    check(opcode, view)
    drafts = [(one, instance_create.floating(one, view)) for one in creations(opcode)]
    excluded: dict[str, str] = {}
    for one, draft in drafts:
        os_check = None if one.no_install else draft.os
        for node, why in placing.excluded(view, draft, taken, os_check).items():
            excluded.setdefault(node, f"{draft.name}: {why}" if len(drafts) > 1 else why)
    asked = tuple(placing.asked(view, draft, one.group_name) for one, draft in drafts)
    return MultiAllocate(instances=asked, excluded=excluded)


def settle(opcode: InstanceMultiAlloc, view: View, answer: Answer) -> Chosen:
    """A job for each that found nodes."""
    by_name = {one.instance_name: one for one in creations(opcode)}
    name = allocator_name(view, opcode.iallocator)
    jobs: list[list[Opcode]] = []
    lines = []
    for instance, nodes in answer.allocated:
        one = by_name.pop(instance, None)
        if one is None:
            raise Refused(
                f"Iallocator '{name}' answered instance '{instance}', which was not asked for",
                "environment_error",
            )
        needed = 2 if has_mirror(template_of(one, view)) else 1
        placed = instance_create.placed(one, view, placing.nodes_of(view, instance, nodes, needed))
        lines.append(placing.selected(msgspec.structs.replace(placed, iallocator=name)))
        # its nodes are named now, as if by an operator
        placed = msgspec.structs.replace(
            placed, iallocator=None, priority=opcode.priority, reason=opcode.reason
        )
        jobs.append([placed])
    failed = dict(answer.failed)
    lines += [
        f" - WARNING: Instance {left} was not allocated: {failed.get(left, 'no reason given')}"
        for left in by_name
    ]
    told = {
        "allocatable": [instance for instance, _nodes in answer.allocated],
        "failed": list(by_name),
    }
    says: list[Step] = [Say(text=line) for line in lines]
    return Chosen(
        opcode=msgspec.structs.replace(opcode, iallocator=name),
        steps=(*says, Note(value=told), *moving.in_portions(submit(jobs).jobs)),
    )


def plan(_opcode: InstanceMultiAlloc, _view: View) -> Sequence[Step]:
    """The choice makes the plan."""
    return []


def result(_opcode: InstanceMultiAlloc, _view: View, outputs: Sequence[Any]) -> Any:
    """{"jobs": [[True, number]], "allocatable": [names], "failed": [names]}"""
    told = next(output for output in outputs if isinstance(output, dict))
    jobs = [job for output in outputs if isinstance(output, list) for job in output]
    return {"jobs": jobs, **told}


KIND = OpcodeKind(
    opcode=InstanceMultiAlloc,
    choice=Choice(wanted=wanted, settle=settle),
    locks=locks,
    check=check,
    plan=plan,
    result=result,
)
