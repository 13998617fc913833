"""Blocking work in the threads of a pool, for any daemon. Who makes the pool: who composes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class PooledThreads:
    """Threads of a pool; bounded by the pool, further work waits in its line."""

    def __init__(self, reactor: Any, pool: ThreadPool) -> None:
        self._reactor = reactor
        self._pool = pool

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """See ``hypervisors.interface.Threads``."""
        waiting: Deferred[T] = deferToThreadPool(self._reactor, self._pool, function, *args)
        return await waiting
