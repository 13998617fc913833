"""Remembering answers: a call id that was seen gets the answer it got, and is never begun twice.

Only in memory: after a restart of the daemon the same call is carried out again, which verbs allow.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec
from twisted.internet.defer import Deferred

from clusterd.calls.wire import Call, Fault, Reply
from clusterd.errors import ClusterError

MAX_REPLIES = 4096
MAX_REPLY_BYTES = 8 * 1024 * 1024
"""Together; the oldest are forgotten first."""

Say = Callable[[str], None]
Answer = Reply | Fault


class IdReused(ClusterError):
    """A call id was used for another call before."""

    code = "call_id_reused"


class _Running:
    """A call under way, and who waits for it."""

    def __init__(self, request: bytes, say: Say) -> None:
        self.request = request
        self.voices = [say]
        self.waiting: list[Deferred[Answer]] = []

    def say(self, text: str) -> None:
        """To all who asked."""
        for voice in self.voices:
            voice(text)


class Replies:
    """Invariant: an id is running, remembered or unknown; running ones are never forgotten."""

    def __init__(self, most: int = MAX_REPLIES, most_bytes: int = MAX_REPLY_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._running: dict[str, _Running] = {}
        self._done: OrderedDict[str, tuple[bytes, Answer]] = OrderedDict()

    @property
    def running(self) -> int:
        """How many calls are under way."""
        return len(self._running)

    async def once(self, call: Call, say: Say, act: Callable[[Say], Awaitable[Answer]]) -> Answer:
        """The answer to ``call``: remembered, joined, or made by ``act``, which must not raise.

        Raises IdReused when the id stood for something else.
        """
        request = call.verb.encode() + b"\0" + bytes(call.args)
        done = self._done.get(call.id)
        if done is not None:
            _check_same(call, done[0], request)
            return done[1]
        running = self._running.get(call.id)
        if running is not None:
            _check_same(call, running.request, request)
            return await _joined(running, say)
        return await self._begin(call.id, _Running(request, say), act)

    async def _begin(
        self, call_id: str, running: _Running, act: Callable[[Say], Awaitable[Answer]]
    ) -> Answer:
        self._running[call_id] = running
        try:
            answer = await act(running.say)
        finally:
            del self._running[call_id]
        self._remember(call_id, running.request, answer)
        for waiting in running.waiting:
            waiting.callback(answer)
        return answer

    def _remember(self, call_id: str, request: bytes, answer: Answer) -> None:
        self._done[call_id] = (request, answer)
        self._bytes += _size(request, answer)
        while len(self._done) > self._most or self._bytes > self._most_bytes:
            _, (old_request, old_answer) = self._done.popitem(last=False)
            self._bytes -= _size(old_request, old_answer)


async def _joined(running: _Running, say: Say) -> Answer:
    waiting: Deferred[Answer] = Deferred()
    running.waiting.append(waiting)
    running.voices.append(say)
    return await waiting


def _check_same(call: Call, before: bytes, now: bytes) -> None:
    if before != now:
        raise IdReused(f"call id '{call.id}' was used for another call before", subject=call.id)


def _size(request: bytes, answer: Answer) -> int:
    value: msgspec.Raw | str = answer.value if isinstance(answer, Reply) else answer.message
    return len(request) + len(bytes(value) if isinstance(value, msgspec.Raw) else value)
