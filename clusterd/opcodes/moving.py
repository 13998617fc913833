"""What the operations share that turn an allocator's moves into jobs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from clusterd.iallocator.answers import Answer
from clusterd.iallocator.choice import Choice, Taken, allocator_name
from clusterd.iallocator.data import disk_total_mib
from clusterd.iallocator.requests import Relocate
from clusterd.model import Instance, Node
from clusterd.opcodes import locking, placing, wiring
from clusterd.steps.cluster import Say, SubmitJobs
from clusterd.view import View
from clusterd.volumes import is_shared
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode
from jobqueue.step import Step
from jobqueue.surroundings import Chosen

JOBS_A_STEP = 80
TargetOf = Callable[[View, Instance, str | None], Node]
"""Where an instance goes that may have been told where; raises Refused."""


def moves_as_jobs(opcode: Any, view: View, answer: Answer) -> Chosen:
    """One job an allocator's job. Raises Refused when an instance cannot be moved."""
    name = allocator_name(view, opcode.iallocator)
    if answer.failed:
        told = ", ".join(f"{instance} ({why})" for instance, why in answer.failed)
        raise Refused(f"Unable to evacuate instances {told}", "insufficient_resources")
    lines = [
        f" - INFO: Instances to be moved by iallocator {name}: {instance} (to {', '.join(nodes)})"
        for instance, _group, nodes in answer.moved
    ]
    jobs = tuple(tuple(_raw(opcode, one) for one in job) for job in answer.jobs)
    steps: list[Step] = [Say(text=line) for line in lines]
    chosen = msgspec.structs.replace(opcode, iallocator=name)
    return Chosen(opcode=chosen, steps=(*steps, *in_portions(jobs)))


def in_portions(jobs: Sequence[tuple[msgspec.Raw, ...]]) -> list[Step]:
    """The steps that submit many jobs: each no more than one transaction of the store takes."""
    starts = range(0, max(len(jobs), 1), JOBS_A_STEP)
    return [SubmitJobs(jobs=tuple(jobs[start : start + JOBS_A_STEP])) for start in starts]


def _raw(opcode: Any, body: dict[str, Any]) -> msgspec.Raw:
    """The allocator knows nothing of when the old copy may be given up, or how urgent it is."""
    body = {**body, "priority": opcode.priority, "reason": opcode.reason}
    if "early_release" in body:
        body["early_release"] = opcode.early_release
    return msgspec.Raw(msgspec.json.encode(body))


def jobs_result(_opcode: Any, _view: View, outputs: Sequence[Any]) -> Any:
    """{"jobs": [[True, number]]}"""
    return {"jobs": [job for output in outputs if isinstance(output, list) for job in output]}


def nothing_to_move(opcode: Opcode, view: View) -> Sequence[Step]:
    """The plan where no choice made one."""
    return [SubmitJobs(jobs=())]


def another_node() -> Choice:
    """The choice of a target for an instance on shared storage, where none was named."""
    return Choice(wanted=_target_wanted, settle=_target_settled)


def is_floating(view: View, instance: Instance, target: str | None) -> bool:
    """A target must be chosen."""
    return target is None and is_shared(instance.disk_template)


def locks_of_move(opcode: Any, view: View, target_of: TargetOf) -> Iterable[Lock]:
    """The instance, its networks, its nodes and where it goes, once that is chosen."""
    instance = view.configuration.instance(opcode.instance_name)
    if is_floating(view, instance, opcode.target_node):
        return [BIG_LOCK_SHARED, locking.instance_lock(instance.name)]
    target = target_of(view, instance, opcode.target_node)
    return (*locking.on_instance(view, instance, target), *wiring.kept(view, instance))


def sights_of_move(opcode: Any, view: View, target_of: TargetOf) -> Iterable[str]:
    """Source and target, once that is chosen."""
    instance = view.configuration.instance(opcode.instance_name)
    source = view.primary(instance).name
    if is_floating(view, instance, opcode.target_node):
        return [source]
    return [source, target_of(view, instance, opcode.target_node).name]


def _target_wanted(opcode: Any, view: View, taken: Taken) -> Relocate | None:
    instance = view.configuration.instance(opcode.instance_name)
    if not is_floating(view, instance, opcode.target_node):
        if opcode.iallocator:
            raise Refused(
                f"Instance '{instance.name}' can go to no other node than "
                f"{opcode.target_node or 'its secondary'}: nothing is left for an iallocator",
                "wrong_input",
            )
        return None
    if getattr(opcode, "cleanup", False):
        raise Refused(
            f"Name the node where instance '{instance.name}' may run (option -n)", "wrong_input"
        )
    excluded = placing.excluded(view, instance, taken, None, new=False)
    source = view.primary(instance)
    return Relocate(
        name=instance.name,
        relocate_from=(source.name,),
        disk_total_mib=disk_total_mib(instance),
        excluded=excluded,
    )


def _target_settled(opcode: Any, view: View, answer: Answer) -> Chosen:
    if not answer.nodes:
        raise placing.none_found(view, opcode, opcode.instance_name, answer.info)
    (node,) = placing.nodes_of(view, opcode.instance_name, answer.nodes, 1)
    name = allocator_name(view, opcode.iallocator)
    return Chosen(opcode=msgspec.structs.replace(opcode, target_node=node, iallocator=name))
