"""The jobs in memory. Those that have not ended are objects; ended ones are soon kept packed.

Invariant: a number is either unfinished, or among the ended ones, or not here. Looking a job up
costs the same however many there are, and so does each change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from jobqueue.live import Job

UNPACKED = 1000
"""So many of the last ended jobs stay objects: those are the ones that people ask for."""


class Shelf:
    """All jobs that are not archived."""

    def __init__(self, unpack: Callable[[bytes], Job]) -> None:
        self._unpack = unpack
        self._unfinished: dict[int, Job] = {}
        self._ended: dict[int, bytes | Job] = {}
        self._packed: dict[int, bytes] = {}
        """Of those that are still objects in ``_ended``."""
        self._recent: deque[int] = deque()
        self._ends: dict[int, float | None] = {}
        """When jobs ended, as far as somebody has asked."""

    def __len__(self) -> int:
        return len(self._unfinished) + len(self._ended)

    def get(self, job_id: int) -> Job | None:
        """A job by number."""
        job = self._unfinished.get(job_id)
        if job is not None:
            return job
        ended = self._ended.get(job_id)
        return self._unpack(ended) if isinstance(ended, bytes) else ended

    def all(self) -> Iterator[Job]:
        """All jobs by number."""
        for job_id in sorted([*self._unfinished, *self._ended]):
            job = self.get(job_id)
            if job is not None:
                yield job

    def pages(self, size: int) -> Iterator[list[Job]]:
        """Those that are here now, by number, so many at a time; what leaves meanwhile is left out.
        The caller may let time pass between two pages."""
        numbers = sorted([*self._unfinished, *self._ended])
        for start in range(0, len(numbers), size):
            found = (self.get(number) for number in numbers[start : start + size])
            yield [job for job in found if job is not None]

    def objects(self) -> Iterator[Job]:
        """Those that can still change, and those that did of late."""
        yield from self.unfinished()
        for number in self._recent:
            job = self._ended.get(number)
            if isinstance(job, Job):
                yield job

    def unfinished(self) -> list[Job]:
        """Jobs that have not ended, by number."""
        if len(self._unfinished) < 2:
            return list(self._unfinished.values())
        return [self._unfinished[job_id] for job_id in sorted(self._unfinished)]

    def last(self) -> int:
        """The highest number, 0 when empty."""
        return max(max(self._unfinished, default=0), max(self._ended, default=0))

    def ended_ids(self) -> list[int]:
        """Numbers of the jobs that have ended, in order."""
        return sorted(self._ended)

    def ended_at(self, job_id: int) -> float | None:
        """When this one of them ended, in seconds since the epoch. Looked up once a job."""
        if job_id not in self._ends:
            job = self.get(job_id)
            if job is None:
                return None
            self._ends[job_id] = job.ended
        return self._ends[job_id]

    def record(self, job_id: int) -> bytes:
        """What is stored of a job that has ended."""
        ended = self._ended[job_id]
        return ended if isinstance(ended, bytes) else self._packed[job_id]

    def add(self, job: Job) -> None:
        """A new job."""
        self._unfinished[job.id] = job

    def add_ended(self, job_id: int, packed: bytes) -> None:
        """A job that ended before this master began; it may have been taken for unfinished."""
        self._unfinished.pop(job_id, None)
        self._ended[job_id] = packed

    def end(self, job: Job, packed: bytes) -> None:
        """The job has ended; the object stays for a while."""
        self._unfinished.pop(job.id, None)
        self._ended[job.id] = job
        self._packed[job.id] = packed
        self._recent.append(job.id)
        while len(self._recent) > UNPACKED:
            oldest = self._recent.popleft()
            compact = self._packed.pop(oldest, None)
            if compact is not None:
                self._ended[oldest] = compact

    def remove(self, job_id: int) -> None:
        """The job was archived."""
        self._ended.pop(job_id, None)
        self._packed.pop(job_id, None)
        self._ends.pop(job_id, None)
