"""A store in SQLite for the length of one test body."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from jobqueue.store.sqlite import SqliteStore
from jobqueue.store.sqlite_file import Bounds
from tests.waiting import reactor, run, thread_pool

Body = Callable[[SqliteStore], Coroutine[Any, Any, None]]


def with_sqlite(path: Path, body: Body, bounds: Bounds | None = None) -> None:
    """Run ``body`` on a store that is closed afterwards."""

    async def opened() -> None:
        store = SqliteStore(path, pool, reactor.callFromThread, bounds)
        try:
            await body(store)
        finally:
            await store.close()

    with thread_pool() as pool:
        run(opened)
