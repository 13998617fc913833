"""The store in memory: for simulated clusters, and the shortest statement of the contract.

Everything happens inside the call; a coroutine of this store waits only when a watcher commits from
within a notice (its own notice then comes after the current one) or when the store is dead.
The data live in a ``MemoryDisk`` apart from the store, so that a simulated master can die and
another one opens what it left; several stores on one disk see each other's commits as etcd's
clients do.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable
from typing import NoReturn, Protocol

from twisted.internet.defer import Deferred

from jobqueue.errors import Conflict, StoreAway, StoreError
from jobqueue.store.interface import (
    ABSENT,
    Change,
    Entry,
    Store,
    Transaction,
    Watcher,
    check_bounds,
)
from jobqueue.store.leadership import NO_LEASE, Leases
from jobqueue.store.memory_leases import Clock, LeaseTable, MemoryLeases
from jobqueue.store.watchers import Watchers


class Died(BaseException):
    """Raised by a ``Trouble``: the master's process ends here, its caller never hears again.

    Not an ``Exception``, as no code of the dead process may catch it; the store keeps it to itself.
    """


class Trouble(Protocol):
    """Simulated faults: asked around each commit of one store object.

    Either verb may raise ``StoreFull`` or ``StoreAway``, which the committer gets, or ``Died``.
    """

    def before_commit(self, transaction: Transaction) -> None:
        """Raising means: nothing was written."""

    def after_commit(self, transaction: Transaction, revision: int) -> None:
        """Raising means: it is written, though the committer does not learn it."""


class NoTrouble:
    """A store that always works."""

    def before_commit(self, transaction: Transaction) -> None:
        """Go on."""

    def after_commit(self, transaction: Transaction, revision: int) -> None:
        """Go on."""


class MemoryDisk:
    """What outlives a master: the entries, the revision, and who else has them open.

    Invariant: ``keys`` holds exactly the keys of ``entries``, sorted.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        """With a clock (the store's own, not a master's) it grants leases."""
        self.leases = None if clock is None else LeaseTable(clock, self._forget)
        self.entries: dict[str, Entry] = {}
        self.keys: list[str] = []
        self.revision = 0
        self.listeners: list[Watchers] = []
        self.silenced: list[Deferred[None]] = []
        self._untold: deque[tuple[tuple[Change, ...], Deferred[None]]] = deque()
        self._telling = False

    def apply(self, transaction: Transaction) -> tuple[Change, ...]:
        """Write all or raise Conflict; answers what really changed."""
        for key, version in transaction.expects:
            entry = self.entries.get(key)
            found = ABSENT if entry is None else entry.version
            if found != version:
                raise Conflict(conflict_message(key, version, found), key=key)
        if transaction.lease != NO_LEASE:
            if self.leases is None:
                raise StoreError("this store grants no leases")
            self.leases.check(transaction.lease)
        gone = [key for key in transaction.deletes if key in self.entries]
        if not transaction.puts and not gone:
            return ()
        self.revision += 1
        for key, value in transaction.puts:
            if key not in self.entries:
                bisect.insort(self.keys, key)
            self.entries[key] = Entry(key, value, self.revision)
        for key in gone:
            del self.entries[key]
            del self.keys[bisect.bisect_left(self.keys, key)]
        if self.leases is not None:
            self.leases.attach([key for key, _ in transaction.puts], transaction.lease)
            self.leases.attach(gone, NO_LEASE)
        return tuple(
            [Change(key, value, self.revision) for key, value in transaction.puts]
            + [Change(key, None, self.revision) for key in gone]
        )

    @property
    def telling(self) -> bool:
        """In the midst of telling listeners of a commit."""
        return self._telling

    def _forget(self, keys: list[str]) -> None:
        """A lease has ended: its keys go, in a commit of the store's own."""
        self.announce(self.apply(Transaction(deletes=tuple(keys))))

    def announce(self, changes: tuple[Change, ...]) -> Deferred[None] | None:
        """Tell all listeners, commit after commit; None: ``changes`` were told, else it fires when
        they were, as a listener has committed them."""
        if self._telling:
            told: Deferred[None] = Deferred()
            self._untold.append((changes, told))
            return told
        self._telling = True
        try:
            self._tell(changes)
            while self._untold:
                current, done = self._untold.popleft()
                self._tell(current)
                done.callback(None)
        finally:
            self._telling = False
        return None

    def _tell(self, changes: tuple[Change, ...]) -> None:
        for listener in tuple(self.listeners):
            listener.tell(changes)


