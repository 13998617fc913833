"""One at a time on one thing: calls that change the same volume or guest wait for each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.internet.defer import Deferred, DeferredLock

from clusterd.calls.wire import TimedOut, within
from clusterd.errors import ClusterError
from clusterd.world import Clock


class TurnNotReached(ClusterError):
    """Another call still works on the same thing."""

    code = "turn_not_reached"
    retryable = True


class Turns:
    """Invariant: a subject has at most one holder; a subject that nobody wants takes no room."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._locks: dict[str, DeferredLock] = {}
        self._wanted: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, subject: str, timeout_s: float) -> AsyncIterator[None]:
        """Hold ``subject``; raises TurnNotReached when its turn did not come in time. An empty
        subject is nobody's."""
        if not subject:
            yield
            return
        lock = self._locks.setdefault(subject, DeferredLock())
        self._wanted[subject] = self._wanted.get(subject, 0) + 1
        try:
            await self._acquire(lock, subject, timeout_s)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._wanted[subject] -= 1
            if not self._wanted[subject]:
                del self._wanted[subject], self._locks[subject]

    async def _acquire(self, lock: DeferredLock, subject: str, timeout_s: float) -> None:
        acquiring: Deferred[DeferredLock] = lock.acquire()
        if acquiring.called:
            return
        try:
            await within(acquiring, timeout_s, self._clock)
        except TimedOut:
            raise TurnNotReached(
                f"another call worked on {subject} for {timeout_s:g} s; this one was not begun",
                subject=subject,
            ) from None
