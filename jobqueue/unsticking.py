"""Carrying out what an operator decides about a stuck job; ``stuck`` says what may be decided."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from jobqueue import keys
from jobqueue.errors import JournalBroken, LockRefused, Refused
from jobqueue.journal import Event
from jobqueue.live import Job
from jobqueue.queue import JobQueue, wanted_again
from jobqueue.store.interface import Transaction
from jobqueue.stuck import Decision, decided

_DECIDED = {"resume": "goes on", "unwind": "unwinds", "abandon": "was abandoned"}

LOG = structlog.get_logger("jobqueue")


class Unsticking:
    """Of one queue. ``go_on`` lets a job run that has been decided about."""

    def __init__(self, queue: JobQueue, go_on: Callable[[Job], None]) -> None:
        self._queue = queue
        self._go_on = go_on

    def seize(self, job: Job) -> bool:
        """Take the locks that a job held when the master died; it is stuck when that is refused."""
        owner, index = str(job.id), job.current
        if index is None or self._queue.locks.holdings(owner):
            return True
        try:
            self._queue.locks.seize(owner, job.known[index].locks)
        except LockRefused as error:
            job.stuck_because = job.stuck_because or str(error)
            LOG.error("job stuck", job=job.id, reason=str(error))
            return False
        return True

    async def decide(self, job_id: int, decision: Decision, reason: str) -> tuple[bool, str]:
        """(done, sentence)"""
        job = self._queue.job(job_id)
        if job is None or job.finished:
            return False, f"Job {job_id} not found in queue"
        try:
            events = decided(job, decision, reason, self._queue.now())
            if decision != "abandon" and job.stuck_because and not self.seize(job):
                return False, f"Job {job_id} is still stuck: {job.stuck_because}"
            self._queue.say(job, job.current or 0, f" - INFO: {decision}: {reason}")
            await self._store_decision(job, decision, events)
        except (Refused, JournalBroken) as error:
            return False, str(error)
        job.stuck_because, job.unreadable = "", False
        if decision == "abandon":
            self._queue.locks.release(str(job.id))
        self._queue.tell(job)
        self._go_on(job)
        return True, f"Job {job_id}: {_DECIDED[decision]}"

    async def _store_decision(self, job: Job, decision: Decision, events: list[Event]) -> None:
        """A resumed job is wanted, one that unwinds is not; a failed undo says itself which way."""
        key = keys.numbered(keys.CANCELS, job.id)
        writes = Transaction()
        if decision == "resume":
            writes, job.cancel_wanted = wanted_again(job), False
        elif decision == "unwind" and not events:
            writes, job.cancel_wanted = Transaction(puts=((key, b"1"),)), True
        if events:
            await self._queue.append(job, events, writes)
        else:
            await self._queue.commit(writes)
