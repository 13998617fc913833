"""The archive: ended jobs out of the hot path: found by number, listed in pages.

A record too large for one value is kept in parts, ``archive/N/1`` and so on; ``archive/N`` is
written last, together with the removal of what was before, so a job is never in neither place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from jobqueue import keys
from jobqueue.live import Job
from jobqueue.opcode import Registry
from jobqueue.record import packed, unpacked
from jobqueue.shelf import Shelf
from jobqueue.store.interface import MAX_WRITES, Store, Transaction

PART_BYTES = 512 * 1024
"""A value of this size fits into one transaction with its keys (1 MiB at most)."""

LIGHT_WRITES, LIGHT_BYTES = 20, 32 * 1024
"""Jobs of no more than this are archived together."""

PAGE_DIGITS = 3
"""Archived jobs are read by the thousand."""

PAGE = 250
"""So many are handed out at a time."""


class Queue(Protocol):
    """What the archive needs of the queue."""

    store: Store
    registry: Registry
    shelf: Shelf
    now: Callable[[], float]
    last_id: int

    async def commit(self, writes: Transaction) -> None:
        """Commit as the master."""


async def archive(queue: Queue, job_id: int) -> bool:
    """Move an ended job out of the hot path; False when it has not ended or is not there."""
    job = queue.shelf.get(job_id)
    if job is None or not job.finished:
        return False
    record = packed(job, job.known, job.events)
    place = keys.numbered(keys.ARCHIVE, job_id)
    for at, start in enumerate(range(PART_BYTES, len(record), PART_BYTES), 1):
        part = (f"{place}/{at:03d}", record[start : start + PART_BYTES])
        await queue.commit(Transaction(puts=(part,)))
    gone = [
        keys.numbered(keys.JOBS, job_id),
        keys.numbered(keys.FINISHED, job_id),
        keys.numbered(keys.PRIORITY, job_id),
        *(keys.line(job_id, at) for at in range(job.events)),
    ]
    room = MAX_WRITES - 2
    surplus = [gone[start : start + MAX_WRITES] for start in range(room, len(gone), MAX_WRITES)]
    if len(record) <= PART_BYTES:
        # its end was stored whole, so nobody reads its journal: who dies here leaves no line of it
        while surplus:
            await queue.commit(Transaction(deletes=tuple(surplus.pop())))
    # numbers are never used again, although the highest one may leave the hot path here
    serial = (keys.SERIAL, str(queue.last_id).encode())
    await queue.commit(
        Transaction(puts=((place, record[:PART_BYTES]), serial), deletes=tuple(gone[:room]))
    )
    queue.shelf.remove(job_id)
    for keys_left in surplus:
        await queue.commit(Transaction(deletes=tuple(keys_left)))
    return True


async def auto_archive(
    queue: Queue, age_s: float | None, time_left: Callable[[], bool]
) -> tuple[int, int]:
    """Archive jobs that ended at least ``age_s`` ago (None: all) while there is time; answers
    (archived, not looked at). Small ones go together, as many as one transaction takes."""
    now = queue.now()
    together = _Together(queue)
    ended = queue.shelf.ended_ids()
    for at, job_id in enumerate(ended):
        if not time_left():
            await together.commit()
            return together.count, len(ended) - at
        ended_at = queue.shelf.ended_at(job_id)
        if age_s is None or (ended_at is not None and now - ended_at >= age_s):
            await together.add(job_id)
    await together.commit()
    return together.count, 0


class _Together:
    """Jobs that are archived in one transaction; ``count`` of them are."""

    def __init__(self, queue: Queue) -> None:
        self.count = 0
        self._queue = queue
        self._ids: list[int] = []
        self._writes = Transaction()
        self._bytes = 0

    async def add(self, job_id: int) -> None:
        """Also that one. Its journal is gone since it ended, but for what was too long."""
        job = self._queue.shelf.get(job_id)
        if job is None:
            return  # somebody else has archived it meanwhile
        record = self._queue.shelf.record(job_id)
        gone = (
            keys.numbered(keys.FINISHED, job_id),
            *(keys.line(job_id, at) for at in range(job.events)),
        )
        if len(gone) > LIGHT_WRITES or len(record) > LIGHT_BYTES:
            self.count += await archive(self._queue, job_id)
            return
        writes = len(self._writes.puts) + len(self._writes.deletes) + 1 + len(gone)
        if writes > MAX_WRITES - 1 or self._bytes + len(record) > PART_BYTES:
            await self.commit()
        place = keys.numbered(keys.ARCHIVE, job_id)
        self._writes += Transaction(puts=((place, record),), deletes=gone)
        self._bytes += len(record)
        self._ids.append(job_id)

    async def commit(self) -> None:
        """What was added is archived."""
        ids, self._ids = self._ids, []
        writes, self._writes, self._bytes = self._writes, Transaction(), 0
        if not ids:
            return
        # numbers are never used again, although the highest one may leave the hot path here
        serial = (keys.SERIAL, str(self._queue.last_id).encode())
        await self._queue.commit(writes + Transaction(puts=(serial,)))
        for job_id in ids:
            self._queue.shelf.remove(job_id)
        self.count += len(ids)


async def find(queue: Queue, job_id: int) -> Job | None:
    """An archived job as it ended, or None."""
    entries = await queue.store.read(keys.numbered(keys.ARCHIVE, job_id))
    if not entries:
        return None
    return _job(queue, b"".join(entry.value for entry in entries))


async def pages(queue: Queue) -> AsyncIterator[list[Job]]:
    """All archived jobs by number, some at a time."""
    for page in range(queue.last_id // 10**PAGE_DIGITS + 1):
        prefix = f"{keys.ARCHIVE}{page:0{keys.DIGITS - PAGE_DIGITS}d}"
        records: dict[int, list[bytes]] = {}
        for entry in await queue.store.read(prefix):
            records.setdefault(keys.number_in(entry.key), []).append(entry.value)
        stored = [b"".join(parts) for parts in records.values()]
        for start in range(0, len(stored), PAGE):
            yield [_job(queue, one) for one in stored[start : start + PAGE]]


def _job(queue: Queue, stored: bytes) -> Job:
    job = unpacked(stored, queue.registry)
    job.archived = True
    return job
