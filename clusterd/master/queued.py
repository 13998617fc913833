"""What jobs in the queue will make on nodes that are named already, for whoever chooses nodes now.

Decided here: such an instance counts from the moment its job is in the queue, not only from its
plan on: the instances of one request for several stand in the queue, each with the nodes that were
chosen for all of them together. A job that could not be planned as things are counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from clusterd.model import Instance
from clusterd.opcodes import new_instances
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.view import View
from jobqueue.errors import JobQueueError
from jobqueue.live import Job


def drafts(jobs: Iterable[Job], view: View) -> list[Instance]:
    """The instances that unplanned opcodes of unfinished ``jobs`` are to make, as being made."""
    known = {one.name for one in view.promised}
    found: dict[str, Instance] = {}
    for job in jobs:
        for opcode in _waiting(job):
            name = opcode.instance_name
            if name in known or view.configuration.find_instance(name) is not None:
                continue
            try:
                draft = new_instances.draft(opcode, view)
            except JobQueueError:
                continue
            found[name] = msgspec.structs.replace(draft, made_by=job.id)
    return list(found.values())


def _waiting(job: Job) -> Iterable[InstanceCreate]:
    first = job.current
    if first is None or job.cancel_wanted:
        return
    for opcode, known in zip(job.opcodes[first:], job.known[first:], strict=True):
        if isinstance(opcode, InstanceCreate) and opcode.pnode is not None and not known.plan:
            yield opcode
