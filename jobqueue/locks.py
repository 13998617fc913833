"""Locks: names, levels, and a table that grants them in one fixed order without starvation.

Decided here: who holds what and who is next. Not decided here: which locks an operation needs.

Invariant: a lock has any number of shared holders or one exclusive holder. An owner asks once at a
time and only for levels above those that it holds, and gets all that it wants of a level together.
So who waits, waits for owners that wait on higher levels or stand ahead of it: never in a circle.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import msgspec
from twisted.internet.defer import CancelledError, Deferred

from jobqueue.ageing import order_of
from jobqueue.errors import LockRefused
from jobqueue.lock import Level, Lock
from jobqueue.lock_level import ALL, Claim, LockLevel, Order

__all__ = ["ALL", "Held", "LockTable", "merge"]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the lock query."""

    name: str
    mode: str | None
    owners: tuple[str, ...]
    pending: tuple[tuple[str, str], ...]
    """(mode, owner) in the order in which they will be served."""
    held_s: tuple[float, ...] = ()
    """For how long, owner by owner."""
    waiting_s: tuple[float, ...] = ()
    """For how long, in the order of ``pending``."""


class _Asking:
    """One call of ``acquire`` that has not ended."""

    def __init__(self, asked: float, order: Order) -> None:
        self.asked = asked
        self.order = order
        self.level = Level.CLUSTER
        self.claim: Claim | None = None
        """What waits on ``level``; None once granted."""
        self.granted: Deferred[None] = Deferred()


def merge(locks: Iterable[Lock]) -> tuple[Lock, ...]:
    """Sorted, one entry a name; exclusive wins over shared, and a level's lockset over its names.

    A shared lockset beside an exclusive name becomes an exclusive lockset.
    """
    chosen: dict[Level, dict[str, bool]] = {}
    for lock in locks:
        names = chosen.setdefault(lock.level, {})
        names[lock.name] = names.get(lock.name, True) and lock.shared
    for level, names in chosen.items():
        if ALL in names:
            chosen[level] = {ALL: all(names.values())}
    return tuple(
        [
            Lock(level, name, chosen[level][name])
            for level in sorted(chosen)
            for name in sorted(chosen[level])
        ]
    )


