"""Asking many parts of a node at once, each bounded in time."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable
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
        begun = {name: self._one(name, question) for name, question in questions.items()}
        return {
            name: answer if isinstance(answer, Seen) else await answer
            for name, answer in begun.items()
        }

    def _one(self, name: str, question: Question) -> Seen | Deferred[Seen]:
        """What it answers at once, or a promise that is kept in time and never fails."""
        heard: Deferred[Any]
        running = self._asked.get(name)
        if running is None:
            # most parts answer without waiting: then neither a clock nor a promise is needed
            try:
                asking = question()
                if not isinstance(asking, types.CoroutineType):
                    asking = _awaited(asking)
                waited_for = asking.send(None)
            except StopIteration as answered:
                return Seen(value=answered.value)
            except Exception as error:  # noqa: BLE001 - whatever a part raises is a problem of its own
                return self._problem(error)
            heard = Deferred()
            self._hear(Deferred.fromCoroutine(rest(asking, waited_for)), name, question, [heard])
        else:
            heard = Deferred()
            running.next.append(heard)
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
