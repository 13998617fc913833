"""A candidate for the mastership: claims it when it is vacant, holds it while it can, lets it go.

Thin: what to do is decided by ``standing``; here it is done, and what came of it is heard. What a
mastership is made of is a ``Reign``, made anew each time, so nothing of an earlier one is left.

Invariant: at most one reign is not put down.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from clusterd.doorway.porter import Mastery
from clusterd.errors import NotMaster
from clusterd.master.mastership import Claimant, Grant, Leadership, Mastership, Wish
from clusterd.master.renewals import Renewal, Renewals
from clusterd.master.standing import (
    HOLDS,
    Act,
    Heard,
    Place,
    Standing,
    Timing,
    may_act,
    may_answer,
    turn,
)
from clusterd.world import Clock
from jobqueue.errors import JobQueueError

LOG = structlog.get_logger("master")

TICK_S = 0.01
"""Timers and the steady clock may differ by so much; waiting for the rest would take for ever."""


class Reign(Protocol):
    """One mastership, from reading the store to letting go of everything."""

    async def rise(self) -> None:
        """Read everything and go on with what was under way; raises what prevents it."""

    def serve(self) -> None:
        """Answer from now on."""

    def drop(self, why: str) -> None:
        """Write and answer nothing any more, at once."""

    async def put_down(self) -> None:
        """Let go of nodes, address and store; also of what ``rise`` had only begun."""


class Tenancy(Protocol):
    """What a reign may know of its candidate."""

    def may_write(self) -> bool:
        """Whether the term still lasts."""

    def over(self, why: str) -> None:
        """The reign has found out that it is over."""


Begin = Callable[[Grant, Tenancy], Reign]


class Candidacy:
    """One candidate of one process. ``steady`` is a clock that nobody sets."""

    def __init__(
        self,
        who: Claimant,
        leadership: Leadership,
        begin: Begin,
        clock: Clock,
        steady: Callable[[], float],
        timing: Timing,
    ) -> None:
        self.node = who.node
        self.place = Place()
        self.changed: Callable[[Standing], None] = lambda standing: None
        """Called when it stands elsewhere."""
        self.seen: Callable[[], None] = lambda: None
        """Called when it has looked who is master."""
        self.master: Mastership | None = None
        """Who is master, as far as this candidate knows."""
        self.problem: BaseException | None = None
        """Why it last failed to take over, or last let go of it."""
        self._leadership = leadership
        self._begin = begin
        self._clock = clock
        self._steady = steady
        self._timing = timing
        self._grant: Grant | None = None
        self._reign: Reign | None = None
        self.why = ""
        """The reason of what was heard last."""
        self._who = who
        self._yields: tuple[Wish, float] | None = None
        self._timers: dict[str, Any] = {}
        self._renewals = Renewals(leadership, steady, self._renewed, self._unexpected)
        self._seeing = False
        self._unwatch: Callable[[], None] = lambda: None
        self._ended: Deferred[None] = Deferred()

    # -- from outside ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look, and to claim what is vacant."""
        self._plan()
        self._unwatch = self._leadership.watch(self._look)
        self._look()

    async def stop(self) -> None:
        """Let go of everything and end."""
        self.why = "the daemon ends"
        self._hear(Heard.END)
        await self._ended

    def step_down(self, why: str) -> None:
        """Let another one be master, on purpose."""
        self.why = why
        self._hear(Heard.ASKED)

    def may_write(self) -> bool:
        """See ``Tenancy``."""
        return may_act(self.place, self._steady())

    def may_answer(self) -> bool:
        """True while it is master and its term lasts."""
        return may_answer(self.place, self._steady())

    def over(self, why: str) -> None:
        """See ``Tenancy``."""
        self.why = why
        self._hear(Heard.OVER)

    @property
    def alone(self) -> bool:
        """Its terms have no end: nobody else can be master."""
        return math.isinf(self._timing.term_s)

    def mastery(self) -> Mastery:
        """What it knows, for the door."""
        known = self.master
        left_s = max(self.place.until - self._steady(), 0.0)
        holds = self.place.standing in HOLDS and math.isfinite(left_s)
        return Mastery(
            node=self.node,
            standing=self.place.standing,
            master=known.node if known else "",
            address=known.address if known else "",
            epoch=known.epoch if known else 0,
            since=known.since if known else 0.0,
            left_s=left_s if holds else None,
            problem=str(self.problem or ""),
        )

    async def ask_for_it(self) -> str:
        """Ask the present master to step down for this node; a sentence. Raises StoreError."""
        holder = (await self._leadership.look()).holder
        if self.place.standing in HOLDS or (holder is not None and holder.node == self.node):
            return f"{self.node} is the master already"
        await self._leadership.want(Wish(node=self.node, epoch=holder.epoch if holder else 0))
        self._look()
        return f"{holder.node if holder else 'nobody'} is asked to step down for {self.node}"

    def not_master(self) -> NotMaster:
        """What is answered instead, naming who is master."""
        if self.master is not None and self.master.node != self.node:
            return NotMaster(
                "This node is not the master, please connect to node"
                f" '{self.master.node}' and rerun the command",
                subject=self.master.node,
            )
        return NotMaster("This node is not the master, and nobody is at the moment; try again soon")

    # -- hearing and doing -------------------------------------------------------------------------

    def _hear(self, heard: Heard, now: float | None = None) -> None:
        before = self.place.standing
        now = self._steady() if now is None else now
        self.place, acts = turn(self.place, heard, now, self._timing)
        standing = self.place.standing
        if standing is not before:
            LOG.info("standing", standing=standing, heard=heard, why=self.why)
            self._plan()
            self.changed(standing)
        for act in acts:
            self._do(act)

    def _do(self, act: Act) -> None:
        match act:
            case Act.CLAIM:
                self._begin_to(self._claim())
            case Act.RISE:
                self._begin_to(self._rise())
            case Act.SERVE if self._reign is not None:
                self._reign.serve()
            case Act.DROP if self._reign is not None:
                self._reign.drop(self.why)
            case Act.PUT_DOWN:
                self._begin_to(self._put_down())
            case Act.RELEASE:
                self._begin_to(self._release())
            case Act.FINISH:
                self._finish()

    def _begin_to(self, work: Any) -> None:
        Deferred.fromCoroutine(work).addErrback(self._unexpected)

    def _unexpected(self, failure: Failure) -> None:
        LOG.error("mastership failed", exc_info=failure.value)
        self.problem = failure.value
        self.over(f"unexpected: {failure.value!r}")

    # -- the term ----------------------------------------------------------------------------------

    async def _claim(self) -> None:
        asked = self._steady()
        try:
            grant = await self._leadership.claim(self._who, self._clock.seconds())
        except JobQueueError as error:
            LOG.warning("claim not answered", error=str(error))
            self.problem = error
            self._hear(Heard.LOST)
            return
        if grant is None:
            self._hear(Heard.LOST)
            return
        self._grant = grant
        self._hear(Heard.WON, asked)

    def _renew(self) -> None:
        if self._grant is not None:
            self._renewals.ask(self._grant)
        self._later("renew", self._timing.renew_s, self._renew)

    def _renewed(self, grant: Grant, renewal: Renewal) -> None:
        if grant is not self._grant:
            return
        if not renewal.stands:
            self.over("the store says that this mastership is over")
            return
        self._hear(Heard.RENEWED, renewal.asked)
        self._watch_time()

    def _watch_time(self) -> None:
        left_s = self.place.until - self._steady()
        if math.isfinite(left_s):
            self._later("time", max(left_s, 0.0), self._time)

    def _time(self) -> None:
        if self._steady() < self.place.until - TICK_S:
            self._watch_time()
        else:
            self.over("the store did not renew this mastership in time")

    async def _release(self) -> None:
        grant, self._grant = self._grant, None
        if grant is None:
            return
        try:
            await self._leadership.release(grant)
        except JobQueueError as error:
            LOG.warning("mastership not given back, it will run out", error=str(error))

    # -- the reign ---------------------------------------------------------------------------------

    async def _rise(self) -> None:
        grant = self._grant
        assert grant is not None
        self.master = grant.mastership
        reign = self._reign = self._begin(grant, self)
        try:
            await reign.rise()
        # whatever prevents it, another candidate may be able to
        except Exception as error:
            if reign is self._reign:
                self.problem = error
                self.why = f"taking over failed: {error}"
                LOG.error("taking over failed", error=str(error), exc_info=error)
                self._hear(Heard.FAILED)
            return
        if reign is self._reign:
            self._hear(Heard.RISEN)

    async def _put_down(self) -> None:
        reign, self._reign = self._reign, None
        try:
            if reign is not None:
                await reign.put_down()
        finally:
            self._hear(Heard.DOWN)

    # -- time --------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """The timers that belong to where it stands now."""
        for name in ("renew", "time", "look"):
            self._cancel(name)
        standing = self.place.standing
        if standing in (Standing.RISING, Standing.MASTER):
            self._watch_time()
            if math.isfinite(self._timing.term_s):
                # a claim that was answered late has used up some of its term
                due = self.place.until - self._timing.lasts_s + self._timing.renew_s
                self._later("renew", max(due - self._steady(), 0.0), self._renew)
                self._later("look", self._timing.look_s, self._look)
        elif standing is Standing.ASIDE:
            calm_s = self.place.calm_until - self._steady()
            self._later("look", max(self._timing.look_s, calm_s), self._look)
        if standing not in HOLDS:
            self._renewals.forget()

    def _look(self) -> None:
        """Also while it is master: an operator may want another one."""
        if "look" in self._timers:
            self._later("look", self._timing.look_s, self._look)
        if not self._seeing:
            self._seeing = True
            self._begin_to(self._see())

    async def _see(self) -> None:
        try:
            found = await self._leadership.look()
            holder, wish = found.holder, found.wish
            if holder is not None and self._is_of_earlier_life(holder):
                await self._leadership.release(Grant(holder, holder.epoch))
                holder = None
        except JobQueueError as error:
            LOG.info("who is master is not known", error=str(error))
            return
        finally:
            self._seeing = False
        if self.place.standing is Standing.ASIDE:
            self.master = holder
            self.seen()
            if holder is None and not self._yields_to(wish):
                self._hear(Heard.VACANT)
        elif wish is not None and wish.node != self.node and self._is_mine(wish.epoch):
            self.step_down(f"an operator wants {wish.node} to be master")

    def _is_of_earlier_life(self, holder: Mastership) -> bool:
        """This node has one master daemon at a time: what is not held by this one is by none."""
        idle = self._grant is None and self.place.standing is Standing.ASIDE
        return holder.node == self.node and idle

    def _is_mine(self, epoch: int) -> bool:
        return self._grant is not None and self._grant.mastership.epoch == epoch

    def _yields_to(self, wish: Wish | None) -> bool:
        """Another one is wanted: it may come first, for a while."""
        if wish is None or wish.node == self.node:
            return False
        if self._yields is None or self._yields[0] != wish:
            self._yields = (wish, self._steady() + self._timing.calm_s)
        return self._steady() < self._yields[1]

    def _later(self, name: str, delay_s: float, call: Callable[[], None]) -> None:
        self._cancel(name)
        self._timers[name] = self._clock.callLater(delay_s, call)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and timer.active():
            timer.cancel()

    def _finish(self) -> None:
        self._unwatch()
        for name in list(self._timers):
            self._cancel(name)
        if not self._ended.called:
            self._ended.callback(None)