class LockTable:
    """All locks of the cluster; lives in the master's memory, rebuilt from running jobs."""

    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        self._now = now
        self._levels = {level: LockLevel() for level in Level}
        self._held: dict[str, dict[Level, dict[str, bool]]] = {}
        self._since: dict[tuple[str, Level], float] = {}
        self._asking: dict[str, _Asking] = {}
        self._tickets = itertools.count()

    async def acquire(self, owner: str, locks: tuple[Lock, ...], priority: int = 0) -> None:
        """Hold all of ``locks``, taken level by level; waiting lasts as long as it must.

        What the owner holds already, at least as strictly, is not asked for again. When cancelled
        while waiting, the owner's locks are given back. Raises LockRefused, nothing changed, when
        the owner is waiting already, and for anything new on a level that it holds locks of or
        below such a level (a shared lock wanted exclusively is new): release first.
        """
        wanted = self._wanted(owner, locks)
        now = self._now()
        asking = _Asking(now, (order_of(now, priority), next(self._tickets)))
        self._asking[owner] = asking
        try:
            for level, names in wanted.items():
                await self._take(owner, asking, level, names)
        except (CancelledError, GeneratorExit):
            self.release(owner)
            raise
        finally:
            if self._asking.get(owner) is asking:
                del self._asking[owner]

    def seize(self, owner: str, locks: tuple[Lock, ...]) -> None:
        """Hold ``locks`` at once, before anybody else asks: a resumed job's own.

        Raises LockRefused, nothing changed, when another owner holds what stands against them or
        the owner has asked for locks.
        """
        merged = merge(locks)
        if owner in self._asking or owner in self._held:
            raise LockRefused(f"owner {owner} has asked for locks: seize before anybody asks")
        for lock in merged:
            if not self._levels[lock.level].can_share(lock.name, lock.shared):
                raise LockRefused(f"lock {lock} of owner {owner} is held by another owner")
        for level, names in _by_level(merged).items():
            self._levels[level].hold(owner, names)
            self._hold(owner, level, names)

    def release(self, owner: str) -> None:
        """Give back everything that ``owner`` holds or waits for; its waiting ``acquire`` ends with
        CancelledError."""
        served: list[Claim] = []
        asking = self._asking.pop(owner, None)
        if asking and asking.claim:
            served += self._levels[asking.level].withdraw(asking.claim)
            asking.claim = None
        for level, names in self._held.pop(owner, {}).items():
            del self._since[owner, level]
            served += self._levels[level].let_go(owner, names)
        granted = [self._note(claim) for claim in served]
        if asking:
            asking.granted.cancel()
        _tell(granted)

    def reprioritise(self, owner: str, priority: int) -> None:
        """Serve ``owner`` according to a new priority."""
        asking = self._asking.get(owner)
        if asking is None:
            return
        asking.order = (order_of(asking.asked, priority), asking.order[1])
        if asking.claim is None:
            return
        served = self._levels[asking.level].move(asking.claim, asking.order)
        _tell([self._note(claim) for claim in served])

    def waits(self, owner: str) -> bool:
        """True while ``owner`` waits for a lock."""
        asking = self._asking.get(owner)
        return asking is not None and asking.claim is not None

    def holdings(self, owner: str) -> tuple[Lock, ...]:
        """What ``owner`` holds, in order."""
        return tuple(
            [
                Lock(level, name, names[name])
                for level, names in sorted(self._held.get(owner, {}).items())
                for name in sorted(names)
            ]
        )

    def taken_from(self, owner: str) -> dict[str, str]:
        """The locks that another owner holds alone, each with that owner."""
        return {
            f"{level.label}/{name}": ",".join(sorted(holders))
            for level, locks in self._levels.items()
            for name, holders in sorted(locks.holders.items())
            if owner not in holders and not all(holders.values())
        }

    def rows(self) -> tuple[Held, ...]:
        """All locks that somebody holds or waits for, in order."""
        return tuple(
            self._row(level, name)
            for level, locks in self._levels.items()
            for name in sorted(locks.names())
        )

    def broken(self) -> list[Held]:
        """Locks that are held exclusively and not by one alone: there are none, ever."""
        return [
            self._row(level, name)
            for level, locks in self._levels.items()
            if locks.holders
            for name, holders in locks.holders.items()
            if len(holders) > 1 and not all(holders.values())
        ]

    def row(self, name: str) -> Held | None:
        """One lock that somebody holds or waits for, by its name with the level."""
        label, _, own = name.partition("/")
        for level, locks in self._levels.items():
            if level.label == label and locks.known(own):
                return self._row(level, own)
        return None

    def behind(self, owners: set[str]) -> set[str]:
        """Who waits for one of ``owners``, or for somebody who does. Costs as much as there are
        who wait; for the few moments in which an owner will not go on by himself."""
        waits_for = {
            owner: self._levels[asking.level].against(asking.claim)
            for owner, asking in self._asking.items()
            if asking.claim is not None
        }
        found: set[str] = set()
        more = True
        while more:
            new = {
                owner
                for owner, others in waits_for.items()
                if owner not in found and not others.isdisjoint(owners | found)
            }
            found |= new
            more = bool(new)
        return found

    def _wanted(self, owner: str, locks: tuple[Lock, ...]) -> dict[Level, dict[str, bool]]:
        """What is missing, by level in order."""
        if owner in self._asking:
            raise LockRefused(f"owner {owner} waits for locks already: it may ask once at a time")
        held = self._held.get(owner, {})
        missing = [lock for lock in merge(locks) if not _covered(lock, held.get(lock.level, {}))]
        if missing and held and missing[0].level <= max(held):
            raise LockRefused(
                f"owner {owner} asks for lock {missing[0]} while it holds locks of level"
                f" {max(held).label}: release those first"
            )
        return _by_level(missing)

    async def _take(
        self, owner: str, asking: _Asking, level: Level, names: dict[str, bool]
    ) -> None:
        asking.level = level
        asking.granted = Deferred()
        asking.claim = Claim(owner, names, asking.order)
        if self._levels[level].ask(asking.claim):
            self._note(asking.claim)
            return
        await asking.granted

    def _note(self, claim: Claim) -> Deferred[None]:
        """Write down that a claim was granted; answers who wants to know."""
        asking = self._asking[claim.owner]
        asking.claim = None
        self._hold(claim.owner, asking.level, dict(claim.wants))
        return asking.granted

    def _hold(self, owner: str, level: Level, names: dict[str, bool]) -> None:
        self._held.setdefault(owner, {})[level] = names
        self._since[owner, level] = self._now()

    def _row(self, level: Level, name: str) -> Held:
        locks, now = self._levels[level], self._now()
        holders = locks.holders.get(name, {})
        owners = tuple(sorted(holders))
        mode = None
        if owners:
            mode = "shared" if all(holders.values()) else "exclusive"
        waiting = locks.line(name)
        return Held(
            name=f"{level.label}/{name}",
            mode=mode,
            owners=owners,
            pending=tuple(
                ("shared" if claim.wants[name] else "exclusive", claim.owner) for claim in waiting
            ),
            held_s=tuple(now - self._since[owner, level] for owner in owners),
            waiting_s=tuple(now - self._asking[claim.owner].asked for claim in waiting),
        )


def _tell(granted: list[Deferred[None]]) -> None:
    """Last of all, as each one told may change the table at once, even release another one."""
    for waiting in granted:
        waiting.callback(None)  # without effect on one that was cancelled meanwhile


def _by_level(locks: Iterable[Lock]) -> dict[Level, dict[str, bool]]:
    levels: dict[Level, dict[str, bool]] = {}
    for lock in locks:
        levels.setdefault(lock.level, {})[lock.name] = lock.shared
    return levels


def _covered(lock: Lock, held: dict[str, bool]) -> bool:
    """True when ``held`` gives at least what ``lock`` would."""
    return any(name in held and held[name] <= lock.shared for name in (lock.name, ALL))
