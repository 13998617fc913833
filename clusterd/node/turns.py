"""One at a time on one thing: calls that change the same volume or guest wait for each other."""

from __future__ import annotations

from twisted.internet.defer import Deferred, DeferredLock

from clusterd.calls.wire import TimedOut, within
from clusterd.errors import ClusterError
from clusterd.world import Clock


class TurnNotReached(ClusterError):
    """Another call still works on the same thing."""

    code = "turn_not_reached"
    retryable = True


class _Turn:
    """One turn, from its beginning to its end."""

    def __init__(self, turns: Turns, subject: str, timeout_s: float) -> None:
        self._turns = turns
        self._subject = subject
        self._timeout_s = timeout_s

    async def __aenter__(self) -> None:
        if self._subject:
            await self._turns.take(self._subject, self._timeout_s)

    async def __aexit__(self, *_: object) -> None:
        if self._subject:
            self._turns.give_back(self._subject)


class Turns:
    """Invariant: a subject has at most one holder; a subject that nobody wants takes no room."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._locks: dict[str, DeferredLock] = {}
        self._wanted: dict[str, int] = {}

    def turn(self, subject: str, timeout_s: float) -> _Turn:
        """Hold ``subject`` within an ``async with``; raises TurnNotReached when its turn did not
        come in time. An empty subject is nobody's."""
        return _Turn(self, subject, timeout_s)

    async def take(self, subject: str, timeout_s: float) -> None:
        """See ``turn``."""
        lock = self._locks.get(subject)
        if lock is None:
            lock = self._locks[subject] = DeferredLock()
        self._wanted[subject] = self._wanted.get(subject, 0) + 1
        try:
            await self._acquire(lock, subject, timeout_s)
        except BaseException:
            self._want_no_more(subject)
            raise

    def give_back(self, subject: str) -> None:
        """The next one's turn has come."""
        self._locks[subject].release()
        self._want_no_more(subject)

    def _want_no_more(self, subject: str) -> None:
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
