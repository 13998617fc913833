"""One attempt at one step: the world that it is given, and breaking it off where it may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from jobqueue.bounds import MAX_OUTPUT_BYTES, bounded
from jobqueue.live import Job
from jobqueue.queue import JobQueue
from jobqueue.retry import GivenUp
from jobqueue.step import Outcome, Step
from jobqueue.surroundings import Context, Surroundings


class Attempt(msgspec.Struct, frozen=True):
    """Which step of which opcode, and which way."""

    job: Job
    index: int
    at: int
    step: Step
    word: str
    """``do`` or ``undo``."""


class Acting:
    """Of one queue. Keeps a count that makes scopes unique, and what may be broken off."""

    def __init__(self, queue: JobQueue, surroundings: Surroundings) -> None:
        self._queue = queue
        self._surroundings = surroundings
        self._runs = 0
        self._breakable: dict[int, Deferred[Outcome]] = {}
        self._broken_off: set[int] = set()

    def interrupt(self, job: Job) -> None:
        """Break off what the job does, if its step allows that."""
        doing = self._breakable.get(job.id)
        if doing is not None:
            self._broken_off.add(job.id)
            doing.cancel()

    async def once(self, attempt: Attempt, may_end: Callable[[], bool]) -> Outcome:
        """Do or undo; raises GivenUp when it was broken off and the job may unwind."""
        context = self._context(attempt)
        if attempt.word == "undo":
            outcome: Outcome = await attempt.step.undo(context)
            return outcome
        if not attempt.step.breakable:
            return _kept(await attempt.step.do(context))
        job = attempt.job
        doing = Deferred.fromCoroutine(attempt.step.do(context))
        self._breakable[job.id] = doing
        try:
            return _kept(await doing)
        # whatever it makes of that: a call that is broken off ends like one that was lost
        except Exception:
            if job.id in self._broken_off and may_end():
                raise GivenUp from None
            raise
        finally:
            self._breakable.pop(job.id, None)
            self._broken_off.discard(job.id)

    def _context(self, attempt: Attempt) -> Context:
        self._runs += 1
        job, index = attempt.job, attempt.index
        scope = f"{job.id}.{index}.{attempt.at}.{attempt.word}.{self._runs}"

        def say(text: Any, kind: str) -> None:
            self._queue.say(job, index, text, kind)

        return Context(self._surroundings.world(scope), job, say)


def _kept(outcome: Outcome) -> Outcome:
    """The outcome; raises OutputTooLarge for what could not be remembered."""
    bounded(outcome.output, MAX_OUTPUT_BYTES)
    return outcome
