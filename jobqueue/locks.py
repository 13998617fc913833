"""Locks: names, levels, and a table that grants them in one fixed order without starvation.

Decided here: who holds what and who is next. Not decided here: which locks an operation needs.

Invariant: a lock has any number of shared holders or one exclusive holder; an owner waits for at most
one lock at a time and only for one that sorts after all that it holds, so nobody waits in a circle.
"""

from __future__ import annotations

import enum
import itertools

import msgspec
from twisted.internet.defer import CancelledError, Deferred


class Level(enum.IntEnum):
    """Levels in the order in which they are taken."""

    CLUSTER = 0
    INSTANCE = 1
    NODEGROUP = 2
    NODE = 3
    NODE_RES = 4
    NETWORK = 5

    @property
    def label(self) -> str:
        """The level as it is written in lock names."""
        return self.name.lower().replace("_", "-")


ALL = "[lockset]"
"""The name that stands for each lock of a level, future ones included."""


class Lock(msgspec.Struct, frozen=True, order=True):
    """One lock that an operation asks for. Sorting gives the order of acquisition."""

    level: Level
    name: str
    shared: bool = False

    def __str__(self) -> str:
        return f"{self.level.label}/{self.name}"


BIG_LOCK_SHARED = Lock(Level.CLUSTER, "BGL", True)
BIG_LOCK_EXCLUSIVE = Lock(Level.CLUSTER, "BGL", False)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the lock query."""

    name: str
    mode: str | None
    owners: tuple[str, ...]
    pending: tuple[tuple[str, str], ...]
    """(mode, owner) in the order in which they will be served."""


class _Waiter:
    def __init__(self, owner: str, lock: Lock, order: tuple[int, int]) -> None:
        self.owner = owner
        self.lock = lock
        self.order = order
        self.granted: Deferred[None] = Deferred()


def merge(locks: list[Lock]) -> tuple[Lock, ...]:
    """Sorted, one entry a name; exclusive wins over shared."""
    chosen: dict[tuple[Level, str], bool] = {}
    for lock in locks:
        key = (lock.level, lock.name)
        chosen[key] = chosen.get(key, True) and lock.shared
    return tuple(Lock(level, name, chosen[level, name]) for level, name in sorted(chosen))


class LockTable:
    """All locks of the cluster; lives in the master's memory, rebuilt from running jobs."""

    def __init__(self) -> None:
        self._holders: dict[tuple[Level, str], dict[str, bool]] = {}
        self._waiters: list[_Waiter] = []
        self._tickets = itertools.count()

    async def acquire(self, owner: str, locks: tuple[Lock, ...], priority: int = 0) -> None:
        """Hold all of ``locks``, taken in order; waiting lasts as long as it must.

        When cancelled while waiting, the owner's locks are given back.
        """
        ticket = next(self._tickets)
        try:
            for lock in merge(list(locks)):
                if self._holders.get((lock.level, lock.name), {}).get(owner, True) is False:
                    continue
                waiter = _Waiter(owner, lock, (priority, ticket))
                self._waiters.append(waiter)
                self._waiters.sort(key=lambda item: item.order)
                self._serve()
                await waiter.granted
        except (CancelledError, GeneratorExit):
            self.release(owner)
            raise

    def seize(self, owner: str, locks: tuple[Lock, ...]) -> None:
        """Hold ``locks`` at once, before anybody else asks: a resumed job's own."""
        for lock in merge(list(locks)):
            self._holders.setdefault((lock.level, lock.name), {})[owner] = lock.shared

    def release(self, owner: str) -> None:
        """Give back everything that ``owner`` holds or waits for."""
        for key in [key for key, owners in self._holders.items() if owner in owners]:
            del self._holders[key][owner]
            if not self._holders[key]:
                del self._holders[key]
        self._waiters = [waiter for waiter in self._waiters if waiter.owner != owner]
        self._serve()

    def reprioritise(self, owner: str, priority: int) -> None:
        """Serve ``owner`` according to a new priority."""
        for waiter in self._waiters:
            if waiter.owner == owner:
                waiter.order = (priority, waiter.order[1])
        self._waiters.sort(key=lambda item: item.order)
        self._serve()

    def waits(self, owner: str) -> bool:
        """True while ``owner`` waits for a lock."""
        return any(waiter.owner == owner for waiter in self._waiters)

    def holdings(self, owner: str) -> tuple[Lock, ...]:
        """What ``owner`` holds, in order."""
        return tuple(
            Lock(level, name, owners[owner])
            for (level, name), owners in sorted(self._holders.items())
            if owner in owners
        )

    def rows(self) -> tuple[Held, ...]:
        """All locks that somebody holds or waits for, in order."""
        keys = set(self._holders) | {(w.lock.level, w.lock.name) for w in self._waiters}
        return tuple(self._row(level, name) for level, name in sorted(keys))

    def _row(self, level: Level, name: str) -> Held:
        owners = self._holders.get((level, name), {})
        mode = None
        if owners:
            mode = "shared" if all(owners.values()) else "exclusive"
        return Held(
            name=f"{level.label}/{name}",
            mode=mode,
            owners=tuple(sorted(owners)),
            pending=tuple(
                ("shared" if w.lock.shared else "exclusive", w.owner)
                for w in self._waiters
                if (w.lock.level, w.lock.name) == (level, name)
            ),
        )

    def _serve(self) -> None:
        """Grant each waiter that neither a holder nor an earlier waiter stands against."""
        granted: list[_Waiter] = []
        ahead: list[_Waiter] = []
        for waiter in self._waiters:
            blocked = self._held_against(waiter) or any(
                _collide(waiter.lock, other.lock) and other.owner != waiter.owner for other in ahead
            )
            if blocked:
                ahead.append(waiter)
                continue
            lock = waiter.lock
            self._holders.setdefault((lock.level, lock.name), {})[waiter.owner] = lock.shared
            granted.append(waiter)
        self._waiters = [waiter for waiter in self._waiters if waiter not in granted]
        for waiter in granted:
            waiter.granted.callback(None)

    def _held_against(self, waiter: _Waiter) -> bool:
        for (level, name), owners in self._holders.items():
            if level is not waiter.lock.level:
                continue
            for owner, shared in owners.items():
                if owner != waiter.owner and _collide(waiter.lock, Lock(level, name, shared)):
                    return True
        return False


def _collide(one: Lock, two: Lock) -> bool:
    same = one.level is two.level and (one.name == two.name or ALL in (one.name, two.name))
    return same and not (one.shared and two.shared)
