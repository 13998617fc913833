"""Places to run: at most so many jobs act at once. A job that waits for locks gives its place to
another one, and once it has its locks comes before all that have not begun.

Invariant: who has a place never waits for a lock; so places become free again, whoever holds what.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from twisted.internet.defer import Deferred


class Slots:
    """The places. ``limit`` is asked each time."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self.limit = limit
        self._busy: set[int] = set()
        self._back: list[tuple[float, int, Deferred[None]]] = []

    @property
    def free(self) -> bool:
        """True when a new job may begin."""
        return len(self._busy) < self.limit() and not self._waiting()

    def take(self, job_id: int) -> None:
        """The job acts; one that was under way when the master died is not asked to wait."""
        self._busy.add(job_id)

    def leave(self, job_id: int) -> None:
        """The job has ended, or waits."""
        self._busy.discard(job_id)
        while self._waiting() and len(self._busy) < self.limit():
            _order, number, waiting = heapq.heappop(self._back)
            self._busy.add(number)
            waiting.callback(None)

    async def come_back(self, job_id: int, order: float) -> None:
        """Return once the job has a place again. Cancelling gives up waiting."""
        if job_id in self._busy:
            return
        if self.free:
            self._busy.add(job_id)
            return
        waiting: Deferred[None] = Deferred()
        heapq.heappush(self._back, (order, job_id, waiting))
        await waiting

    def _waiting(self) -> bool:
        """Also forgets those that were cancelled."""
        while self._back and self._back[0][2].called:
            heapq.heappop(self._back)
        return bool(self._back)
