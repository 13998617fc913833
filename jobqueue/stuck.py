"""Stuck jobs: what an operator may decide, and what is stored of it.

A job is stuck because an undo failed for good, because another job held its locks when the master
started, or because its journal does not fit. Resume: forward again, from the step at which it got
stuck. Unwind: try the way back again. Abandon: end it as it is; what it leaves is the operator's.
Pure: the answers are events; who stores them and lets the job run is the scheduler.
"""

from __future__ import annotations

from typing import Literal

from jobqueue.errors import Refused
from jobqueue.job import Status
from jobqueue.journal import Event, Kind, Phase
from jobqueue.live import Job

Decision = Literal["resume", "unwind", "abandon"]


def decided(job: Job, decision: Decision, reason: str, now: float) -> list[Event]:
    """The events of the decision; none where the job only has to run. Raises Refused."""
    index = job.current
    if index is None or job.status is not Status.STUCK:
        raise Refused(f"Job {job.id} is not stuck", "wrong_state")
    if decision == "abandon":
        output = ["OpExecError", [f"Abandoned by an operator: {reason or 'no reason given'}"]]
        return [_event(Kind.ABANDON, index, now, output=output, status=Status.ERROR)]
    if job.unreadable:
        raise Refused(
            f"Job {job.id} can only be abandoned: {job.stuck_because}. See to what it left first",
            "wrong_state",
        )
    known = job.known[index]
    if known.phase is not Phase.STUCK:
        return []
    kind = Kind.START if decision == "resume" else Kind.UNDO
    return [_event(kind, index, now, step=known.step)]


def failed_to_undo(job: Job) -> bool:
    """Trying the undo again may help."""
    index = job.current
    return index is not None and job.known[index].phase is Phase.STUCK and not job.stuck_because


def _event(
    kind: Kind,
    index: int,
    now: float,
    *,
    step: int = -1,
    output: object = None,
    status: Status | None = None,
) -> Event:
    return Event(kind=kind, opcode=index, time=now, step=step, output=output, status=status)
