"""The executor: takes one job from where its journal says it is to its end.

The only place that acts, waits and retries. Each act is framed: intent stored, act, outcome stored.
What comes next is read from the opcode's phase alone, so a job that was running when the master
died goes on exactly where it would have gone on without.

Laws: a failed or canceled opcode unwinds from its last begun step back to its first, or to the
first step that has no way back; a step's writes are committed with its outcome; locks are given
back only when the opcode has ended, and never by a stuck one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from twisted.internet.defer import CancelledError, Deferred

from jobqueue.acting import Acting, Attempt
from jobqueue.bounds import NOT_TOGETHER, bounded
from jobqueue.deciding import Deciding, Decision
from jobqueue.errors import Conflict, Deposed, JournalBroken, NoWayBack, Refused, StoreError
from jobqueue.job import Status
from jobqueue.journal import Event, Kind, Phase
from jobqueue.live import Job
from jobqueue.queue import NO_WRITES, JobQueue, ended, wanted_again
from jobqueue.retry import Clock, GivenUp, Trying, code_of, encoded, sentence
from jobqueue.riding import Ride, Riding
from jobqueue.slots import Slots
from jobqueue.step import Outcome, Patience, Step, Steps
from jobqueue.store.interface import MAX_WRITES, Transaction
from jobqueue.surroundings import Done, Surroundings

STORE_PATIENCE = Patience(for_s=float("inf"), first_pause_s=0.2, longest_pause_s=5.0)
"""A full or absent store is waited for: what was done must be remembered."""

UNLIMITED = 1_000_000
CANCELED_WAITING = "Canceled while it waited; what was done stays"
MAX_CONFLICTS = 20
MAX_ENDED = MAX_WRITES // 2

LOG = structlog.get_logger("jobqueue")


class Executor:
    """Runs jobs of one queue. Stateless between jobs but for a count that makes scopes unique."""

    def __init__(
        self, queue: JobQueue, steps: Steps, surroundings: Surroundings, clock: Clock
    ) -> None:
        self._queue = queue
        self._steps = steps
        self._surroundings = surroundings
        self._clock = clock
        self._trying, self._undoing = Trying(clock), Trying(clock, doubtful=True)
        self.may_decide: Callable[[], Awaitable[None]] = _at_once
        """Waited for before an opcode is decided on: what it is decided on must be known."""
        self._acting = Acting(queue, surroundings)
        self._riding = Riding(queue, steps, surroundings, self._acting, clock)
        self.slots = Slots(lambda: UNLIMITED)
        """Places to act; a job gives its own back while it waits for locks."""
        self._deciding = Deciding(queue, steps, surroundings, self.slots)

    async def run(self, job: Job) -> None:
        """Take ``job`` to its end, or until it is stuck."""
        while (index := job.current) is not None and not job.stuck_because:
            try:
                await self._advance(job, index)
            except JournalBroken as error:
                job.stuck_because = sentence(error)
                LOG.error("job stuck", job=job.id, reason=job.stuck_because)
                self._queue.tell(job)
            if job.known[index].phase is Phase.STUCK:
                return

    def interrupt(self, job: Job) -> None:
        """``cancel_wanted`` was set: stop waiting for locks or a choice, or doing what may be
        broken off."""
        self._deciding.interrupt(job)
        self._acting.interrupt(job)

    def breathe(self) -> Deferred[None]:
        """Let everything else have its turn."""
        return self._trying.sleep(0.0)

    # -- one move, by phase ------------------------------------------------------------------------

    async def _advance(self, job: Job, index: int) -> None:
        known = job.known[index]
        if known.phase is Phase.QUEUED:
            try:
                await self._begin(job, index)
            finally:
                job.waiting = False
        elif known.phase is Phase.READY:
            await self._forward(job, index)
        elif known.phase is Phase.ACTING:
            await self._act(job, index)
        elif known.phase is Phase.FAILED:
            await self._backward(job, index)
        elif known.phase is Phase.UNDOING:
            await self._undo(job, index)

    async def _begin(self, job: Job, index: int) -> None:
        """From queued to planned, or straight to the end."""
        opcode = job.opcodes[index]
        kind = self._queue.registry.kind_of(opcode)
        waited_from = self._clock.seconds()
        if index and (before := job.known[index - 1].status) is not Status.SUCCESS:
            status = Status.CANCELED if before is Status.CANCELED else Status.ERROR
            await self._store(job, self._after_failure(job, index, waited_from, status))
            return
        try:
            await self.may_decide()
            if job.cancel_wanted:
                raise CancelledError
            made = await self._deciding.decide(job, kind, opcode)
        except CancelledError:
            await self._end(job, index, Status.CANCELED, None, waited_from)
            return
        except Exception as error:  # noqa: BLE001 - a fault in pure code ends one job, not the master
            await self._refuse(job, index, error, waited_from)
            return
        try:
            await self._take(job, index, made, waited_from)
        finally:
            self._deciding.stored(job)

    async def _take(self, job: Job, index: int, made: Decision, waited_from: float) -> None:
        """Store what was decided."""
        if job.opcodes[index].dry_run:
            await self._end_dry(job, index, made, waited_from)
            return
        planned = Event(
            kind=Kind.PLANNED,
            opcode=index,
            time=self._clock.seconds(),
            plan=made.plan,
            chosen=tuple(msgspec.Raw(msgspec.json.encode(one)) for one in made.chosen),
            verdicts=made.verdicts,
            locks=self._queue.locks.holdings(str(job.id)),
            waited_from=waited_from,
        )
        kind = self._queue.registry.kind_of(job.opcodes[index])
        ride = Ride(job, index, made.plan, ())
        ride.events.append(planned)
        if kind.hooks is None and made.plan and not job.cancel_wanted:
            await self._riding.begin(ride, 0)
        try:
            await self._store_ride(ride)
        except NOT_TOGETHER:
            await self._store(job, [planned])

    async def _refuse(self, job: Job, index: int, error: Exception, waited: float) -> None:
        if not isinstance(error, Refused):
            LOG.error("deciding failed", job=job.id, opcode=index, exc_info=error)
        verdicts = error.verdicts if isinstance(error, Refused) else None
        await self._end(job, index, Status.ERROR, encoded(error), waited, verdicts)

    async def _end_dry(self, job: Job, index: int, made: Decision, waited: float) -> None:
        self._queue.say(
            job, index, " - INFO: dry-run mode requested, not actually executing the operation"
        )
        for step in made.steps:
            self._queue.say(job, index, f" - INFO: would do {step}")
        await self._end(job, index, Status.SUCCESS, None, waited, made.verdicts)

    async def _forward(self, job: Job, index: int) -> None:
        """Between two steps: the next one, the end, or the way back if that was asked for."""
        known = job.known[index]
        following = known.step + 1
        if job.cancel_wanted and self._way_back(job, index, known.step):
            self._queue.say(job, index, "Canceled: undoing what was done")
            await self._store(job, [self._undo_event(job, index, known.step, canceled=True)])
            return
        if job.cancel_wanted and known.step < 0:
            await self._end(job, index, Status.CANCELED, None, None)
            return
        if following == 0 and not await self._hooks_agree(job, index):
            return
        if following < len(known.plan):
            ride = Ride(job, index, known.plan, known.outputs)
            await self._riding.begin(ride, following)
            try:
                await self._store_ride(ride)
            except NOT_TOGETHER:
                await self._store(job, ride.events[:1])
            return
        await self._finish(job, index)

    async def _hooks_agree(self, job: Job, index: int) -> bool:
        opcode = job.opcodes[index]
        kind = self._queue.registry.kind_of(opcode)
        if kind.hooks is None:
            return True
        try:
            job.before[index] = await self._surroundings.before(
                kind, opcode, self._sayer(job, index)
            )
        except Exception as error:  # noqa: BLE001 - whatever a hook run raises ends this job only
            await self._end(job, index, Status.ERROR, encoded(error), None)
            return False
        return True

    async def _finish(self, job: Job, index: int) -> None:
        opcode = job.opcodes[index]
        kind = self._queue.registry.kind_of(opcode)
        try:
            view, outputs = self._surroundings.view(), job.known[index].outputs
            result = bounded(kind.result(opcode, view, outputs))
            if kind.hooks is not None:
                done = Done(result=result, before=job.before.get(index))
                result = await self._surroundings.after(kind, opcode, done, self._sayer(job, index))
        except Exception as error:
            LOG.error("result failed", job=job.id, opcode=index, exc_info=error)
            await self._end(job, index, Status.ERROR, encoded(error), None)
            return
        await self._end(job, index, Status.SUCCESS, result, None)

    # -- acting ------------------------------------------------------------------------------------

    async def _act(self, job: Job, index: int) -> None:
        at = job.known[index].step
        step = self._steps.decode(bytes(job.known[index].plan[at]))
        try:
            await self._settle(job, index, at, step, "do")
        except (StoreError, JournalBroken):
            raise
        except GivenUp:
            if not self._way_back(job, index, at):
                return await self._failed(job, index, at, step, Refused(CANCELED_WAITING))
            self._queue.say(job, index, "Canceled: undoing what was done")
            await self._store(job, [self._undo_event(job, index, at, canceled=True)])
        except Exception as error:  # noqa: BLE001 - any failure of a step is the journal's business
            await self._failed(job, index, at, step, error)

    async def _failed(self, job: Job, index: int, at: int, step: Step, error: Exception) -> None:
        text = sentence(error)
        LOG.warning("step failed", job=job.id, step=str(step), code=code_of(error), error=text)
        if step.tolerated:
            self._queue.say(job, index, f" - WARNING: {text}")
            await self._store(job, [self._event(Kind.OK, index, at)])
            return
        failed = self._event(Kind.FAILED, index, at, output=encoded(error), message=text)
        await self._store(job, [failed])

    async def _settle(self, job: Job, index: int, at: int, step: Step, word: str) -> None:
        """Run ``do`` or ``undo`` with patience and store its outcome with its writes."""
        attempt = Attempt(job, index, at, step, word)

        def may_end() -> bool:
            may = word == "do" and job.cancel_wanted
            return may and (step.waits or self._way_back(job, index, at))

        for conflict in range(MAX_CONFLICTS):
            trying = self._trying if word == "do" else self._undoing
            outcome = await trying.until_done(
                step.patience if word == "do" else step.undo_patience,
                lambda: self._acting.once(attempt, may_end),
                lambda text: self._queue.say(job, index, f"   waiting: {text}", "progress"),
                final=(Deposed,),
                given_up=may_end,
                hopeless=lambda error: word == "undo" and self._surroundings.given_up(error),
            )
            ride = Ride(job, index, job.known[index].plan, job.known[index].outputs)
            if word == "do":
                await self._riding.onward(ride, at, outcome)
            else:
                ride.events.append(self._event(Kind.UNDONE, index, at, output=outcome.output))
                ride.outcome = outcome
            try:
                await self._store_ride(ride)
                return
            except Conflict:
                if conflict == MAX_CONFLICTS - 1:
                    raise RuntimeError("the configuration kept changing under the step") from None

    # -- the way back ------------------------------------------------------------------------------

    async def _backward(self, job: Job, index: int) -> None:
        """Between two undos: the next one, or the end."""
        known = job.known[index]
        if self._way_back(job, index, known.undo_next):
            await self._store(job, [self._undo_event(job, index, known.undo_next)])
            return
        status = Status.CANCELED if known.canceled else Status.ERROR
        await self._end(job, index, status, known.error, None)

    def _way_back(self, job: Job, index: int, at: int) -> bool:
        """True when step ``at`` was begun, can be undone, and nothing has sealed the opcode."""
        known = job.known[index]
        if at < 0 or self._steps.decode(bytes(known.plan[at])).no_undo:
            return False
        done = known.plan[: len(known.outputs)]
        return not any(self._steps.decode(bytes(raw)).seals for raw in done)

    async def _undo(self, job: Job, index: int) -> None:
        at = job.known[index].step
        step = self._steps.decode(bytes(job.known[index].plan[at]))
        try:
            await self._settle(job, index, at, step, "undo")
        except (StoreError, JournalBroken):
            raise
        except NoWayBack as error:
            self._queue.say(job, index, f" - WARNING: going on forward: {sentence(error)}")
            job.cancel_wanted = False
            await self._store(job, [self._event(Kind.START, index, at)], wanted_again(job))
        except Exception as error:  # noqa: BLE001 - the job becomes stuck and says why
            text = f"undoing {step} failed: {sentence(error)}"
            if step.undo_tolerated or self._surroundings.given_up(error):
                self._queue.say(job, index, f" - WARNING: {text}")
                await self._store(job, [self._event(Kind.UNDONE, index, at)])
                return
            LOG.error("job stuck", job=job.id, step=str(step), error=sentence(error))
            self._queue.say(job, index, f" - ERROR: {text}")
            event = self._event(Kind.UNDO_FAILED, index, at, message=text)
            await self._store(job, [event])

    def _undo_event(self, job: Job, index: int, at: int, *, canceled: bool = False) -> Event:
        status = Status.CANCELED if canceled else None
        return Event(
            kind=Kind.UNDO, opcode=index, time=self._clock.seconds(), step=at, status=status
        )

    # -- storing -----------------------------------------------------------------------------------

    async def _end(
        self,
        job: Job,
        index: int,
        status: Status,
        output: Any,
        waited: float | None,
        verdicts: Any = None,
    ) -> None:
        now = self._clock.seconds()
        events = [ended(index, now, status, output, waited)]
        if verdicts is not None:
            events = [msgspec.structs.replace(events[0], verdicts=verdicts)]
        if status is not Status.SUCCESS:
            events += self._after_failure(job, index + 1, now, status)
        await self._store(job, events)
        self._queue.locks.release(str(job.id))

    def _after_failure(
        self, job: Job, index: int, now: float, status: Status = Status.ERROR
    ) -> list[Event]:
        """The ends of the opcodes from ``index`` that will not run, as many as fit in one write."""
        output = None
        if status is Status.ERROR:
            output = ["OpExecError", ["Preceding opcode failed"]]
        last = min(len(job.known), index + MAX_ENDED)
        return [ended(at, now, status, output, None) for at in range(index, last)]

    async def _store_ride(self, ride: Ride) -> None:
        await self._store(ride.job, ride.events, ride.outcome)
        if ride.ends:
            self._queue.locks.release(str(ride.job.id))

    async def _store(
        self, job: Job, events: list[Event], more: Outcome | Transaction = NO_WRITES
    ) -> None:
        """Commit events; a store without room or answer is waited for."""
        outcome = more if isinstance(more, Outcome) else Outcome(writes=more)
        writes = outcome.writes
        submissions: list[Any] = []
        if outcome.jobs:
            submissions, more = self._queue.prepare(outcome.jobs, f"job:{job.id}")
            writes = writes + more
            numbers = [[True, submission.id] for submission in submissions]
            events = [_with_output(event, numbers, events) for event in events]

        await self._trying.until_done(
            STORE_PATIENCE,
            lambda: self._queue.append(job, events, writes),
            lambda text: LOG.error("store", job=job.id, error=text),
            final=(Conflict, Deposed),
        )
        self._queue.accept(submissions)

    def _event(
        self, kind: Kind, index: int, at: int, *, output: Any = None, message: str = ""
    ) -> Event:
        now = self._clock.seconds()
        return Event(kind=kind, opcode=index, time=now, step=at, output=output, message=message)

    def _sayer(self, job: Job, index: int) -> Callable[[str], None]:
        return lambda text: self._queue.say(job, index, text)


def _with_output(event: Event, output: Any, events: list[Event]) -> Event:
    """The outcome that submits jobs is the last one; its output are their numbers."""
    last = [one for one in events if one.kind in (Kind.OK, Kind.UNDONE)][-1]
    return msgspec.structs.replace(event, output=output) if event is last else event


async def _at_once() -> None:
    """There is nothing to wait for."""
