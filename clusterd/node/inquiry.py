"""Asking many parts of a node at once, each bounded in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from clusterd.calls.wire import TimedOut, within
from clusterd.world import Clock

Question = Callable[[], Awaitable[Any]]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one part, or why there is none."""

    value: Any = None
    problem: str = ""


class _Asked:
    """A part that is thinking. ``next`` came too late for this question and is due a new one."""

    def __init__(self, listeners: list[Deferred[Any]]) -> None:
        self.listeners = listeners
        self.next: list[Deferred[Any]] = []


class Inquiry:
    """Invariant: a part is asked one question at a time, so one that hangs is not heaped upon; an
    answer never belongs to a question that was begun before one asked."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._asked: dict[str, _Asked] = {}

    async def ask(self, questions: dict[str, Question]) -> dict[str, Seen]:
        """Name of part -> what it answered, all asked together."""
        answers = [self._one(name, question) for name, question in questions.items()]
        seen: list[Seen] = await gatherResults(answers)
        return dict(zip(questions, seen, strict=True))

    def _one(self, name: str, question: Question) -> Deferred[Seen]:
        heard: Deferred[Any] = Deferred()
        bounded = within(heard, self._timeout_s, self._clock)
        running = self._asked.get(name)
        if running is None:
            self._begin(name, question, [heard])
        else:
            running.next.append(heard)
        return bounded.addCallbacks(lambda value: Seen(value=value), self._problem)

    def _begin(self, name: str, question: Question, listeners: list[Deferred[Any]]) -> None:
        async def asked() -> Any:
            return await question()

        self._asked[name] = _Asked(listeners)
        Deferred.fromCoroutine(asked()).addBoth(self._answered, name, question)

    def _answered(self, result: Any, name: str, question: Question) -> None:
        done = self._asked.pop(name)
        waiting = [heard for heard in done.next if not heard.called]
        if waiting:
            self._begin(name, question, waiting)
        for heard in done.listeners:
            if not heard.called:
                heard.callback(result)

    def _problem(self, failure: Failure) -> Seen:
        error = failure.value
        if isinstance(error, TimedOut):
            return Seen(problem=f"does not answer within {self._timeout_s:g} s")
        return Seen(problem=getattr(error, "message", "") or f"{type(error).__name__}: {error}")
