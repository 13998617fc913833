"""Asking many parts of a node at once, each bounded in time."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from clusterd.begun import rest
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
        seen: dict[str, Any] = {}
        late = []
        for name, question in questions.items():
            if name in self._asked:
                seen[name] = self._heard_next(name)
                late.append(name)
                continue
            # most parts answer without waiting: then neither a clock nor a promise is needed
            try:
                asking = question()
                if type(asking) is not types.CoroutineType:
                    asking = _awaited(asking)
                waited_for = asking.send(None)
            except StopIteration as answered:
                seen[name] = Seen(value=answered.value)
            except Exception as error:  # noqa: BLE001 - whatever a part raises is a problem of its own
                seen[name] = self._problem(error)
            else:
                seen[name] = self._heard_later(name, question, rest(asking, waited_for))
                late.append(name)
        for name in late:
            seen[name] = await seen[name]
        return seen

    def _heard_next(self, name: str) -> Deferred[Seen]:
        """A promise of the answer to a new question, once the one under way is answered."""
        heard: Deferred[Any] = Deferred()
        self._asked[name].next.append(heard)
        return self._in_time(heard)

    def _heard_later(
        self, name: str, question: Question, asking: Generator[Any, Any, Any]
    ) -> Deferred[Seen]:
        """A promise of the answer to a question that has begun."""
        heard: Deferred[Any] = Deferred()
        self._hear(Deferred.fromCoroutine(asking), name, question, [heard])
        return self._in_time(heard)

    def _in_time(self, heard: Deferred[Any]) -> Deferred[Seen]:
        """The promise is kept in time and never fails."""
        bounded = within(heard, self._timeout_s, self._clock)
        return bounded.addCallbacks(
            lambda value: Seen(value=value), lambda failure: self._problem(failure.value)
        )

    def _begin(self, name: str, question: Question, listeners: list[Deferred[Any]]) -> None:
        self._hear(Deferred.fromCoroutine(_asked(question)), name, question, listeners)

    def _hear(
        self,
        answer: Deferred[Any],
        name: str,
        question: Question,
        listeners: list[Deferred[Any]],
    ) -> None:
        self._asked[name] = _Asked(listeners)
        answer.addBoth(self._answered, name, question)

    def _answered(self, result: Any, name: str, question: Question) -> None:
        done = self._asked.pop(name)
        waiting = [heard for heard in done.next if not heard.called]
        if waiting:
            self._begin(name, question, waiting)
        for heard in done.listeners:
            if not heard.called:
                heard.callback(result)

    def _problem(self, error: BaseException) -> Seen:
        if isinstance(error, TimedOut):
            return Seen(problem=f"does not answer within {self._timeout_s:g} s")
        return Seen(problem=getattr(error, "message", "") or f"{type(error).__name__}: {error}")


async def _asked(question: Question) -> Any:
    return await question()


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer
