"""Keeping up a watch of one prefix: an endless answer of one member, begun again as needed.

A stream that breaks goes on elsewhere from the revision after the last one heard. A member that is
cut off from the others sends nothing and says nothing, so a stream is begun anew after ``LIFE_S``
even when it looks well. When etcd no longer keeps what was missed, everything under the prefix is
read and the difference is told.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from jobqueue.errors import StoreError
from jobqueue.store.etcd_gateway import LOST, Gateway
from jobqueue.store.etcd_watch import Knowledge
from jobqueue.store.etcd_wire import (
    KeyValue,
    RangeAnswer,
    WatchLine,
    WatchResult,
    decode,
    encode,
    range_request,
)
from jobqueue.store.interface import Change

LOG = structlog.get_logger("store")

LIFE_S = 30.0
PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
"""Before a stream that broke is begun anew; doubled each time until one stands."""

QUIET_S = 60.0
"""A prefix without changes for so long is looked at, so that its stream does not fall behind what
etcd still keeps."""

LONGEST_LINE_BYTES = 64 * 1024 * 1024

ReadAll = Callable[..., Awaitable[tuple[list[KeyValue], int]]]
"""(prefix, keys_only=) -> everything under it, and the revision it is from."""


class Lines(Protocol):
    """Cuts an endless answer into lines."""

    def __init__(self, told: Callable[[bytes], None]) -> None:
        self.ended: Deferred[str] = Deferred()
        self._told = told
        self._rest = bytearray()

    def dataReceived(self, data: bytes) -> None:
        """See Twisted."""
        self._rest += data
        if len(self._rest) > LONGEST_LINE_BYTES:
            self.stop("a line is longer than any change can be")
        if b"\n" not in data:
            return
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            if line.strip() and not self.ended.called:
                self._told(line)

    def stop(self, why: str = "") -> None:
        """Break the connection: an endless answer cannot be ended in order."""
        self._end(why)
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See Twisted."""
        self._end(reason.getErrorMessage())

    def _end(self, why: str) -> None:
        if not self.ended.called:
            self.ended.callback(why)


class Stream:
    """One prefix's watch, from its first moment to ``close``."""

    def __init__(
        self,
        gateway: Gateway,
        knowledge: Knowledge,
        read: ReadAll,
        tell: Callable[[tuple[Change, ...]], None],
        clock: Any,
    ) -> None:
        self.knowledge = knowledge
        self._gateway = gateway
        self._read = read
        self._tell = tell
        self._clock = clock
        self._lines: Lines | None = None
        self._compacted = False
        self._closed = False
        self._heard_at = clock.seconds()
        self._pause_s = PAUSE_S
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(self._broken)

    def close(self) -> None:
        """End it."""
        self._closed = True
        if self._lines is not None:
            self._lines.stop()
        self._running.cancel()

    def _broken(self, failure: Failure) -> None:
        if not (self._closed and isinstance(failure.value, CancelledError)):
            LOG.error("watch of etcd ended", exc_info=failure.value)

    async def _run(self) -> None:
        listed = False
        while not self._closed:
            endpoint = self._gateway.endpoint
            try:
                if not listed:
                    await self._list()
                    listed = True
                why = await self._follow(endpoint)
                if self._compacted:
                    await self._read_anew()
                elif self._clock.seconds() - self._heard_at > QUIET_S:
                    await self._look()
            except (StoreError, *LOST) as error:
                why = repr(error)
            if why and not self._closed:
                self._gateway.failed(endpoint)
                LOG.info("watch of etcd is begun anew", endpoint=endpoint, why=why)
                await self._gateway.pause(self._pause_s)
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    async def _list(self) -> None:
        found, revision = await self._read(self.knowledge.start, keys_only=True)
        self.knowledge.seen(revision)
        self.knowledge.list(found)

    async def _follow(self, endpoint: str) -> str:
        """Listen until the stream ends; answers why, empty when that is no trouble."""
        wanted = range_request(self.knowledge.start, start_revision=str(self.knowledge.next))
        body = encode({"create_request": wanted})
        self._compacted = False
        lines = self._lines = Lines(self._line)
        response = await self._gateway.stream(endpoint, "watch", body)
        self._pause_s = PAUSE_S
        timer = self._clock.callLater(LIFE_S, lines.stop)
        try:
            response.deliverBody(lines)
            return await lines.ended
        finally:
            self._lines = None
            if timer.active():
                timer.cancel()
            lines.stop()

    def _line(self, line: bytes) -> None:
        """One message; a stream that says something else is broken off."""
        assert self._lines is not None
        try:
            message = decode(line, WatchLine)
        except msgspec.DecodeError as error:
            self._lines.stop(f"not a message of etcd: {error}")
            return
        result = message.result
        if result is None:
            self._lines.stop(message.error.message if message.error else "empty message")
        elif result.compact_revision:
            self._compacted = True
            self._lines.stop()
        elif result.canceled:
            self._lines.stop(result.cancel_reason or "canceled")
        elif result.events:
            self._heard(result)

    def _heard(self, result: WatchResult) -> None:
        self._heard_at = self._clock.seconds()
        for revision, events in itertools.groupby(result.events, lambda one: one.kv.mod_revision):
            changes = self.knowledge.news(events)
            self.knowledge.next = max(self.knowledge.next or 0, revision + 1)
            if changes:
                self._tell(changes)

    async def _read_anew(self) -> None:
        LOG.info("etcd has compacted what was missed: reading anew", prefix=self.knowledge.prefix)
        found, revision = await self._read(self.knowledge.start, keys_only=False)
        self._heard_at = self._clock.seconds()
        changes = self.knowledge.difference(found, revision)
        if changes:
            self._tell(changes)

    async def _look(self) -> None:
        """Has nothing happened? Then a later revision will do to go on from.

        No key is newer, and there are as many as before: so none has gone either.
        """
        newer = range_request(
            self.knowledge.start,
            min_mod_revision=str(self.knowledge.next),
            keys_only=True,
            limit="1",
        )
        found = await self._gateway.ask("kv/range", newer, RangeAnswer)
        if not found.kvs and found.count == len(self.knowledge.versions):
            self.knowledge.next = found.header.revision + 1
            self._heard_at = self._clock.seconds()
