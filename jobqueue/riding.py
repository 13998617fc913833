"""What may ride in one write with the outcome of a step: the intent of the next one, inward steps
whole, and the end. So an opcode that touches nothing outside costs one write.

Law: the intent of a step that acts outside is stored before it acts. An inward step does nothing
but what its outcome says, so its intent and its outcome may be stored together: when the master
dies before that, nothing has happened. A step that may read what the one before it has written
begins after that was stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from jobqueue.acting import Acting, Attempt
from jobqueue.bounds import bounded
from jobqueue.job import Status
from jobqueue.journal import Event, Kind
from jobqueue.live import Job
from jobqueue.queue import NO_WRITES, JobQueue, ended
from jobqueue.retry import Clock
from jobqueue.step import NOTHING, Outcome, Step, Steps
from jobqueue.surroundings import Surroundings

MAX_RIDING = 30
"""Events of one opcode in one write."""


class Ride:
    """Events that are stored together, and the outcome whose writes and jobs go with them."""

    def __init__(self, job: Job, index: int, plan: Sequence[msgspec.Raw], outputs: Any) -> None:
        self.job = job
        self.index = index
        self.plan = plan
        self.outputs: tuple[Any, ...] = tuple(outputs)
        """Of the steps before the next one."""
        self.events: list[Event] = []
        self.outcome = NOTHING

    @property
    def ends(self) -> bool:
        """True when the opcode ends with it."""
        return bool(self.events) and self.events[-1].kind is Kind.END


class Riding:
    """Of one queue."""

    def __init__(
        self,
        queue: JobQueue,
        steps: Steps,
        surroundings: Surroundings,
        acting: Acting,
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._steps = steps
        self._surroundings = surroundings
        self._acting = acting
        self._clock = clock

    async def begin(self, ride: Ride, at: int) -> None:
        """The intent of step ``at``, and whatever may ride with it."""
        ride.events.append(self._event(ride, Kind.START, at))
        await self._inward(ride, at)

    async def onward(self, ride: Ride, at: int, outcome: Outcome) -> None:
        """The outcome of step ``at``, and whatever may ride with it."""
        ride.events.append(self._event(ride, Kind.OK, at, outcome.output))
        ride.outcome = outcome
        ride.outputs = (*ride.outputs[:at], outcome.output)
        if ride.job.cancel_wanted or outcome.jobs or len(ride.events) > MAX_RIDING:
            return
        if at + 1 == len(ride.plan):
            self._end(ride)
            return
        ride.events.append(self._event(ride, Kind.START, at + 1))
        if outcome.writes == NO_WRITES:
            await self._inward(ride, at + 1)

    async def _inward(self, ride: Ride, at: int) -> None:
        step: Step = self._steps.decode(bytes(ride.plan[at]))
        if not step.inward:
            return
        attempt = Attempt(ride.job, ride.index, at, step, "do")
        try:
            outcome = await self._acting.once(attempt, lambda: False)
        except Exception:  # noqa: BLE001 - once its intent is stored it is tried again, and fails then
            return
        await self.onward(ride, at, outcome)

    def _end(self, ride: Ride) -> None:
        """Where neither hooks nor what the last step has written can change it."""
        kind = self._queue.registry.kind_of(ride.job.opcodes[ride.index])
        if kind.hooks is not None or ride.outcome.writes != NO_WRITES:
            return
        opcode = ride.job.opcodes[ride.index]
        try:
            result = bounded(kind.result(opcode, self._surroundings.view(), ride.outputs))
        except Exception:  # noqa: BLE001 - it is asked for again after this step, and told
            return
        now = self._clock.seconds()
        ride.events.append(ended(ride.index, now, Status.SUCCESS, result, None))

    def _event(self, ride: Ride, kind: Kind, at: int, output: Any = None) -> Event:
        now = self._clock.seconds()
        return Event(kind=kind, opcode=ride.index, time=now, step=at, output=output)
