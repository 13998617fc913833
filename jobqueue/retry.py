"""Trying again: one decision made from an error and a patience value, and a loop obeying it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred

from jobqueue.errors import JobMissing, Refused, Vetoed
from jobqueue.step import Patience

T = TypeVar("T")


class Clock(Protocol):
    """Twisted's ``IReactorTime``."""

    def seconds(self) -> float:
        """Now."""

    def callLater(self, delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        """Call later."""


def pause_s(error: BaseException, patience: Patience, attempt: int, spent_s: float) -> float | None:
    """How long to wait before attempt ``attempt + 1``, or None when the error is final.

    ``attempt`` counts from 1; pauses double up to the longest one.
    """
    code = code_of(error)
    usual_s = max(patience.for_s, patience.longer.get(code, 0.0))
    for_s = min(usual_s, patience.limits.get(code, usual_s))
    retryable = patience.of_any or getattr(error, "retryable", False)
    if not retryable or spent_s >= for_s:
        return None
    doublings = min(attempt - 1, 16)
    pause = min(patience.first_pause_s * float(2**doublings), patience.longest_pause_s)
    return min(pause, for_s - spent_s)


LEAP_S = 1800.0
"""No act takes so long that is to be tried again: every call's deadline but a copy's is sooner."""


class GivenUp(Exception):
    """Waiting was broken off because nobody wants the outcome any more."""


class Trying:
    """Repeats an act while its error is retryable and patience lasts. ``doubtful``: the clock may
    be set meanwhile, so one act that seems to have taken very long costs no patience."""

    def __init__(self, clock: Clock, *, doubtful: bool = False) -> None:
        self._clock = clock
        self._doubtful = doubtful

    async def until_done(
        self,
        patience: Patience,
        act: Callable[[], Awaitable[T]],
        say: Callable[[str], None],
        *,
        final: tuple[type[Exception], ...] = (),
        given_up: Callable[[], bool] = lambda: False,
        hopeless: Callable[[Exception], bool] = lambda error: False,
    ) -> T:
        """The act's answer; each new kind of trouble is said once; ``final`` errors are not
        retried, nor ``hopeless`` ones, nor is any once ``given_up`` says so (GivenUp is raised)."""
        begun = self._clock.seconds()
        attempt = 0
        leap_s = 0.0
        told = ""
        while True:
            attempt += 1
            tried = self._clock.seconds()
            try:
                return await act()
            except final:
                raise
            except Exception as error:
                now = self._clock.seconds()
                if self._doubtful and not leap_s and now - tried > LEAP_S:
                    leap_s = now - tried
                pause = pause_s(error, patience, attempt, now - begun - leap_s)
                if pause is None or hopeless(error):
                    raise
                if given_up():
                    raise GivenUp from error
                if sentence(error) != told:
                    told = sentence(error)
                    say(told)
            await self.sleep(pause)

    def sleep(self, pause: float) -> Deferred[None]:
        """Wait."""
        slept: Deferred[None] = Deferred()
        self._clock.callLater(pause, slept.callback, None)
        return slept


def sentence(error: BaseException) -> str:
    """The error for people; never empty."""
    return str(getattr(error, "message", "")) or str(error) or type(error).__name__


def code_of(error: BaseException) -> str:
    """The error's stable code."""
    return str(getattr(error, "kind", "") or getattr(error, "code", "internal_error"))


def encoded(error: BaseException) -> list[object]:
    """The error as an opcode's result: ``[class, [arguments]]`` with Ganeti's class names."""
    if isinstance(error, Refused):
        return ["OpPrereqError", [sentence(error), error.reason]]
    if isinstance(error, Vetoed):
        return ["HooksAbort", [sentence(error)]]
    if isinstance(error, JobMissing):
        return ["JobLost", [sentence(error)]]
    return ["OpExecError", [sentence(error)]]
