"""Deciding an opcode: locks, fresh sights, the choice, check and plan. Nothing is changed here.

Decided here: choices are made one at a time, and each knows every plan stored before it, so that
two operations cannot be given the same room. What was chosen needs locks of its own; who cannot
have them at once gives everything back, waits for them, and has the choice made anew.
"""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.python.failure import Failure

from jobqueue.ageing import order_of
from jobqueue.bounds import kept_verdicts, refuse_long
from jobqueue.errors import LockRefused, Refused
from jobqueue.live import Job
from jobqueue.lock import Lock
from jobqueue.locks import merge
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.queue import JobQueue
from jobqueue.slots import Slots
from jobqueue.step import Step, Steps
from jobqueue.surroundings import Chosen, Occupied, Surroundings

MAX_RELOCKS = 20


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done."""

    steps: tuple[Step, ...]
    plan: tuple[msgspec.Raw, ...]
    """The steps as the journal keeps them."""
    chosen: tuple[Opcode, ...] = ()
    verdicts: Any = None


class Deciding:
    """Decides opcodes of one queue."""

    def __init__(
        self, queue: JobQueue, steps: Steps, surroundings: Surroundings, slots: Slots
    ) -> None:
        self._queue = queue
        self._slots = slots
        self._steps = steps
        self._surroundings = surroundings
        self._one_at_a_time = DeferredLock()
        self._waits: dict[int, Deferred[Any]] = {}
        self._choosing: int | None = None
        """The job whose choice is being made, or not stored yet."""

    def interrupt(self, job: Job) -> None:
        """Stop waiting for locks or for a choice."""
        waiting = self._waits.get(job.id)
        if waiting is not None:
            waiting.cancel()

    async def decide(self, job: Job, kind: OpcodeKind, opcode: Opcode) -> Decision:
        """Hold the locks and answer the decision; ``stored`` must be called once it is stored.

        Raises Refused (with ``verdicts`` where a choice was made), CancelledError.
        """
        more: tuple[Lock, ...] = ()
        for _ in range(MAX_RELOCKS):
            held = await self._take_locks(job, kind, opcode, more)
            view = self._surroundings.view()
            await self._surroundings.look(tuple(kind.sights(opcode, view)), held)
            if kind.choice is None:
                return self._decision(kind, opcode, Chosen(opcode=opcode))
            await self._interruptible(job, self._one_at_a_time.acquire())
            self._choosing = job.id
            try:
                found = await self._chosen(job, kind, opcode)
            except BaseException:
                self.stored(job)
                raise
            if isinstance(found, Decision):
                return found
            more = found
            self.stored(job)
            self._queue.locks.release(str(job.id))
        raise Refused("What was chosen kept being taken by others", "wrong_state")

    def stored(self, job: Job) -> None:
        """The decision is in the journal, or will not be: the next choice may be made."""
        if self._choosing == job.id:
            self._choosing = None
            self._one_at_a_time.release()

    async def _chosen(
        self, job: Job, kind: OpcodeKind, opcode: Opcode
    ) -> Decision | tuple[Lock, ...]:
        """The choice and what follows from it, or the locks to wait for when it cannot be had."""
        owner, table = str(job.id), self._queue.locks
        taken = table.taken_from(owner)
        choosing = Deferred.fromCoroutine(self._surroundings.choose(kind, opcode, taken))
        try:
            chosen: Chosen = await self._interruptible(job, choosing)
        except Occupied as occupied:
            return occupied.locks
        wanted = merge(list(kind.locks(chosen.opcode, self._surroundings.view())))
        granted = Deferred.fromCoroutine(table.acquire(owner, wanted, job.priority))
        if not granted.called:
            granted.addErrback(_cancelled)
            granted.cancel()
            return wanted
        try:
            await granted
        except LockRefused:
            # what was waited for stands on the same level, and is not what was chosen now
            return wanted
        if chosen.opcode != opcode:
            sights = kind.sights(chosen.opcode, self._surroundings.view())
            await self._surroundings.look(tuple(sights), wanted)
        try:
            return self._decision(kind, opcode, chosen)
        except Refused as refused:
            refused.verdicts = kept_verdicts(chosen.verdicts)
            raise

    def _decision(self, kind: OpcodeKind, opcode: Opcode, chosen: Chosen) -> Decision:
        view = self._surroundings.view()
        kind.check(chosen.opcode, view)
        steps = chosen.steps
        if steps is None:
            steps = tuple(kind.plan(chosen.opcode, view))
        plan = tuple(self._stored(step) for step in steps)
        completed = () if chosen.opcode == opcode else (chosen.opcode,)
        refuse_long(plan, completed)
        verdicts = kept_verdicts(chosen.verdicts)
        return Decision(steps=steps, plan=plan, chosen=completed, verdicts=verdicts)

    def _stored(self, step: Step) -> msgspec.Raw:
        """As the journal keeps it; raises for a step that could not be read back from there."""
        stored = self._steps.encode(step)
        self._steps.decode(stored)
        return msgspec.Raw(stored)

    async def _take_locks(
        self, job: Job, kind: OpcodeKind, opcode: Opcode, more: tuple[Lock, ...]
    ) -> tuple[Lock, ...]:
        """Hold what the opcode needs; asks again once held, since waiting may have changed it. Who
        must wait gives its place to act to another job, and has one again before it goes on."""
        owner, table = str(job.id), self._queue.locks
        job.waiting = True
        self._queue.tell(job)
        for _ in range(MAX_RELOCKS):
            wanted = self._wanted(kind, opcode, more)
            await self._interruptible(job, Deferred.fromCoroutine(self._hold(job, wanted)))
            if job.cancel_wanted:
                raise CancelledError
            if self._wanted(kind, opcode, more) == wanted:
                return wanted
            table.release(owner)
        raise Refused("What the operation needs kept changing while it waited", "wrong_state")

    async def _hold(self, job: Job, wanted: tuple[Lock, ...]) -> None:
        acquired = Deferred.fromCoroutine(
            self._queue.locks.acquire(str(job.id), wanted, job.priority)
        )
        if not acquired.called:
            self._slots.leave(job.id)
            self._queue.tell(job)
        await acquired
        await self._slots.come_back(job.id, order_of(job.received, job.priority))

    def _wanted(self, kind: OpcodeKind, opcode: Opcode, more: tuple[Lock, ...]) -> tuple[Lock, ...]:
        return merge([*kind.locks(opcode, self._surroundings.view()), *more])

    async def _interruptible(self, job: Job, waiting: Deferred[Any]) -> Any:
        self._waits[job.id] = waiting
        try:
            return await waiting
        finally:
            self._waits.pop(job.id, None)


def _cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)  # type: ignore[no-untyped-call]
