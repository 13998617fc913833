"""The scheduler: which queued job runs next, how many at once, and what cancelling does.

Order: priority, aged by waiting, then number. A job is eligible when all jobs that it depends on
have ended as it asks; a dependency that ended otherwise ends it. Filters may hold it: ``gate``.
Jobs that were running when the master died go first, with the locks that they held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobqueue import keys
from jobqueue.ageing import order_of
from jobqueue.errors import KeyTwice, StoreError, TooLarge
from jobqueue.executor import Executor
from jobqueue.filters import admission
from jobqueue.gate import Gate
from jobqueue.job import Status
from jobqueue.journal import Phase
from jobqueue.live import Job
from jobqueue.queue import JobQueue, ended
from jobqueue.store.interface import MAX_WRITES, Transaction
from jobqueue.stuck import failed_to_undo
from jobqueue.unsticking import Unsticking
from jobqueue.waiting_room import WaitingRoom

TRACKED_MORE = 5
"""So many jobs more than may run may wait for locks, where nothing else is said."""

EXCUSED = 1000
"""So many jobs at most may wait behind stuck ones without counting."""

SWEPT = 500
"""Queued jobs that a new filter looks at before others get their turn."""

LOG = structlog.get_logger("jobqueue")


class Scheduler:
    """Starts jobs of one queue. ``limit`` is asked each time how many may run at once, ``tracked``
    how many may run or wait for locks."""

    def __init__(
        self,
        queue: JobQueue,
        executor: Executor,
        limit: Callable[[], int],
        tracked: Callable[[], int] | None = None,
    ) -> None:
        self._queue = queue
        self._executor = executor
        executor.slots.limit = limit
        self._tracked = tracked or (lambda: limit() + TRACKED_MORE)
        self._room = WaitingRoom()
        self._gate = Gate(self._room)
        self._seen: set[int] = set()
        self._stuck: set[int] = set()
        self._blocked: dict[int, set[int]] = {}
        self._dependents: dict[int, set[int]] = defaultdict(set)
        self._running: dict[int, Deferred[None]] = {}
        self._canceling: set[int] = set()
        self._unsticking = Unsticking(queue, self._go_on)
        self._open = False
        self._not_open: list[Deferred[None]] = []
        executor.may_decide = self._opened
        self._stopped = False
        self._filling = False
        self._broken: Callable[[Failure], None] = lambda _failure: None

    async def start(self, broken: Callable[[Failure], None]) -> None:
        """Go on with what was under way. ``broken`` is called when a job's execution itself fails
        (the store is lost, the master deposed)."""
        self._broken = broken
        wanted = {keys.number_in(e.key) for e in await self._queue.store.read(keys.CANCELS)}
        unfinished = self._queue.unfinished()
        begun = [job for job in unfinished if _begun(job)]
        for job in unfinished:
            job.cancel_wanted = job.id in wanted
        for job in begun:
            self._unsticking.seize(job)
        self._seen.update(job.id for job in begun)
        self._queue.subscribe(self._changed)
        self._queue.rules_changed = self._rules_changed
        for job in begun:
            if job.status is not Status.STUCK:
                LOG.info("job resumes", job=job.id, summary=job.summary)
                self._gate.resume(job, self._queue.rules)
                self._run(job)
        for job in unfinished:
            self._changed(job)

    def open(self) -> None:
        """From now on begin queued jobs too: what they are decided on is known."""
        self._open = True
        held, self._not_open = self._not_open, []
        for waiting in held:
            waiting.callback(None)
        self._fill()

    async def _opened(self) -> None:
        """A job that goes on after a start comes to its next opcode before anything is known."""
        if not self._open:
            waiting: Deferred[None] = Deferred()
            self._not_open.append(waiting)
            await waiting

    def stop(self) -> None:
        """Start nothing more; running jobs stay as their journals say."""
        self._stopped = True

    @property
    def running(self) -> int:
        """How many jobs run or wait for locks."""
        return len(self._running)

    # -- cancelling and priorities -----------------------------------------------------------------

    async def cancel(self, job_id: int) -> tuple[bool, str]:
        """Cancel at once what has not begun; ask what runs to unwind between steps."""
        job = self._queue.job(job_id)
        if job is None or job.finished:
            return False, f"Job {job_id} not found in queue"
        if job.status is Status.STUCK:
            return False, f"Job {job_id} is stuck; use resume, unwind or abandon"
        if job.id not in self._running and not _begun(job):
            await self._end_waiting(job)
            return True, f"Job {job_id} canceled"
        put = Transaction(puts=((keys.numbered(keys.CANCELS, job.id), b"1"),))
        await self._queue.commit(put)
        job.cancel_wanted = True
        self._executor.interrupt(job)
        self._queue.tell(job)
        return True, f"Job {job_id} will be canceled"

    async def change_priority(self, job_id: int, priority: int) -> tuple[bool, str]:
        """Give a job's unfinished opcodes another priority."""
        job = self._queue.job(job_id)
        if job is None or job.finished:
            return False, f"Job {job_id} not found in queue"
        await self._queue.set_priority(job, priority)
        self._room.move(job.id, _turn(job))
        return (
            True,
            f"Priorities of pending opcodes for job {job_id} have been changed to {priority}",
        )

    # -- stuck jobs: see ``unsticking`` -----------------------------------------------------------

    async def resume(self, job_id: int, reason: str) -> tuple[bool, str]:
        """Let a stuck job go forward again; (done, sentence). It is no longer to be canceled."""
        return await self._unsticking.decide(job_id, "resume", reason)

    async def unwind(self, job_id: int, reason: str) -> tuple[bool, str]:
        """Let a stuck job try its way back again."""
        return await self._unsticking.decide(job_id, "unwind", reason)

    async def abandon(self, job_id: int, reason: str) -> tuple[bool, str]:
        """End a stuck job as it is; its locks are free again."""
        return await self._unsticking.decide(job_id, "abandon", reason)

    async def retry_undoing(self, why: str) -> None:
        """Something came back: stuck jobs try again what they could not undo."""
        for job_id in sorted(self._stuck):
            job = self._queue.job(job_id)
            if job is None or self._stopped or job_id in self._running:
                continue
            if failed_to_undo(job):
                await self._unsticking.decide(job_id, "unwind", why)

    # -- inside ------------------------------------------------------------------------------------

    def _go_on(self, job: Job) -> None:
        """An operator has decided about a stuck job."""
        if not job.finished and job.id not in self._running:
            self._run(job)

    def _changed(self, job: Job) -> None:
        if job.finished:
            self._seen.discard(job.id)
            self._stuck.discard(job.id)
            self._room.leave(job.id)
            self._gate.leave(job.id)
            for dependent in sorted(self._dependents.pop(job.id, ())):
                self._unblock(dependent, job.id)
        elif job.status is Status.STUCK:
            self._stuck.add(job.id)
        elif job.id not in self._seen:
            self._seen.add(job.id)
            self._enqueue(job)
        self._fill()

    def _enqueue(self, job: Job) -> None:
        waits_for: set[int] = set()
        for opcode in job.opcodes:
            for target, _statuses in opcode.depends or ():
                other = self._queue.job(target)
                if other is not None and not other.finished:
                    waits_for.add(target)
        if not waits_for:
            self._room.put(job.id, _turn(job))
            return
        self._blocked[job.id] = waits_for
        for target in waits_for:
            self._dependents[target].add(job.id)

    def _unblock(self, job_id: int, target: int) -> None:
        waits_for = self._blocked.get(job_id)
        if waits_for is None:
            return
        waits_for.discard(target)
        job = self._queue.job(job_id)
        if not waits_for:
            del self._blocked[job_id]
            if job is not None and not job.finished:
                self._room.put(job_id, _turn(job))

    def _fill(self) -> None:
        """Start what may run. What a started job says comes back here at once; the call under way
        goes on then, instead of one inside the other as deep as the queue is long."""
        if self._filling:
            return
        self._filling = True
        try:
            # mostly nobody waits, and this is asked whenever something about a job changes
            while self._room and self._has_place():
                job_id = self._room.next()
                if job_id is None:
                    return
                self._try(job_id)
        finally:
            self._filling = False

    def _has_place(self) -> bool:
        if not self._open or self._stopped or not self._executor.slots.free:
            return False
        tracked = self._tracked()
        if len(self._running) < tracked:
            return True
        if not self._stuck or len(self._running) >= tracked + EXCUSED:
            return False
        # a stuck job holds its locks until an operator comes: who waits for it is in nobody's way
        excused = self._queue.locks.behind({str(job_id) for job_id in self._stuck})
        return len(self._running) - len(excused) < tracked

    def _try(self, job_id: int) -> None:
        job = self._queue.job(job_id)
        if job is None or job.finished or job_id in self._running:
            self._gate.leave(job_id)
            return
        answer, rule = self._gate.ask(job, _turn(job), self._queue.rules)
        if answer == "reject":
            self._reject(job, rule)
        elif answer == "begin":
            self._run(job)

    def _run(self, job: Job) -> None:
        self._executor.slots.take(job.id)
        self._stuck.discard(job.id)
        running = Deferred.fromCoroutine(self._guided(job))
        self._running[job.id] = running
        running.addErrback(self._failed, job)
        running.addBoth(self._ended, job)

    async def _guided(self, job: Job) -> None:
        verdict = await self._judge(job) if not _begun(job) else None
        if verdict is not None:
            await self._end_unstarted(job, *verdict)
            return
        await self._executor.run(job)

    async def _judge(self, job: Job) -> tuple[Status, object] | None:
        """What the ends of the jobs that ``job`` depends on mean for it; None: it may run."""
        for opcode in job.opcodes:
            for target, statuses in opcode.depends or ():
                other = self._queue.job(target) or await self._queue.find_archived(target)
                if other is None:
                    lost = f"Job {target}, which this one depends on, is not there any more"
                    return Status.ERROR, ["JobLost", [lost]]
                if statuses and other.status in statuses:
                    continue
                if not statuses and other.status in (Status.SUCCESS, Status.ERROR):
                    continue
                if other.status is Status.CANCELED:
                    return Status.CANCELED, None
                reason = f"Job {target} ended with status '{other.status}'"
                return Status.ERROR, ["OpExecError", [reason]]
        return None

    def _reject(self, job: Job, rule: str) -> None:
        """A filter does not want it."""
        LOG.info("job rejected", job=job.id, filter=rule)
        self._queue.say(job, 0, f"Canceled: rejected by job filter {rule}")
        Deferred.fromCoroutine(self._end_waiting(job)).addErrback(self._failed, job)

    async def _end_waiting(self, job: Job) -> None:
        """Cancel a job that has not begun; it cannot begin meanwhile."""
        if job.id in self._canceling:
            return
        self._canceling.add(job.id)
        blocked = self._blocked.pop(job.id, None)
        self._room.leave(job.id)
        try:
            await self._end_unstarted(job, Status.CANCELED, None)
        except StoreError:
            if blocked is None:
                self._room.put(job.id, _turn(job))
            else:
                self._blocked[job.id] = blocked
            raise
        finally:
            self._canceling.discard(job.id)

    async def _end_unstarted(self, job: Job, status: Status, output: object) -> None:
        now = self._queue.now()
        events = [
            ended(index, now, status, output, None)
            for index, known in enumerate(job.known)
            if known.phase is Phase.QUEUED
        ]
        most = MAX_WRITES // 2
        for start in range(0, len(events), most):
            await self._queue.append(job, events[start : start + most])

    def _rules_changed(self) -> None:
        self._gate.reopen()
        Deferred.fromCoroutine(self._sweep()).addErrback(self._swept_badly)
        self._fill()

    async def _sweep(self) -> None:
        """Reject what waits and is no longer wanted, some at a time."""
        rules = self._queue.rules
        ids = [*self._room.ids(), *sorted(self._blocked)]
        for start in range(0, len(ids), SWEPT):
            if self._stopped or rules is not self._queue.rules:
                return
            for job_id in ids[start : start + SWEPT]:
                job = self._queue.job(job_id)
                if job is None or job.finished or job_id in self._running:
                    continue
                found = admission(rules, job)
                if found.verdict == "REJECT":
                    self._reject(job, found.rule)
            await self._executor.breathe()

    def _swept_badly(self, failure: Failure) -> None:
        LOG.error("looking at queued jobs broke off", exc_info=failure.value)

    def _failed(self, failure: Failure, job: Job) -> None:
        LOG.error("execution broke off", job=job.id, error=str(failure.value))
        own = isinstance(failure.value, TooLarge | KeyTwice)
        if isinstance(failure.value, StoreError) and not own:
            self._broken(failure)
            return
        # a fault of ours in one job: it keeps its locks and waits for an operator, others go on
        job.stuck_because = f"its execution broke off: {failure.value!r:.500}"
        self._queue.tell(job)

    def _ended(self, _result: object, job: Job) -> None:
        self._running.pop(job.id, None)
        self._blocked.pop(job.id, None)
        self._executor.slots.leave(job.id)
        if job.finished:
            self._gate.leave(job.id)
        self._fill()


def _turn(job: Job) -> float:
    return order_of(job.received, job.priority)


def _begun(job: Job) -> bool:
    """True when an opcode is past planning (or broke while it was) and has not ended."""
    current = job.current
    return current is not None and (
        job.known[current].phase is not Phase.QUEUED or bool(job.stuck_because)
    )