def conflict_message(key: str, expected: int, found: int) -> str:
    """The sentence of a Conflict; the same for all engines."""
    wanted = "to be absent" if expected == ABSENT else f"in version {expected}"
    actual = "is absent" if found == ABSENT else f"has version {found}"
    return f"key '{key}' was expected {wanted} but {actual}: read it and decide again"


class MemoryStore(Store):
    """One master's view of a ``MemoryDisk``."""

    def __init__(self, disk: MemoryDisk | None = None, faults: Trouble | None = None) -> None:
        self.disk = MemoryDisk() if disk is None else disk
        self._faults: Trouble = NoTrouble() if faults is None else faults
        self._watchers = Watchers()
        self.disk.listeners.append(self._watchers)
        self._closed = False
        self._dead = False

    def die(self) -> None:
        """The simulated process is gone: no call returns any more, no watcher is told."""
        self._dead = True
        self._detach()

    async def commit(self, transaction: Transaction) -> int:
        """See the contract; done before the coroutine first waits."""
        check_bounds(transaction)
        if self._dead or self._closed:
            await self._answering()
        try:
            self._faults.before_commit(transaction)
            changes = self.disk.apply(transaction)
            revision = self.disk.revision
            told = self._finish(transaction, changes, revision)
        except Died:
            self.die()
            await self._silence()
        if told is not None:
            await told
        if self._dead:
            await self._silence()
        return revision

    async def read(self, prefix: str) -> tuple[Entry, ...]:
        """See the contract."""
        if self._dead or self._closed:
            await self._answering()
        keys, entries = self.disk.keys, self.disk.entries
        start = bisect.bisect_left(keys, prefix)
        length = len(prefix)
        end = bisect.bisect_right(keys, prefix, start, key=lambda key: key[:length])
        return tuple([entries[key] for key in keys[start:end]])

    async def get(self, key: str) -> Entry | None:
        """See the contract."""
        if self._dead or self._closed:
            await self._answering()
        return self.disk.entries.get(key)

    def watch(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        """See the contract; also tells of the commits of other stores on the same disk."""
        return self._watchers.add(prefix, watcher)

    @property
    def leases(self) -> Leases | None:
        """Those of the disk, as long as this store's process lives."""
        return None if self.disk.leases is None else MemoryLeases(self.disk.leases, self._answering)

    async def close(self) -> None:
        """See the contract."""
        if self._dead:
            await self._silence()
        self._closed = True
        self._detach()

    def _finish(
        self, transaction: Transaction, changes: tuple[Change, ...], revision: int
    ) -> Deferred[None] | None:
        """Tell the watchers, though not a dead master's own."""
        try:
            self._faults.after_commit(transaction, revision)
        except Died:
            self._detach()
            self.disk.announce(changes)
            raise
        except BaseException:
            self.disk.announce(changes)
            raise
        return self.disk.announce(changes)

    def _detach(self) -> None:
        self._watchers.clear()
        if self._watchers in self.disk.listeners:
            self.disk.listeners.remove(self._watchers)

    async def _answering(self) -> None:
        if self._dead:
            await self._silence()
        if self._closed:
            raise StoreAway("the store was closed")

    async def _silence(self) -> NoReturn:
        """Never return. The disk keeps the Deferred, so that the waiting coroutine is not collected
        while the simulation lasts (its ``finally`` blocks would run: the dead do not clean up)."""
        silent: Deferred[None] = Deferred()
        self.disk.silenced.append(silent)
        await silent
        raise AssertionError("a dead store's call was answered")
