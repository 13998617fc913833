"""A program that commits without end and says what was acknowledged; its test kills it."""

from __future__ import annotations

import sys

from twisted.internet.defer import Deferred, gatherResults

from jobqueue.store.interface import Transaction
from jobqueue.store.sqlite import SqliteStore
from tests.waiting import reactor, run, thread_pool

WRITERS = 5


async def _write(store: SqliteStore, writer: int) -> None:
    """Entries and their counter in one transaction each, decided on the counter's version."""
    version, number = 0, 0
    while True:
        name = f"{number:06}"
        number += 1
        counter = f"counter/{writer}"
        version = await store.commit(
            Transaction(
                expects=((counter, version),),
                puts=((counter, b"%d" % number), (f"writer-{writer}/{name}", bytes(500))),
            )
        )
        print(f"writer-{writer}", name, flush=True)


def main() -> None:
    """Write until killed."""
    with thread_pool() as pool:
        store = SqliteStore(sys.argv[1], pool, reactor.callFromThread)

        async def all_writers() -> None:
            writers = [Deferred.fromCoroutine(_write(store, n)) for n in range(WRITERS)]
            await gatherResults(writers)

        run(all_writers, timeout_s=60)


if __name__ == "__main__":
    main()
