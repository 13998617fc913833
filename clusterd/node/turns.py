"""One at a time on one thing: calls that change the same volume or guest wait for each other."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred

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
        self._locks: dict[str, deque[Deferred[None]]] = {}
        """Of what is held: who waits for it."""

    def turn(self, subject: str, timeout_s: float) -> _Turn:
        """Hold ``subject`` within an ``async with``; raises TurnNotReached when its turn did not
        come in time. An empty subject is nobody's."""
        return _Turn(self, subject, timeout_s)

    async def take(self, subject: str, timeout_s: float) -> None:
        """See ``turn``."""
        line = self._locks.get(subject)
        if line is None:
            self._locks[subject] = deque()
            return
        waiting: Deferred[None] = Deferred()
        line.append(waiting)
        try:
            await within(waiting, timeout_s, self._clock)
        except TimedOut:
            raise TurnNotReached(
                f"another call worked on {subject} for {timeout_s:g} s; this one was not begun",
                subject=subject,
            ) from None
        finally:
            if waiting in line:  # its turn has not come
                line.remove(waiting)

    def give_back(self, subject: str) -> None:
        """The next one's turn has come."""
        line = self._locks[subject]
        if line:
            line.popleft().callback(None)
        else:
            del self._locks[subject]
