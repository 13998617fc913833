"""Leases in memory: for simulated clusters, by the clock of the simulated store.

``LeaseTable`` belongs to the disk and outlives a master; ``MemoryLeases`` is one master's view of
it and falls silent when that master dies.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from jobqueue.errors import LeaseGone
from jobqueue.store.leadership import NO_LEASE, Lease, Leases

SHORTEST_TTL_S = 1.0


class Clock(Protocol):
    """Twisted's ``IReactorTime``, as far as it is needed."""

    def callLater(self, delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        """Call later."""


class _Held:
    def __init__(self, ttl_s: float) -> None:
        self.ttl_s = ttl_s
        self.timer: Any = None
        self.keys: list[str] = []


class LeaseTable:
    """All leases of one disk. Invariant: a key is in the list of at most one lease."""

    def __init__(self, clock: Clock, forget: Callable[[list[str]], None]) -> None:
        self._clock = clock
        self._forget = forget
        self._held: dict[int, _Held] = {}
        self._last_id = 0

    def grant(self, ttl_s: float) -> Lease:
        """A new lease of whole seconds, as etcd's."""
        self._last_id += 1
        held = self._held[self._last_id] = _Held(max(SHORTEST_TTL_S, float(math.ceil(ttl_s))))
        self._start(self._last_id, held)
        return Lease(self._last_id, held.ttl_s)

    def keep_alive(self, lease_id: int) -> float:
        """Start it anew; raises LeaseGone."""
        held = self.check(lease_id)
        held.timer.cancel()
        self._start(lease_id, held)
        return held.ttl_s

    def check(self, lease_id: int) -> _Held:
        """The lease; raises LeaseGone."""
        held = self._held.get(lease_id)
        if held is None:
            raise LeaseGone(f"lease {lease_id:x} has ended: take a new one")
        return held

    def attach(self, keys: list[str], lease_id: int) -> None:
        """These keys now end with that lease, and with no other."""
        for held in self._held.values():
            held.keys = [key for key in held.keys if key not in keys]
        if lease_id != NO_LEASE:
            self._held[lease_id].keys += keys

    def end(self, lease_id: int) -> None:
        """It has run out or was revoked."""
        held = self._held.pop(lease_id, None)
        if held is None:
            return
        if held.timer.active():
            held.timer.cancel()
        if held.keys:
            self._forget(sorted(held.keys))

    def _start(self, lease_id: int, held: _Held) -> None:
        held.timer = self._clock.callLater(held.ttl_s, self.end, lease_id)


class MemoryLeases(Leases):
    """One master's view; ``answering`` raises or stays silent when its store does."""

    def __init__(self, table: LeaseTable, answering: Callable[[], Awaitable[None]]) -> None:
        self._table = table
        self._answering = answering

    async def grant(self, ttl_s: float) -> Lease:
        """See the contract."""
        await self._answering()
        return self._table.grant(ttl_s)

    async def keep_alive(self, lease_id: int) -> float:
        """See the contract."""
        await self._answering()
        return self._table.keep_alive(lease_id)

    async def revoke(self, lease_id: int) -> None:
        """See the contract."""
        await self._answering()
        self._table.end(lease_id)
