"""The store contract: ordered keys, one atomic compare-and-set transaction, watch.

How the caller uses a store: all state lives under text keys (``/``-separated, ordered bytewise) and
is changed only by transactions. A transaction names the versions it was decided on; when one
differs nothing is written and ``Conflict`` says which key. A commit that returned is durable.
A commit that raised ``StoreAway`` may or may not have happened: read before trying again.
"""

from __future__ import annotations

import abc
import operator
from collections.abc import Callable

import msgspec

from jobqueue.errors import KeyTwice, TooLarge
from jobqueue.store.leadership import NO_LEASE, Leases

MAX_WRITES = 100
"""Puts and deletes in one transaction (etcd takes 128 operations, expectations included)."""

MAX_EXPECTS = 20
MAX_BYTES = 1024 * 1024
"""Keys and values of one transaction (etcd refuses requests over 1.5 MiB)."""

ABSENT = 0
"""The version to expect of a key that must not exist."""


class Entry(msgspec.Struct, frozen=True):
    """One key as it stands; ``version`` is the store's revision at its last write."""

    key: str
    value: bytes
    version: int


class Change(msgspec.Struct, frozen=True):
    """One write that was committed; ``value`` None means deleted."""

    key: str
    value: bytes | None
    version: int


_KEY, _VALUE = operator.itemgetter(0), operator.itemgetter(1)


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """Everything or nothing. ``expects`` maps a key to the version it must have (0: absent).

    Deleting an absent key changes nothing. A transaction that changes nothing tells nobody, though
    its expectations are checked. A key is written at most once (etcd refuses more).
    """

    expects: tuple[tuple[str, int], ...] = ()
    puts: tuple[tuple[str, bytes], ...] = ()
    deletes: tuple[str, ...] = ()
    lease: int = NO_LEASE
    """Its puts live as long as this lease (see ``leadership.py``); a later put without frees."""

    def __add__(self, other: Transaction) -> Transaction:
        return Transaction(
            expects=self.expects + other.expects,
            puts=self.puts + other.puts,
            deletes=self.deletes + other.deletes,
            lease=self.lease or other.lease,
        )

    @property
    def size_bytes(self) -> int:
        """Keys and values together."""
        keys = (*map(_KEY, self.expects), *map(_KEY, self.puts), *self.deletes)
        return len("".join(keys).encode()) + sum(map(len, map(_VALUE, self.puts)))


Watcher = Callable[[tuple[Change, ...]], None]


class Store(abc.ABC):
    """One engine. Guarantees: durable and atomic (commit), timely (watch), plain (read)."""

    @abc.abstractmethod
    async def commit(self, transaction: Transaction) -> int:
        """Write all or nothing, durably; answers the revision after it, which is the version of
        every key that it has put. Several transactions may share one revision.

        Raises Conflict, StoreFull, StoreAway, TooLarge, KeyTwice, LeaseGone. Transactions commit
        in the order in which they were handed in. Watchers of this store object have seen the
        changes before it returns.
        """

    @abc.abstractmethod
    async def read(self, prefix: str) -> tuple[Entry, ...]:
        """All entries whose key starts with ``prefix``, in key order, from one revision."""

    @abc.abstractmethod
    async def get(self, key: str) -> Entry | None:
        """One entry or None."""

    @abc.abstractmethod
    def watch(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        """Call ``watcher`` with the changes of each later commit under ``prefix``, in order;
        answers the function that ends it. A watcher must not raise."""

    @property
    def leases(self) -> Leases | None:
        """The leases of this store; None for an engine that only one process can have open."""
        return None

    @abc.abstractmethod
    async def close(self) -> None:
        """Finish what was handed in, let go of files and connections. Closed already: success."""


def check_bounds(transaction: Transaction) -> None:
    """Raise TooLarge or KeyTwice for a transaction that some engine could not take."""
    writes = len(transaction.puts) + len(transaction.deletes)
    if writes > MAX_WRITES:
        raise TooLarge(f"transaction of {writes} writes, at most {MAX_WRITES} are allowed")
    if len(transaction.expects) > MAX_EXPECTS:
        raise TooLarge(
            f"transaction expects {len(transaction.expects)} keys, at most {MAX_EXPECTS} may be"
        )
    size_bytes = transaction.size_bytes
    if size_bytes > MAX_BYTES:
        raise TooLarge(f"transaction of {size_bytes} bytes, at most {MAX_BYTES} are allowed")
    written = [*map(_KEY, transaction.puts), *transaction.deletes]
    if len(set(written)) != len(written):
        twice = next(key for key in sorted(written) if written.count(key) > 1)
        raise KeyTwice(f"transaction writes key '{twice}' twice: join the two writes")
