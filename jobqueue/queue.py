"""The queue's memory: jobs with what their journals say, and who is told of changes.

Decided here: what is stored when, and what callers see. Not decided here: how jobs come in (intake)
and leave (archive), when one runs (scheduler) and what it does (executor).

Invariant: a job that somebody was told of is in the store; the memory never runs ahead of it,
except for log lines, which are stored with the next event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from jobqueue import archive, intake, keys
from jobqueue.bounds import fitting
from jobqueue.errors import Conflict, Deposed, JobMissing, JournalBroken, StoreAway
from jobqueue.filters import Rule, by_precedence
from jobqueue.job import LogEntry, Status, Submission
from jobqueue.journal import Event, Kind, Known, Phase, fold
from jobqueue.keys import CANCELS, JOBS, JOURNAL
from jobqueue.live import Job
from jobqueue.locks import LockTable
from jobqueue.opcode import Opcode, Registry, UnreadOpcode
from jobqueue.record import new_job, packed, settle, unpacked
from jobqueue.shelf import Shelf
from jobqueue.store.interface import ABSENT, MAX_WRITES, Store, Transaction

__all__ = ["CANCELS", "JOBS", "JOURNAL", "JobQueue"]

MAX_RECORD_BYTES = archive.PART_BYTES
"""An ended job with a larger record keeps its journal."""

PAGE = 500
"""So many jobs are handed out at a time, where all are wanted."""

_ENCODE = msgspec.json.Encoder().encode
_EVENT = msgspec.json.Decoder(Event).decode

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
        self.locks = LockTable(now)
        self.drained = False
        self.rules: tuple[Rule, ...] = ()
        """The job filters, in the order in which they are asked."""
        self.rules_changed: Callable[[], None] = lambda: None
        self.max_jobs = max_jobs
        self.last_id = 0
        self.shelf = Shelf(lambda stored: unpacked(stored, registry))
        self._watchers: dict[int, Watcher] = {}
        self._watcher_count = 0

    def __len__(self) -> int:
        return len(self.shelf)

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
        """Read all jobs that are not archived. A journal that does not fit leaves its job stuck."""
        for entry in await self.store.read(keys.FINISHED):
            self.shelf.add_ended(keys.number_in(entry.key), entry.value)
        for entry in await self.store.read(JOBS):
            self.shelf.add(
                new_job(msgspec.json.decode(entry.value, type=Submission), self.registry)
            )
        unfinished = {job.id: job for job in self.shelf.unfinished()}
        for entry in await self.store.read(JOURNAL) if unfinished else ():
            job = unfinished.get(keys.number_in(entry.key))
            if job is not None:
                self._replay(job, entry.value)
        for job in unfinished.values():
            self._look_at_opcodes(job)
            if job.finished:
                self.shelf.end(job, packed(job, job.known, job.events))
        for entry in await self.store.read(keys.PRIORITY):
            job = unfinished.get(keys.number_in(entry.key))
            if job is not None:
                job.priority_override = int(entry.value)
        serial = await self.store.get(keys.SERIAL)
        self.last_id = max(int(serial.value) if serial else 0, self.shelf.last())
        self.drained = await self.store.get(keys.DRAINED) is not None
        rules = await self.store.read(keys.FILTERS)
        self.rules = by_precedence(msgspec.json.decode(one.value, type=Rule) for one in rules)

    # -- reading ---------------------------------------------------------------------------------

    def job(self, job_id: int) -> Job | None:
        """A job that is not archived, or None."""
        return self.shelf.get(job_id)

    def jobs(self) -> list[Job]:
        """All jobs that are not archived, by number."""
        return list(self.shelf.all())

    def pages(self) -> Iterator[list[Job]]:
        """All jobs that are not archived, by number, some at a time; time may pass in between."""
        return self.shelf.pages(PAGE)

    def unfinished(self) -> list[Job]:
        """Jobs that have not ended, by number."""
        return self.shelf.unfinished()

    def subscribe(self, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` with each job whose status or log changed; answers what ends it."""
        self._watcher_count += 1
        number = self._watcher_count
        self._watchers[number] = watcher

        def end() -> None:
            self._watchers.pop(number, None)

        return end

    # -- submission ------------------------------------------------------------------------------

    async def submit(
        self,
        jobs: Sequence[Sequence[Opcode]],
        submitter: str,
        *,
        even_drained: bool = False,
        name: str = "",
    ) -> list[int]:
        """Store jobs durably and answer their numbers; the same ``name`` submits once. Raises
        QueueDrained, QueueFull, Refused."""
        return await intake.submit(self, jobs, submitter, even_drained=even_drained, name=name)

    def prepare(
        self, jobs: Iterable[Sequence[Opcode]], submitter: str
    ) -> tuple[list[Submission], Transaction]:
        """Numbers and writes for new jobs; ``accept`` them once the writes are committed."""
        return intake.prepare(self, jobs, submitter)

    def accept(self, submissions: Iterable[Submission]) -> None:
        """Submissions are stored: take them up and tell everybody."""
        for submission in submissions:
            job = new_job(submission, self.registry)
            self.shelf.add(job)
            self.tell(job)

    # -- the journal, for the executor -------------------------------------------------------------

    async def append(
        self, job: Job, events: Sequence[Event], writes: Transaction = NO_WRITES
    ) -> None:
        """Store events, in one transaction with ``writes``, and fold them.

        Log lines said since the last event ride along with the first one. A commit whose answer
        was lost may be tried again: the journal's next line must be absent, so when it is there
        this master has written it. Of a job that ends, the record must be absent.
        """
        first, *rest = events
        lines = fitting(job.unstored_log)
        if lines:
            said = tuple([entry for opcode, entry in lines if opcode == first.opcode])
            first = msgspec.structs.replace(first, log=said)
        events = (first, *rest)
        puts = tuple(
            [
                (keys.line(job.id, number), _ENCODE(event))
                for number, event in enumerate(events, job.events)
            ]
        )
        known = list(job.known)
        for event in events:
            known[event.opcode] = fold(known[event.opcode], event)
        record = _record_of_end(job, known, job.events + len(events))
        whole = record is not None and len(record) <= MAX_RECORD_BYTES
        if record is None or not whole:
            new = Transaction(expects=((puts[0][0], ABSENT),), puts=puts)
        else:
            new = self._ending(job, record, len(writes.puts + writes.deletes))
        mark = new.expects[0][0]
        try:
            await self.commit(new + writes)
        except Conflict as error:
            if error.key != mark:
                raise
            if whole:
                record, known = await self._stored_end(mark)
            else:
                lines = await self._stored_lines(mark, lines)
        if lines:
            stored = {entry.serial for _opcode, entry in lines}
            job.unstored_log = [one for one in job.unstored_log if one[1].serial not in stored]
        job.events += len(events)
        job.known = known
        if any(event.chosen for event in events):
            settle(job, self.registry)
        if record is not None:
            self.shelf.end(job, record)
        self.tell(job)

    def _ending(self, job: Job, record: bytes, others: int) -> Transaction:
        """The writes that put an ended job away whole, in the place of its journal: a start need
        not read it. What is too long to go at once goes when the job is archived."""
        gone = [
            keys.numbered(JOBS, job.id),
            keys.numbered(keys.PRIORITY, job.id),
            keys.numbered(CANCELS, job.id),
            *[keys.line(job.id, at) for at in range(job.events)],
        ]
        if job.priority_override is None:
            del gone[1]
        if not job.cancel_wanted:
            gone.remove(keys.numbered(CANCELS, job.id))
        place = keys.numbered(keys.FINISHED, job.id)
        return Transaction(
            expects=((place, ABSENT),),
            puts=((place, record),),
            deletes=tuple(gone[: MAX_WRITES - 1 - others]),
        )

    async def _stored_end(self, key: str) -> tuple[bytes, list[Known]]:
        """How this job ended, as this master stored it and was not told."""
        entry = await self.store.get(key)
        if entry is None:
            raise StoreAway(f"The end of a job at {key} was there and cannot be read")
        return entry.value, unpacked(entry.value, self.registry).known

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
        for watcher in tuple(self._watchers.values()):
            watcher(job)

    # -- care ------------------------------------------------------------------------------------

    async def set_drained(self, flag: bool) -> None:
        """Refuse new jobs, or take them again."""
        drained = keys.DRAINED
        change = Transaction(puts=((drained, b"1"),)) if flag else Transaction(deletes=(drained,))
        await self.commit(change)
        self.drained = flag

    async def set_priority(self, job: Job, priority: int) -> None:
        """Store another priority for a job's unfinished opcodes."""
        put = (keys.numbered(keys.PRIORITY, job.id), str(priority).encode())
        await self.commit(Transaction(puts=(put,)))
        job.priority_override = priority
        self.locks.reprioritise(str(job.id), priority)
        self.tell(job)

    async def put_rule(self, rule: Rule) -> None:
        """Store a job filter, a new one or in the place of the one with its uuid."""
        stored = msgspec.json.encode(rule)
        await self.commit(Transaction(puts=((f"{keys.FILTERS}{rule.uuid}", stored),)))
        self._set_rules([*(one for one in self.rules if one.uuid != rule.uuid), rule])

    async def delete_rule(self, uuid: str) -> None:
        """Forget a job filter."""
        await self.commit(Transaction(deletes=(f"{keys.FILTERS}{uuid}",)))
        self._set_rules(one for one in self.rules if one.uuid != uuid)

    async def archive(self, job_id: int) -> bool:
        """Move an ended job out of the hot path; False when it has not ended or is not there."""
        return await archive.archive(self, job_id)

    async def auto_archive(
        self, age_s: float | None, time_left: Callable[[], bool] = lambda: True
    ) -> tuple[int, int]:
        """Archive what ended at least so long ago; answers (archived, not looked at)."""
        return await archive.auto_archive(self, age_s, time_left)

    async def find_archived(self, job_id: int) -> Job | None:
        """An archived job as it ended, or None."""
        return await archive.find(self, job_id)

    async def archived(self, job_id: int) -> Job:
        """An archived job as it ended; raises JobMissing."""
        job = await archive.find(self, job_id)
        if job is None:
            raise JobMissing(f"Job {job_id} not found")
        return job

    def archive_pages(self) -> AsyncIterator[list[Job]]:
        """All archived jobs by number, some at a time."""
        return archive.pages(self)

    # -- inside ----------------------------------------------------------------------------------

    def _set_rules(self, rules: Iterable[Rule]) -> None:
        self.rules = by_precedence(rules)
        self.rules_changed()

    def _look_at_opcodes(self, job: Job) -> None:
        unread = [one for one in job.opcodes if isinstance(one, UnreadOpcode)]
        if unread and not job.finished and not job.stuck_because:
            job.unreadable = True
            job.stuck_because = f"this version does not understand it: {unread[0].problem}"

    def _replay(self, job: Job, stored: bytes) -> None:
        job.events += 1
        try:
            event = _EVENT(stored)
            if event.log:
                job.log_serial = max(job.log_serial, *[entry.serial for entry in event.log])
            if job.unreadable and event.kind is not Kind.ABANDON:
                return
            job.known[event.opcode] = fold(job.known[event.opcode], event)
            if event.chosen:
                settle(job, self.registry)
        except (JournalBroken, IndexError, msgspec.DecodeError) as error:
            job.unreadable = True
            job.stuck_because = f"its journal does not fit: {error}"
            return
        job.unreadable, job.stuck_because = False, ""


def _record_of_end(job: Job, known: list[Known], events: int) -> bytes | None:
    """The record of a job that ends with ``known``; None where it goes on."""
    if known[-1].phase is not Phase.ENDED or any(one.phase is not Phase.ENDED for one in known):
        return None
    return packed(job, known, events)


def wanted_again(job: Job) -> Transaction:
    """The writes that take back that a job is to be canceled."""
    return Transaction(deletes=(keys.numbered(CANCELS, job.id),))


def ended(index: int, now: float, status: Status, output: Any, waited: float | None) -> Event:
    """The event that ends an opcode."""
    return Event(
        kind=Kind.END, opcode=index, time=now, status=status, output=output, waited_from=waited
    )
