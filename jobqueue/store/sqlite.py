"""The embedded store: one SQLite file, one master, group commit.

Transactions that are handed in while the disk is busy are written together with one fsync. All
state of these classes belongs to the reactor's thread; only ``SqliteFile`` runs outside of it, one
group of writes and one group of reads at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred

from jobqueue.errors import StoreAway
from jobqueue.store.interface import Entry, Store, Transaction, Watcher, check_bounds
from jobqueue.store.sqlite_file import Bounds, SqliteFile, Written
from jobqueue.store.watchers import Watchers

GROUP_TRANSACTIONS = 500
GROUP_BYTES = 8 * 1024 * 1024
"""Bounds of one group: what a large one adds to the wait of its first member."""

READS_IN_A_ROW = 20


class Threads(Protocol):
    """Where blocking work runs: Twisted's ``ThreadPool`` of at least two threads fits.

    It must go on working until the store is closed.
    """

    def callInThread(self, function: Callable[..., object], /, *args: object) -> object:
        """Call ``function`` in some thread, soon."""


CallInReactor = Callable[..., object]
"""``reactor.callFromThread``: call a function with arguments in the reactor's thread, in order."""

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class _Lane(Generic[Request, Answer]):
    """Requests that are worked off in groups, one group at a time, in the order of handing in."""

    def __init__(
        self,
        work: Callable[[list[Request]], Sequence[Answer | Exception]],
        take: Callable[[deque[tuple[Request, Deferred[Answer]]]], int],
        told: Callable[[Answer], None],
        threads: Threads,
        call_in_reactor: CallInReactor,
    ) -> None:
        self._work = work
        self._take = take
        self._told = told
        self._threads = threads
        self._call_in_reactor = call_in_reactor
        self._waiting: deque[tuple[Request, Deferred[Answer]]] = deque()
        self._busy = False
        self._drained: list[Deferred[None]] = []

    def hand_in(self, request: Request) -> Deferred[Answer]:
        """Work it off; a caller that no longer waits changes nothing of that."""
        answer: Deferred[Answer] = Deferred()
        self._waiting.append((request, answer))
        self._start()
        return answer

    def drained(self) -> Deferred[None]:
        """Fires when nothing is waiting or under way."""
        done: Deferred[None] = Deferred()
        self._drained.append(done)
        self._rest()
        return done

    def _start(self) -> None:
        if self._busy or not self._waiting:
            return
        count = self._take(self._waiting)
        group = [self._waiting.popleft() for _ in range(count)]
        self._busy = True
        self._threads.callInThread(self._in_thread, group)

    def _in_thread(self, group: list[tuple[Request, Deferred[Answer]]]) -> None:
        answers: list[Answer | BaseException] = []
        try:
            answers += self._work([request for request, _ in group])
        except BaseException as error:  # noqa: BLE001 - whatever it was, those who wait must hear
            answers = [error for _ in group]
        self._call_in_reactor(self._deliver, group, answers)

    def _deliver(
        self,
        group: list[tuple[Request, Deferred[Answer]]],
        answers: list[Answer | BaseException],
    ) -> None:
        """The next group goes to the disk while this one's answers are given out."""
        self._busy = False
        self._start()
        for (_, waiting), answer in zip(group, answers, strict=True):
            if isinstance(answer, BaseException):
                waiting.errback(answer)
            else:
                self._told(answer)
                waiting.callback(answer)
        self._rest()

    def _rest(self) -> None:
        if self._busy or self._waiting:
            return
        drained, self._drained = self._drained, []
        for done in drained:
            done.callback(None)


class SqliteStore(Store):
    """One file that only this process may open.

    The constructor blocks while it opens the file and raises StoreAway: the daemon builds its store
    before its reactor runs.
    """

    def __init__(
        self,
        path: str | Path,
        threads: Threads,
        call_in_reactor: CallInReactor,
        bounds: Bounds | None = None,
    ) -> None:
        self._file = SqliteFile(Path(path), Bounds() if bounds is None else bounds)
        self._watchers = Watchers()
        self._writes: _Lane[Transaction, Written] = _Lane(
            self._file.write, _next_group, self._tell, threads, call_in_reactor
        )
        self._reads: _Lane[Callable[[], object], object] = _Lane(
            _call_each, _next_reads, _nobody, threads, call_in_reactor
        )
        self._closing = False
        self._closed = False

    async def commit(self, transaction: Transaction) -> int:
        """See the contract. A caller that is cancelled meanwhile leaves the commit to happen."""
        check_bounds(transaction)
        self._check_open()
        written = await self._writes.hand_in(transaction)
        return written.revision

    async def read(self, prefix: str) -> tuple[Entry, ...]:
        """See the contract; sees every commit that returned before the call."""
        self._check_open()
        entries = await self._reads.hand_in(lambda: self._file.read(prefix))
        assert isinstance(entries, tuple)
        return entries

    async def get(self, key: str) -> Entry | None:
        """See the contract; sees every commit that returned before the call."""
        self._check_open()
        entry = await self._reads.hand_in(lambda: self._file.get(key))
        assert entry is None or isinstance(entry, Entry)
        return entry

    def watch(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        """See the contract."""
        return self._watchers.add(prefix, watcher)

    async def close(self) -> None:
        """See the contract."""
        self._closing = True
        if self._closed:
            return
        await self._writes.drained()
        await self._reads.hand_in(self._file.close)
        self._closed = True
        self._watchers.clear()

    def _check_open(self) -> None:
        if self._closing:
            raise StoreAway("the store was closed")

    def _tell(self, written: Written) -> None:
        if written.changes:
            self._watchers.tell(written.changes)


def _next_group(waiting: deque[tuple[Transaction, Deferred[Written]]]) -> int:
    """How many of those who wait are written together; at least one."""
    size_bytes = 0
    for count, (transaction, _) in enumerate(waiting):
        size_bytes += transaction.size_bytes
        if count and (count == GROUP_TRANSACTIONS or size_bytes > GROUP_BYTES):
            return count
    return len(waiting)


def _next_reads(waiting: deque[tuple[Callable[[], object], Deferred[object]]]) -> int:
    return min(len(waiting), READS_IN_A_ROW)


def _call_each(functions: list[Callable[[], object]]) -> list[object | Exception]:
    answers: list[object | Exception] = []
    for function in functions:
        try:
            answers.append(function())
        except Exception as error:  # noqa: BLE001 - it is the answer to this one caller
            answers.append(error)
    return answers


def _nobody(answer: object) -> None:
    """Reads are told to nobody else."""
