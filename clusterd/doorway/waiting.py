"""Waiting for a job to change, told by the queue instead of asking again and again.

One subscription serves all who wait. Invariant: each waiter is answered exactly once - by a change,
by its time limit, or by its client going away - and is then forgotten.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from clusterd.doorway.desk import Desk
from jobqueue.job import timestamp
from jobqueue.live import Job

LONGEST_WAIT_S = 89.0
"""Ganeti's bound on one wait; clients ask again."""

NO_CHANGE = "nochange"


class _Waiter:
    def __init__(self, job_id: int, fields: list[str], seen: Any, serial: int | None) -> None:
        self.job_id = job_id
        self.fields = fields
        self.seen = seen
        self.serial = serial
        self.answer: Deferred[Any] = Deferred()


class Waiting:
    """All who wait at one door."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiters: dict[int, list[_Waiter]] = {}
        self._unsubscribe = desk.jobs.subscribe(self._changed)

    def close(self) -> None:
        """Let go of the queue; who still waits is told that nothing changed."""
        self._unsubscribe()
        for waiters in list(self._waiters.values()):
            for waiter in list(waiters):
                self._finish(waiter, NO_CHANGE)

    def __len__(self) -> int:
        return sum(map(len, self._waiters.values()))

    async def change(
        self, job_id: int, fields: list[str], seen: Any, serial: int | None, timeout_s: float
    ) -> Any:
        """``[values, log entries]`` once they differ from what was seen, ``nochange`` after the
        time limit, None when there is no such job. Cancelling forgets the waiter."""
        job = self._desk.jobs.job(job_id)
        if job is None:
            job = await self._desk.jobs.find_archived(job_id)
        if job is None:
            return None
        waiter = _Waiter(job_id, fields, seen, serial)
        news = self._news(job, waiter)
        if news is not None:
            return news
        waiting = self._waiters.setdefault(job_id, [])
        waiting.append(waiter)
        limit_s = max(0.0, min(timeout_s, LONGEST_WAIT_S))
        timer = self._desk.clock.callLater(limit_s, self._finish, waiter, NO_CHANGE)
        try:
            return await waiter.answer
        finally:
            self._forget(waiter)
            if timer.active():
                timer.cancel()

    def _news(self, job: Job, waiter: _Waiter) -> list[Any] | None:
        values = self._desk.answers.job_values(job, waiter.fields)
        lines = new_lines(job, waiter.serial)
        if lines or job.finished or values != waiter.seen:
            return [values, lines]
        return None

    def _changed(self, job: Job) -> None:
        for waiter in list(self._waiters.get(job.id, ())):
            news = self._news(job, waiter)
            if news is not None:
                self._finish(waiter, news)

    def _finish(self, waiter: _Waiter, answer: Any) -> None:
        if not waiter.answer.called:
            self._forget(waiter)
            waiter.answer.callback(answer)

    def _forget(self, waiter: _Waiter) -> None:
        waiting = self._waiters.get(waiter.job_id, [])
        if waiter in waiting:
            waiting.remove(waiter)
        if not waiting:
            self._waiters.pop(waiter.job_id, None)


def new_lines(job: Job, serial: int | None) -> list[list[Any]]:
    """Log entries after ``serial`` (None: all), as Ganeti writes them, in order."""
    after = -1 if serial is None else serial
    entries = [
        entry
        for index in range(len(job.opcodes))
        for entry in job.logs(index)
        if entry.serial > after
    ]
    return [
        [entry.serial, timestamp(entry.time), entry.kind, entry.text]
        for entry in sorted(entries, key=lambda entry: entry.serial)
    ]
