"""The queue's memory: jobs with what their journals say, submission, and who is told of changes.

Decided here: numbers, dependencies by offset, what is stored when, what callers see. Not decided
here: when a job runs (scheduler) and what it does (executor).

Invariant: a job that somebody was told of is in the store; the memory never runs ahead of it,
except for log lines, which are stored with the next event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from jobqueue.errors import (
    Conflict,
    Deposed,
    JobMissing,
    JournalBroken,
    QueueDrained,
    QueueFull,
    Refused,
    StoreAway,
)
from jobqueue.job import FINAL, LogEntry, Status, Submission
from jobqueue.journal import Event, Kind, Known, fold
from jobqueue.live import Job
from jobqueue.locks import LockTable
from jobqueue.opcode import Opcode, Registry, UnreadOpcode
from jobqueue.store.interface import ABSENT, MAX_WRITES, Store, Transaction

JOBS = "job/"
JOURNAL = "journal/"
ARCHIVE = "archive/"
SERIAL = "queue/serial"
DRAINED = "queue/drained"
PRIORITY = "priority/"
CANCELS = "cancel/"
MAX_OPCODES = 1000

Watcher = Callable[[Job], None]
NO_WRITES = Transaction()


class JobQueue:
    """All jobs that are not archived."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        now: Callable[[], float],
        *,
        fence: Callable[[], Transaction] = Transaction,
        max_jobs: int = 100_000,
    ) -> None:
        self.store = store
        self.registry = registry
        self.now = now
        self.fence = fence
        """What each transaction expects beside its own: that this master still is the master."""
        self.locks = LockTable()
        self.drained = False
        self._max_jobs = max_jobs
        self._jobs: dict[int, Job] = {}
        self._last_id = 0
        self._watchers: list[Watcher] = []

    async def commit(self, writes: Transaction) -> None:
        """Commit as the master of this epoch; raises Deposed when that is no longer true."""
        fence = self.fence()
        try:
            await self.store.commit(fence + writes)
        except Conflict as error:
            if error.key in dict(fence.expects):
                raise Deposed(f"Another master has taken over: {error}") from None
            raise

    # -- start ----------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read all live jobs. A journal that does not fit leaves its job stuck."""
        for entry in await self.store.read(JOBS):
            self._adopt(msgspec.json.decode(entry.value, type=Submission))
        for entry in await self.store.read(JOURNAL):
            job = self._jobs.get(int(entry.key.split("/")[1]))
            if job is not None:
                self._replay(job, entry.value)
        for job in self._jobs.values():
            unread = [one for one in job.opcodes if isinstance(one, UnreadOpcode)]
            if unread and not job.finished and not job.stuck_because:
                job.unreadable = True
                job.stuck_because = f"this version does not understand it: {unread[0].problem}"
        for entry in await self.store.read(PRIORITY):
            job = self._jobs.get(int(entry.key.split("/")[1]))
            if job is not None:
                job.priority_override = int(entry.value)
        serial = await self.store.get(SERIAL)
        self._last_id = max([int(serial.value) if serial else 0, *self._jobs])
        self.drained = await self.store.get(DRAINED) is not None

    # -- reading ---------------------------------------------------------------------------------

    def job(self, job_id: int) -> Job | None:
        """A live job or None."""
        return self._jobs.get(job_id)

    def jobs(self) -> list[Job]:
        """All live jobs by number."""
        return [self._jobs[job_id] for job_id in sorted(self._jobs)]

    def unfinished(self) -> list[Job]:
        """Jobs that have not ended, by number."""
        return [job for job in self.jobs() if not job.finished]

    def subscribe(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` with each job whose status or log changed; answers what ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    # -- submission ------------------------------------------------------------------------------

    async def submit(
        self, jobs: Sequence[Sequence[Opcode]], submitter: str, *, even_drained: bool = False
    ) -> list[int]:
        """Store jobs durably and answer their numbers. Raises QueueDrained, QueueFull, Refused."""
        if self.drained and not even_drained:
            raise QueueDrained("The job queue is drained, refusing to accept new jobs")
        if len(self._jobs) + len(jobs) > self._max_jobs:
            raise QueueFull(f"The job queue holds {len(self._jobs)} jobs and is full")
        submissions, writes = self.prepare(jobs, submitter)
        room = MAX_WRITES - 1
        for start in range(0, len(submissions), room):
            puts = writes.puts[start : start + room]
            serial = str(submissions[min(start + room, len(submissions)) - 1].id).encode()
            try:
                await self.commit(Transaction(puts=(*puts, (SERIAL, serial))))
            except StoreAway:
                if await self.store.get(puts[0][0]) is None:
                    raise
            self.accept(submissions[start : start + room])
        return [submission.id for submission in submissions]

    def prepare(
        self, jobs: Iterable[Sequence[Opcode]], submitter: str
    ) -> tuple[list[Submission], Transaction]:
        """Numbers and writes for new jobs; ``accept`` them once the writes are committed."""
        jobs = list(jobs)
        first = self._last_id + 1
        checked = [self._resolved(first + at, first, opcodes) for at, opcodes in enumerate(jobs)]
        self._last_id += len(jobs)
        now = self.now()
        submissions = [
            Submission(
                id=first + at,
                received=now,
                submitter=submitter,
                opcodes=tuple(msgspec.Raw(msgspec.json.encode(opcode)) for opcode in opcodes),
            )
            for at, opcodes in enumerate(checked)
        ]
        puts = tuple((f"{JOBS}{s.id:012d}", msgspec.json.encode(s)) for s in submissions)
        return submissions, Transaction(puts=puts)

    def accept(self, submissions: Iterable[Submission]) -> None:
        """Submissions are stored: take them up and tell everybody."""
        for submission in submissions:
            self.tell(self._adopt(submission))

    def _resolved(self, job_id: int, first: int, opcodes: Sequence[Opcode]) -> list[Opcode]:
        if not opcodes:
            raise Refused("A job needs at least one opcode", "wrong_input")
        if len(opcodes) > MAX_OPCODES:
            raise Refused(f"A job has at most {MAX_OPCODES} opcodes", "wrong_input")
        return [self._with_dependencies(opcode, job_id, first) for opcode in opcodes]

    def _with_dependencies(self, opcode: Opcode, job_id: int, first: int) -> Opcode:
        if not opcode.depends:
            return opcode
        resolved = []
        for target, statuses in opcode.depends:
            number = job_id + target if target < 0 else target
            if number >= job_id or (target < 0 and number < first):
                raise Refused(
                    f"Job {job_id} depends on job {target}, which is not an earlier job",
                    "wrong_input",
                )
            wrong = [status for status in statuses if status not in FINAL]
            if wrong:
                raise Refused(f"'{wrong[0]}' is not a status that a job ends with", "wrong_input")
            resolved.append((number, statuses))
        return msgspec.structs.replace(opcode, depends=tuple(resolved))

    # -- the journal, for the executor -------------------------------------------------------------

    async def append(
        self, job: Job, events: Sequence[Event], writes: Transaction = NO_WRITES
    ) -> None:
        """Store events, in one transaction with ``writes``, and fold them.

        Log lines said since the last event ride along with the first one. A commit whose answer
        was lost may be tried again: the journal's next line must be absent, so when it is there
        this master has written it.
        """
        first, *rest = events
        lines = list(job.unstored_log)
        first = msgspec.structs.replace(
            first, log=tuple(entry for opcode, entry in lines if opcode == first.opcode)
        )
        events = (first, *rest)
        puts = tuple(
            (f"{JOURNAL}{job.id:012d}/{job.events + at:06d}", msgspec.json.encode(event))
            for at, event in enumerate(events)
        )
        known = list(job.known)
        for event in events:
            known[event.opcode] = fold(known[event.opcode], event)
        new = Transaction(expects=((puts[0][0], ABSENT),), puts=puts)
        try:
            await self.commit(new + writes)
        except Conflict as error:
            if error.key != puts[0][0]:
                raise
            lines = await self._stored_lines(puts[0][0], lines)
        stored = {entry.serial for _opcode, entry in lines}
        job.unstored_log = [line for line in job.unstored_log if line[1].serial not in stored]
        job.events += len(events)
        job.known = known
        if any(event.chosen for event in events):
            self._settle(job)
        self.tell(job)

    async def _stored_lines(
        self, key: str, lines: list[tuple[int, LogEntry]]
    ) -> list[tuple[int, LogEntry]]:
        """Those of ``lines`` that were stored with the event at ``key``."""
        entry = await self.store.get(key)
        if entry is None:
            raise StoreAway(f"The journal's line {key} was there and cannot be read")
        stored = {one.serial for one in msgspec.json.decode(entry.value, type=Event).log}
        return [line for line in lines if line[1].serial in stored]

    def say(self, job: Job, index: int, text: Any, kind: str = "message") -> None:
        """A line in the job's log, seen at once and stored with the next event."""
        job.log_serial += 1
        job.unstored_log.append((index, LogEntry(job.log_serial, self.now(), kind, text)))
        self.tell(job)

    def tell(self, job: Job) -> None:
        """Something about ``job`` changed."""
        for watcher in tuple(self._watchers):
            watcher(job)

    # -- care ------------------------------------------------------------------------------------

    async def set_drained(self, flag: bool) -> None:
        """Refuse new jobs, or take them again."""
        change = Transaction(puts=((DRAINED, b"1"),)) if flag else Transaction(deletes=(DRAINED,))
        await self.commit(change)
        self.drained = flag

    async def set_priority(self, job: Job, priority: int) -> None:
        """Store another priority for a job's unfinished opcodes."""
        put = (f"{PRIORITY}{job.id:012d}", str(priority).encode())
        await self.commit(Transaction(puts=(put,)))
        job.priority_override = priority
        self.locks.reprioritise(str(job.id), priority)
        self.tell(job)

    async def archive(self, job_id: int) -> bool:
        """Move an ended job out of the hot path; False when it has not ended or is not there."""
        job = self._jobs.get(job_id)
        if job is None or not job.finished:
            return False
        journal = [f"{JOURNAL}{job.id:012d}/{at:06d}" for at in range(job.events)]
        record = msgspec.json.encode((job.submission, job.known))
        keys = [f"{PRIORITY}{job.id:012d}", *journal]
        moved = Transaction(
            puts=((f"{ARCHIVE}{job.id:012d}", record),),
            deletes=(f"{JOBS}{job.id:012d}", *keys[: MAX_WRITES - 2]),
        )
        await self.commit(moved)
        for start in range(MAX_WRITES - 2, len(keys), MAX_WRITES):
            rest = Transaction(deletes=tuple(keys[start : start + MAX_WRITES]))
            await self.commit(rest)
        del self._jobs[job_id]
        return True

    async def auto_archive(self, age_s: float | None) -> tuple[int, int]:
        """Archive jobs that ended longer ago; answers (archived, left)."""
        now = self.now()
        old = [
            job.id
            for job in self.jobs()
            if job.finished and (age_s is None or now - (job.ended or now) >= age_s)
        ]
        for job_id in old:
            await self.archive(job_id)
        return len(old), len(self._jobs)

    async def archived(self, job_id: int) -> Job:
        """An archived job as it ended; raises JobMissing."""
        entry = await self.store.get(f"{ARCHIVE}{job_id:012d}")
        if entry is None:
            raise JobMissing(f"Job {job_id} not found")
        submission, known = msgspec.json.decode(entry.value, type=tuple[Submission, list[Known]])
        job = self._job(submission)
        job.known = known
        self._settle(job)
        return job

    # -- inside ----------------------------------------------------------------------------------

    def _job(self, submission: Submission) -> Job:
        opcodes = tuple(self.registry.read_any(raw) for raw in submission.opcodes)
        return Job(submission, opcodes, [self.registry.summary(opcode) for opcode in opcodes])

    def _adopt(self, submission: Submission) -> Job:
        job = self._jobs[submission.id] = self._job(submission)
        self._last_id = max(self._last_id, submission.id)
        return job

    def _settle(self, job: Job) -> None:
        """From now on an opcode for which something was chosen has it."""
        for index, known in enumerate(job.known):
            if known.chosen and index not in job.settled:
                chosen = self.registry.read_any(known.chosen[0])
                job.opcodes = (*job.opcodes[:index], chosen, *job.opcodes[index + 1 :])
                job.settled.add(index)

    def _replay(self, job: Job, stored: bytes) -> None:
        job.events += 1
        try:
            event = msgspec.json.decode(stored, type=Event)
            job.log_serial = max([job.log_serial, *(entry.serial for entry in event.log)])
            if job.unreadable and event.kind is not Kind.ABANDON:
                return
            job.known[event.opcode] = fold(job.known[event.opcode], event)
            if event.chosen:
                self._settle(job)
        except (JournalBroken, IndexError, msgspec.DecodeError) as error:
            job.unreadable = True
            job.stuck_because = f"its journal does not fit: {error}"
            return
        job.unreadable, job.stuck_because = False, ""


def wanted_again(job: Job) -> Transaction:
    """The writes that take back that a job is to be canceled."""
    return Transaction(deletes=(f"{CANCELS}{job.id:012d}",))


def ended(index: int, now: float, status: Status, output: Any, waited: float | None) -> Event:
    """The event that ends an opcode."""
    return Event(
        kind=Kind.END, opcode=index, time=now, status=status, output=output, waited_from=waited
    )
