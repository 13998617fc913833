"""The scheduler: which queued job runs next, how many at once, and what cancelling does.

Order: priority, then number. A job is eligible when all jobs that it depends on have ended as it
asks; a dependency that ended otherwise ends it. Jobs that were running when the master died go
first, with the locks that they held.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable

import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobqueue.errors import JournalBroken, LockRefused, Refused, StoreError
from jobqueue.executor import Executor
from jobqueue.job import Status
from jobqueue.journal import Event, Phase
from jobqueue.live import Job
from jobqueue.queue import CANCELS, JobQueue, ended, wanted_again
from jobqueue.store.interface import Transaction
from jobqueue.stuck import Decision, decided, failed_to_undo

_DECIDED = {"resume": "goes on", "unwind": "unwinds", "abandon": "was abandoned"}

LOG = structlog.get_logger("jobqueue")


class Scheduler:
    """Starts jobs of one queue. ``limit`` is asked each time how many may run at once."""

    def __init__(self, queue: JobQueue, executor: Executor, limit: Callable[[], int]) -> None:
        self._queue = queue
        self._executor = executor
        self._limit = limit
        self._ready: list[tuple[int, int]] = []
        self._seen: set[int] = set()
        self._blocked: dict[int, set[int]] = {}
        self._dependents: dict[int, set[int]] = defaultdict(set)
        self._running: dict[int, Deferred[None]] = {}
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
        wanted = {int(e.key.split("/")[1]) for e in await self._queue.store.read(CANCELS)}
        unfinished = self._queue.unfinished()
        begun = [job for job in unfinished if _begun(job)]
        for job in unfinished:
            job.cancel_wanted = job.id in wanted
        for job in begun:
            self._seize(job)
        self._seen.update(job.id for job in begun)
        self._queue.subscribe(self._changed)
        for job in begun:
            if job.status is not Status.STUCK:
                LOG.info("job resumes", job=job.id, summary=job.summary)
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
        put = Transaction(puts=((f"{CANCELS}{job.id:012d}", b"1"),))
        await self._queue.commit(put)
        job.cancel_wanted = True
        if job.id in self._running:
            self._executor.interrupt(job)
            self._queue.tell(job)
            return True, f"Job {job_id} will be canceled"
        await self._end_unstarted(job, Status.CANCELED, None)
        return True, f"Job {job_id} canceled"

    async def change_priority(self, job_id: int, priority: int) -> tuple[bool, str]:
        """Give a job's unfinished opcodes another priority."""
        job = self._queue.job(job_id)
        if job is None or job.finished:
            return False, f"Job {job_id} not found in queue"
        await self._queue.set_priority(job, priority)
        if job.id in self._seen and job.id not in self._running and job.id not in self._blocked:
            heapq.heappush(self._ready, (job.priority, job.id))
        return (
            True,
            f"Priorities of pending opcodes for job {job_id} have been changed to {priority}",
        )

    # -- stuck jobs --------------------------------------------------------------------------------

    async def resume(self, job_id: int, reason: str) -> tuple[bool, str]:
        """Let a stuck job go forward again; (done, sentence). It is no longer to be canceled."""
        return await self._decide(job_id, "resume", reason)

    async def unwind(self, job_id: int, reason: str) -> tuple[bool, str]:
        """Let a stuck job try its way back again."""
        return await self._decide(job_id, "unwind", reason)

    async def abandon(self, job_id: int, reason: str) -> tuple[bool, str]:
        """End a stuck job as it is; its locks are free again."""
        return await self._decide(job_id, "abandon", reason)

    async def retry_undoing(self, why: str) -> None:
        """Something came back: stuck jobs try again what they could not undo."""
        for job in self._queue.jobs():
            if failed_to_undo(job) and job.id not in self._running and not self._stopped:
                await self._decide(job.id, "unwind", why)

    async def _decide(self, job_id: int, decision: Decision, reason: str) -> tuple[bool, str]:
        job = self._queue.job(job_id)
        if job is None or job.finished:
            return False, f"Job {job_id} not found in queue"
        try:
            events = decided(job, decision, reason, self._queue.now())
            if decision != "abandon" and job.stuck_because and not self._seize(job):
                return False, f"Job {job_id} is still stuck: {job.stuck_because}"
            self._queue.say(job, job.current or 0, f" - INFO: {decision}: {reason}")
            await self._store_decision(job, decision, events)
        except (Refused, JournalBroken) as error:
            return False, str(error)
        job.stuck_because, job.unreadable = "", False
        if decision == "abandon":
            self._queue.locks.release(str(job.id))
        self._queue.tell(job)
        if not job.finished and job.id not in self._running:
            self._run(job)
        return True, f"Job {job_id}: {_DECIDED[decision]}"

    async def _store_decision(self, job: Job, decision: Decision, events: list[Event]) -> None:
        """A resumed job is wanted, one that unwinds is not; a failed undo says itself which way."""
        key = f"{CANCELS}{job.id:012d}"
        writes = Transaction()
        if decision == "resume":
            writes, job.cancel_wanted = wanted_again(job), False
        elif decision == "unwind" and not events:
            writes, job.cancel_wanted = Transaction(puts=((key, b"1"),)), True
        if events:
            await self._queue.append(job, events, writes)
        else:
            await self._queue.commit(writes)

    # -- inside ------------------------------------------------------------------------------------

    def _seize(self, job: Job) -> bool:
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

    def _changed(self, job: Job) -> None:
        if job.finished:
            self._seen.discard(job.id)
            for dependent in sorted(self._dependents.pop(job.id, ())):
                self._unblock(dependent, job.id)
        elif job.id not in self._seen and job.status is not Status.STUCK:
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
            heapq.heappush(self._ready, (job.priority, job.id))
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
        if not waits_for and job is not None:
            del self._blocked[job_id]
            heapq.heappush(self._ready, (job.priority, job_id))

    def _fill(self) -> None:
        """Start what may run. What a started job says comes back here at once; the call under way
        goes on then, instead of one inside the other as deep as the queue is long."""
        if self._filling:
            return
        self._filling = True
        try:
            self._start_ready()
        finally:
            self._filling = False

    def _start_ready(self) -> None:
        while (
            self._open and not self._stopped and self._ready and len(self._running) < self._limit()
        ):
            priority, job_id = heapq.heappop(self._ready)
            job = self._queue.job(job_id)
            stale = job is None or job.finished or job_id in self._running
            if job is None or stale or priority != job.priority:
                continue
            self._run(job)

    def _run(self, job: Job) -> None:
        running = Deferred.fromCoroutine(self._guided(job))
        self._running[job.id] = running
        running.addErrback(self._failed, job)
        running.addBoth(self._ended, job)

    async def _guided(self, job: Job) -> None:
        verdict = self._judge(job) if not _begun(job) else None
        if verdict is not None:
            await self._end_unstarted(job, *verdict)
            return
        await self._executor.run(job)

    def _judge(self, job: Job) -> tuple[Status, object] | None:
        """What the ends of the jobs that ``job`` depends on mean for it; None: it may run."""
        for opcode in job.opcodes:
            for target, statuses in opcode.depends or ():
                other = self._queue.job(target)
                if other is None:
                    continue
                if statuses and other.status in statuses:
                    continue
                if not statuses and other.status in (Status.SUCCESS, Status.ERROR):
                    continue
                if other.status is Status.CANCELED:
                    return Status.CANCELED, None
                reason = f"Job {target} ended with status '{other.status}'"
                return Status.ERROR, ["OpExecError", [reason]]
        return None

    async def _end_unstarted(self, job: Job, status: Status, output: object) -> None:
        now = self._queue.now()
        events = [
            ended(index, now, status, output, None)
            for index, known in enumerate(job.known)
            if known.phase is Phase.QUEUED
        ]
        await self._queue.append(job, events)

    def _failed(self, failure: Failure, job: Job) -> None:
        LOG.error("execution broke off", job=job.id, error=str(failure.value))
        if isinstance(failure.value, StoreError):
            self._broken(failure)
            return
        # a fault of ours in one job: it keeps its locks and waits for an operator, others go on
        job.stuck_because = f"its execution broke off: {failure.value!r:.500}"
        self._queue.tell(job)

    def _ended(self, _result: object, job: Job) -> None:
        self._running.pop(job.id, None)
        self._blocked.pop(job.id, None)
        self._fill()


def _begun(job: Job) -> bool:
    """True when an opcode is past planning (or broke while it was) and has not ended."""
    current = job.current
    return current is not None and (
        job.known[current].phase is not Phase.QUEUED or bool(job.stuck_because)
    )
