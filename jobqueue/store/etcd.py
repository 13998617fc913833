"""The store on an etcd cluster (3.4 or later), through its JSON gateway.

Everything that one store object writes goes through one ``Writer``, in order and exactly once;
reads are linearizable; watches are streams. Nothing is kept here that etcd does not have: a process
that dies leaves nothing behind but a small key of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from jobqueue.errors import StoreAway, StoreError
from jobqueue.retry import Clock
from jobqueue.store.etcd_gateway import Compacted, Gateway
from jobqueue.store.etcd_leases import EtcdLeases
from jobqueue.store.etcd_room import make_room
from jobqueue.store.etcd_stream import Stream
from jobqueue.store.etcd_transaction import Applied
from jobqueue.store.etcd_watch import Knowledge
from jobqueue.store.etcd_wire import KeyValue, RangeAnswer, data_key, range_request
from jobqueue.store.etcd_writer import Writer
from jobqueue.store.interface import Entry, Store, Transaction, Watcher, check_bounds
from jobqueue.store.leadership import Leases
from jobqueue.store.watchers import Watchers

LOG = structlog.get_logger("store")

FIRST_PAGE_KEYS, MOST_PAGE_KEYS = 250, 5000
PAGE_BYTES = 2 * 1024 * 1024
"""How much is read at once, so that no answer takes longer than a member is waited for."""

COMPACTED_READS = 3
"""A long read whose revision was compacted meanwhile is begun anew so often."""


class EtcdStore(Store):
    """One process's view of an etcd cluster."""

    room_every_s = 30.0
    """Not more often, as making room stops each member for a while."""

    def __init__(self, gateway: Gateway, clock: Clock, name: str) -> None:
        """``name``: unique among all store objects that ever use this cluster (draw it)."""
        self._gateway = gateway
        self._clock = clock
        self._watchers = Watchers()
        self._writer = Writer(gateway, name, self._tell_own)
        self._writer.full = self._make_room
        self._room_made_at = -math.inf
        self._making_room: Deferred[None] | None = None
        self._streams: list[Stream] = []
        self._leases = EtcdLeases(gateway, self._check_open)
        self._closing = False

    async def commit(self, transaction: Transaction) -> int:
        """See the contract. A caller that is cancelled meanwhile leaves the commit to happen."""
        check_bounds(transaction)
        self._check_open()
        return await self._writer.hand_in(transaction)

    async def read(self, prefix: str) -> tuple[Entry, ...]:
        """See the contract."""
        self._check_open()
        found, _ = await self._read_all(data_key(prefix))
        return tuple(kv.entry() for kv in found)

    async def get(self, key: str) -> Entry | None:
        """See the contract."""
        self._check_open()
        answer = await self._gateway.ask("kv/range", {"key": data_key(key)}, RangeAnswer)
        self._seen(answer.header.revision)
        return answer.kvs[0].entry() if answer.kvs else None

    def watch(self, prefix: str, watcher: Watcher) -> Callable[[], None]:
        """See the contract; also tells of the commits of others."""
        if not self._closing:
            self._follow(prefix)
        return self._watchers.add(prefix, watcher)

    @property
    def leases(self) -> Leases | None:
        """See the contract."""
        return self._leases

    @property
    def gateway(self) -> Gateway:
        """For those who look after the cluster."""
        return self._gateway

    async def close(self) -> None:
        """See the contract."""
        self._closing = self._writer.closing = self._gateway.closed = True
        await self._writer.drained()
        if self._making_room is not None:
            self._making_room.cancel()
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()
        self._watchers.clear()

    def _check_open(self) -> None:
        if self._closing:
            raise StoreAway("the store was closed")

    def _follow(self, prefix: str) -> None:
        """Have a stream for the prefix, and one only."""
        if any(stream.knowledge.covers(prefix) for stream in self._streams):
            return
        knowledge = Knowledge(prefix, self._gateway.revision)
        kept = []
        for stream in self._streams:
            if knowledge.covers(stream.knowledge.prefix):
                stream.close()
                knowledge.take_over(stream.knowledge)
            else:
                kept.append(stream)
        self._streams = kept
        stream = Stream(self._gateway, knowledge, self._read_all, self._watchers.tell, self._clock)
        self._streams.append(stream)

    def _tell_own(self, applied: Applied) -> None:
        self._seen(applied.revision)
        for stream in self._streams:
            changes = stream.knowledge.own(applied.changes)
            if changes:
                self._watchers.tell(changes)

    def _make_room(self) -> None:
        """There was none; whoever waits tries again meanwhile."""
        now = self._clock.seconds()
        if self._making_room is None and now >= self._room_made_at + self.room_every_s:
            self._room_made_at = now
            self._making_room = Deferred.fromCoroutine(make_room(self._gateway))
            self._making_room.addErrback(_not_made).addCallback(self._room_made)

    def _room_made(self, nothing: None) -> None:
        self._making_room = None

    def _seen(self, revision: int) -> None:
        for stream in self._streams:
            stream.knowledge.seen(revision)

    async def _read_all(
        self, start: bytes, *, keys_only: bool = False
    ) -> tuple[list[KeyValue], int]:
        """Everything under a prefix from one revision, page by page."""
        for _ in range(COMPACTED_READS):
            try:
                return await self._read_pages(start, keys_only)
            except Compacted:
                continue
        raise StoreAway("etcd is compacted faster than it can be read: try again")

    async def _read_pages(self, start: bytes, keys_only: bool) -> tuple[list[KeyValue], int]:
        found: list[KeyValue] = []
        keys = FIRST_PAGE_KEYS
        request = range_request(start, keys_only=keys_only)
        while True:
            request["limit"] = str(keys)
            answer = await self._gateway.ask("kv/range", request, RangeAnswer)
            if not found:
                revision = answer.header.revision
                self._seen(revision)
                request["revision"] = str(revision)
            found += answer.kvs
            if not answer.more:
                return found, revision
            request["key"] = answer.kvs[-1].key + b"\0"
            size_bytes = sum(len(kv.key) + len(kv.value) for kv in answer.kvs)
            keys = min(max(PAGE_BYTES * len(answer.kvs) // size_bytes, 1), MOST_PAGE_KEYS)


def _not_made(failure: Failure) -> None:
    if not isinstance(failure.value, StoreError | CancelledError):
        LOG.error("no room made in etcd", exc_info=failure.value)
        return
    LOG.error("no room made in etcd", error=failure.getErrorMessage())
