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

PAGE_DIGITS = 3
"""Archived jobs are read by the thousand."""


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
    # numbers are never used again, although the highest one may leave the hot path here
    serial = (keys.SERIAL, str(queue.last_id).encode())
    await queue.commit(
        Transaction(puts=((place, record[:PART_BYTES]), serial), deletes=tuple(gone[:room]))
    )
    queue.shelf.remove(job_id)
    for start in range(room, len(gone), MAX_WRITES):
        await queue.commit(Transaction(deletes=tuple(gone[start : start + MAX_WRITES])))
    return True


async def auto_archive(
    queue: Queue, age_s: float | None, time_left: Callable[[], bool]
) -> tuple[int, int]:
    """Archive jobs that ended at least ``age_s`` ago (None: all) while there is time; answers
    (archived, not looked at)."""
    now = queue.now()
    count = 0
    ended = queue.shelf.ended_ids()
    for at, job_id in enumerate(ended):
        if not time_left():
            return count, len(ended) - at
        job = queue.shelf.get(job_id)
        old = job is not None and (age_s is None or now - (job.ended or now) >= age_s)
        if old and await archive(queue, job_id):
            count += 1
    return count, 0


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
        yield [_job(queue, b"".join(parts)) for parts in records.values()]


def _job(queue: Queue, stored: bytes) -> Job:
    job = unpacked(stored, queue.registry)
    job.archived = True
    return job
