"""A lock table with owners that ask and hear, for tests."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from jobqueue.lock import Level, Lock
from jobqueue.locks import LockTable


def exclusive(name: str, level: Level = Level.NODE) -> Lock:
    """One lock."""
    return Lock(level, name)


def shared(name: str, level: Level = Level.NODE) -> Lock:
    """One lock that others may share."""
    return Lock(level, name, True)


class Court:
    """A lock table and what its owners heard, in order."""

    def __init__(self) -> None:
        self.table = LockTable()
        self.heard: list[str] = []
        self.asking: dict[str, Deferred[None]] = {}

    def ask(self, owner: str, *locks: Lock, priority: int = 0) -> None:
        """Begin to acquire."""
        waiting = Deferred.fromCoroutine(self.table.acquire(owner, locks, priority))
        self.asking[owner] = waiting
        waiting.addCallbacks(lambda _: self._hear(owner), lambda why: self._fail(owner, why.value))

    def _hear(self, owner: str) -> None:
        self.heard.append(owner)
        del self.asking[owner]

    def _fail(self, owner: str, error: Exception) -> None:
        self.heard.append(f"{owner} {type(error).__name__}")
        del self.asking[owner]

    def heard_since(self) -> list[str]:
        """What was heard since the last call."""
        heard, self.heard = self.heard, []
        return heard
