"""A store over a pretended network: answers take time, and may never come.

Each candidate of a simulated cluster sees the one store through a ``FarStore``, as a client sees
etcd. While it is cut off, requests are refused after a while as ``StoreAway`` (a commit that was on
its way may be written all the same), and its watchers hear what they missed when it is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from clusterd.world import Clock
from jobqueue.errors import StoreAway
from jobqueue.store.interface import Change, Entry, Store, Transaction, Watcher
from jobqueue.store.leadership import Lease, Leases
from jobqueue.store.memory import MemoryStore
from jobqueue.store.watchers import Watchers

T = TypeVar("T")

DELAY_S = 0.002
PATIENCE_S = 1.5
"""After so long a request that is not answered is StoreAway."""


class Uplink:
    """The way from one candidate to the store; all its stores share it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._cut = False
        self._mended: list[Callable[[], None]] = []

    def is_cut(self) -> bool:
        """Nothing passes."""
        return self._cut

    def cut(self) -> None:
        """Nothing passes any more."""
        self._cut = True

    def mend(self) -> None:
        """Requests pass again, and what was missed is told."""
        self._cut = False
        for tell in tuple(self._mended):
            tell()

    def once_mended(self, tell: Callable[[], None]) -> None:
        """Call each time."""
        self._mended.append(tell)

    def forget(self, tell: Callable[[], None]) -> None:
        """Call no more."""
        if tell in self._mended:
            self._mended.remove(tell)

    async def pass_(self, duration_s: float) -> None:
        """Let time pass."""
        passed: Deferred[None] = Deferred()
        self.clock.callLater(duration_s, passed.callback, None)
        await passed

    async def ask(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """There, done, and back; raises StoreAway when one of the ways is cut."""
        await self.pass_(DELAY_S)
        if self.is_cut():
            await self.pass_(PATIENCE_S)
            raise StoreAway("the store cannot be reached")
        answer = await work()
        await self.pass_(DELAY_S)
        if self.is_cut():
            await self.pass_(PATIENCE_S)
            raise StoreAway("the store's answer was lost")
        return answer


class FarStore(Store):
    """One client."""

    def __init__(self, near: MemoryStore, uplink: Uplink) -> None:
        self._near = near
        self._uplink = uplink
        self._watchers = Watchers()
        self._missed: list[tuple[Change, ...]] = []
        self._unwatch = near.watch("", self._changed)
        uplink.once_mended(self._tell_missed)

    def die(self) -> None:
        """The process is gone."""
        self._near.die()
        self._watchers.clear()
        self._uplink.forget(self._tell_missed)

    async def commit(self, transaction: Transaction) -> int:
        """See the contract."""
        return await self._uplink.ask(lambda: self._near.commit(transaction))

    async def read(self, prefix: str) -> tuple[Entry, ...]:
        """See the contract."""
        return await self._uplink.ask(lambda: self._near.read(prefix))

    async def get(self, key: str) -> Entry | None:
        """See the contract."""
        return await self._uplink.ask(lambda: self._near.get(key))

    def watch(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        """See the contract."""
        return self._watchers.add(prefix, watcher)

    @property
    def leases(self) -> Leases | None:
        """See the contract."""
        near = self._near.leases
        return None if near is None else _FarLeases(near, self._uplink)

    async def close(self) -> None:
        """See the contract."""
        self._unwatch()
        self._watchers.clear()
        self._uplink.forget(self._tell_missed)
        await self._near.close()

    def _changed(self, changes: tuple[Change, ...]) -> None:
        if self._uplink.is_cut() or self._missed:
            self._missed.append(changes)
        else:
            self._watchers.tell(changes)

    def _tell_missed(self) -> None:
        while self._missed:
            self._watchers.tell(self._missed.pop(0))


class _FarLeases(Leases):
    def __init__(self, near: Leases, uplink: Uplink) -> None:
        self._near = near
        self._uplink = uplink

    async def grant(self, ttl_s: float) -> Lease:
        """See the contract."""
        return await self._uplink.ask(lambda: self._near.grant(ttl_s))

    async def keep_alive(self, lease_id: int) -> float:
        """See the contract."""
        return await self._uplink.ask(lambda: self._near.keep_alive(lease_id))

    async def revoke(self, lease_id: int) -> None:
        """See the contract."""
        await self._uplink.ask(lambda: self._near.revoke(lease_id))
