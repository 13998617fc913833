"""The master's end of a link: asking calls, and keeping the link up.

Decided here: a call is settled exactly once - by its answer, by its deadline, or by the loss of the
link, and in the latter two its outcome is unknown (NodeAway). A link that is down is tried again
with growing pauses, and at once when somebody calls; a call waits for that no longer than
``Policy.connect_s``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from clusterd.calls.wire import (
    BadFrame,
    Call,
    Endpoint,
    Event,
    Farewell,
    Fault,
    FrameLink,
    Frames,
    Hello,
    Policy,
    Progress,
    Reply,
    Shown,
    TimedOut,
    Welcome,
    reason,
    within,
)
from clusterd.errors import CallFailed, NodeAway, OldEpoch
from clusterd.observation import Glimpse, Observation
from clusterd.world import Clock

Heard = Callable[[str], None]

NO_USE_TRYING = ("old_epoch",)
"""Farewells after which a link is not tried again by itself: only a call with a new epoch does."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call to be made."""

    id: str
    verb: str
    args: msgspec.Raw
    deadline_s: float
    heard: Heard | None = None
    """Takes lines of progress."""


class Caller(Protocol):
    """Makes calls to one node."""

    async def call(self, request: Request) -> msgspec.Raw:
        """The value of the reply; raises CallFailed, NodeAway, OldEpoch."""


class LinkListener(Protocol):
    """Hears of all links."""

    def sighted(self, node: str, observation: Observation) -> None:
        """A node says what it sees."""

    def shown(self, node: str, glimpse: Glimpse) -> None:
        """A node says what it sees of one guest."""

    def connected(self, node: str) -> None:
        """A link stands."""

    def disconnected(self, node: str, why: str) -> None:
        """A link that stood is gone."""

    def deposed(self, node: str, why: str) -> None:
        """A node has seen a newer master: this one must stop."""


class Commander(msgspec.Struct, frozen=True):
    """The master: its node's name, as in its certificate, and the number of its mastership."""

    name: str
    epoch: Callable[[], int]


class _Asked:
    """A call under way."""

    def __init__(self, heard: Heard | None, deadline_s: float) -> None:
        self.heard = heard
        self.answer: Deferred[Reply | Fault] = Deferred()
        self._deadline_s = deadline_s

    def expire(self) -> None:
        """No answer came in time."""
        if not self.answer.called:
            self.answer.errback(TimedOut(self._deadline_s, "Deferred"))


class MasterLink(FrameLink):
    """One connection as the master sees it. Invariant: each call asked is settled once."""

    def __init__(self, hello: Hello, clock: Clock, policy: Policy, owner: Link) -> None:
        super().__init__(clock, policy)
        self._hello = hello
        self._owner = owner
        self._asked: dict[str, _Asked] = {}
        self.welcomed: Deferred[Welcome] = Deferred()
        self.farewell: Farewell | None = None

    @property
    def epoch(self) -> int:
        """With which it said hello."""
        return self._hello.epoch

    def begun(self) -> None:
        self.send(self._hello)

    def received(self, frame: Frames) -> None:
        match frame:
            case Reply() | Fault():
                asked = self._asked.pop(frame.id, None)
                if asked is not None:
                    asked.answer.callback(frame)
            case Progress():
                asked = self._asked.get(frame.id)
                if asked is not None and asked.heard is not None:
                    asked.heard(frame.text)
            case Event():
                self._owner.sighted(frame.observation)
            case Shown():
                self._owner.shown(frame.glimpse)
            case Welcome() if not self.welcomed.called:
                self.welcomed.callback(frame)
            case Farewell():
                self.farewell = frame
                self.close()
            case _:
                self.close("bad_frame", f"'{type(frame).__name__}' is out of place here")

    def ended(self, why: str) -> None:
        if not self.welcomed.called:
            self.welcomed.errback(ConnectionLost(why))
        lost = [self._asked.pop(call_id) for call_id in sorted(self._asked)]
        for asked in lost:
            asked.answer.errback(ConnectionLost(why))
        self._owner.lost(self, why)

    async def ask(self, request: Request, epoch: int, deadline_s: float) -> Reply | Fault:
        """Send the call and wait; TimedOut after its deadline, ConnectionLost with the link."""
        if request.id in self._asked:
            raise ValueError(f"call id '{request.id}' is under way already")
        call = Call(
            id=request.id,
            verb=request.verb,
            args=request.args,
            epoch=epoch,
            deadline_s=deadline_s,
        )
        asked = _Asked(request.heard, deadline_s)
        self.send(call)
        self._asked[request.id] = asked
        # not ``within``: this is what a master does most, and it needs no more than a timer
        deadline = self._clock.callLater(deadline_s, asked.expire)
        try:
            return await asked.answer
        finally:
            if deadline.active():
                deadline.cancel()
            if self._asked.get(request.id) is asked:
                del self._asked[request.id]


class Link:
    """The link to one node over all its connections. Invariant: at most one of them stands, and
    while none does either an attempt runs, a pause runs, or it was stopped or deposed."""

    def __init__(
        self,
        name: str,
        endpoint: Callable[[], Endpoint],
        commander: Commander,
        clock: Clock,
        policy: Policy,
        listener: LinkListener,
    ) -> None:
        self.name = name
        self._endpoint = endpoint
        self._commander = commander
        self._clock = clock
        self._policy = policy
        self._listener = listener
        self._connection: MasterLink | None = None
        self._attempt: Deferred[None] | None = None
        self._pause: Any = None
        self._pause_s = policy.first_pause_s
        self._waiting: list[Deferred[None]] = []
        self._stopped = False
        self._why = "not connected yet"

    @property
    def up(self) -> bool:
        """True while a connection stands."""
        return self._connection is not None

    def start(self) -> None:
        """Connect, and stay connected."""
        self._stopped = False
        self._try()

    def stop(self) -> None:
        """Let go; calls under way fail with NodeAway."""
        self._stopped = True
        self._why = "the link was closed"
        self._cancel_pause()
        if self._attempt is not None:
            self._attempt.cancel()
        if self._connection is not None:
            self._connection.close()

    async def call(self, request: Request) -> msgspec.Raw:
        """See ``Caller``."""
        due = self._clock.seconds() + request.deadline_s
        connection = self._connection
        if self._stopped or connection is None or not connection.open:
            connection = await self._standing(min(self._policy.connect_s, request.deadline_s))
        left_s = due - self._clock.seconds()
        if left_s <= 0:
            raise self._away(f"no link within the {request.deadline_s:g} s of '{request.verb}'")
        try:
            answer = await connection.ask(request, self._commander.epoch(), left_s)
        except BadFrame as problem:
            raise CallFailed(
                f"call '{request.verb}' to node {self.name}: {problem}",
                kind="call_too_long",
                node=self.name,
            ) from None
        except TimedOut:
            raise self._away(
                f"'{request.verb}' was not answered in {request.deadline_s:g} s"
            ) from None
        except (ConnectionLost, CancelledError) as error:
            raise self._away(
                f"the link was lost during '{request.verb}': {reason(error)}"
            ) from None
        if isinstance(answer, Fault):
            raise self._failed(answer)
        return answer.value

    # -- what its connections say ------------------------------------------------------------------

    def sighted(self, observation: Observation) -> None:
        """An observation came up the link."""
        self._listener.sighted(self.name, observation)

    def shown(self, glimpse: Glimpse) -> None:
        """A glimpse of one guest came up the link."""
        self._listener.shown(self.name, glimpse)

    def lost(self, connection: MasterLink, why: str) -> None:
        """A connection ended, welcomed or not."""
        farewell = connection.farewell
        if self._connection is connection:
            self._connection = None
            self._why = why
            self._listener.disconnected(self.name, why)
            if self._goes_on(farewell):
                self._sleep()
        if farewell is not None and farewell.code == OldEpoch.code:
            self._listener.deposed(self.name, farewell.message)

    # -- getting and keeping a connection ----------------------------------------------------------

    async def _standing(self, timeout_s: float) -> MasterLink:
        """Once one stands; raises NodeAway when that takes too long or is not wanted."""
        if self._stopped:
            raise self._away(self._why)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        within(waiting, timeout_s, self._clock)
        self._try()
        try:
            await waiting
        except (TimedOut, CancelledError):
            raise self._away(f"no connection within {timeout_s:g} s; before: {self._why}") from None
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        if self._connection is None:
            raise self._away(self._why)
        return self._connection

    def _try(self) -> None:
        if self._stopped or self._attempt is not None or self._connection is not None:
            return
        self._cancel_pause()
        self._attempt = attempt = Deferred.fromCoroutine(self._connect())
        attempt.addErrback(self._failed_to_connect)
        if attempt.called:
            self._attempt = None
        else:
            attempt.addBoth(self._attempt_over)

    def _attempt_over(self, _: object) -> None:
        self._attempt = None

    async def _connect(self) -> None:
        us = self._commander
        hello = Hello(purpose="command", name=us.name, node=self.name, epoch=us.epoch())
        connection = MasterLink(hello, self._clock, self._policy, self)
        opening = self._endpoint().connect(Factory.forProtocol(lambda: connection))
        try:
            await within(opening, self._policy.connect_s, self._clock)
            welcome = await within(connection.welcomed, self._policy.connect_s, self._clock)
            if welcome.node != self.name:
                raise ConnectionLost(f"node {welcome.node} answered instead")
        # endpoints fail in ways of their own; each means that the node was not reached
        except Exception as error:  # noqa: BLE001
            connection.welcomed.addErrback(_unread)
            if connection.open:
                connection.abort()
            refusal = connection.farewell
            if refusal is not None and refusal.code == OldEpoch.code:
                raise OldEpoch(refusal.message, kind=OldEpoch.code, node=self.name) from None
            raise self._away(reason(error)) from None
        self._connection = connection
        self._pause_s = self._policy.first_pause_s
        self._listener.connected(self.name)
        self._wake(None)

    def _failed_to_connect(self, failure: Failure) -> None:
        error = failure.value
        self._why = str(error)
        if self._stopped:
            error = self._away("the link was closed")
        elif not isinstance(error, OldEpoch):
            self._sleep()
        self._wake(error)

    def _goes_on(self, farewell: Farewell | None) -> bool:
        return not self._stopped and (farewell is None or farewell.code not in NO_USE_TRYING)

    def _sleep(self) -> None:
        self._cancel_pause()
        self._pause = self._clock.callLater(self._pause_s, self._try)
        self._pause_s = min(self._pause_s * 2, self._policy.longest_pause_s)

    def _cancel_pause(self) -> None:
        if self._pause is not None and self._pause.active():
            self._pause.cancel()
        self._pause = None

    def _wake(self, error: BaseException | None) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if error is None:
                one.callback(None)
            else:
                one.errback(error)

    # -- errors ------------------------------------------------------------------------------------

    def _away(self, why: str) -> NodeAway:
        prefix = f"node {self.name} does not answer: "
        return NodeAway(why if why.startswith(prefix) else prefix + why, node=self.name)

    def _failed(self, fault: Fault) -> CallFailed:
        if fault.code == OldEpoch.code:
            self._listener.deposed(self.name, fault.message)
            return OldEpoch(fault.message, kind=fault.code, node=self.name, subject=fault.subject)
        where = f" (node {self.name}, reference {fault.reference})" if fault.reference else ""
        if not where and self.name not in fault.message:
            where = f" (node {self.name})"
        return CallFailed(
            fault.message + where,
            kind=fault.code,
            node=self.name,
            subject=fault.subject,
            retryable=fault.retryable,
        )


def _unread(_: Failure) -> None:
    """Why a connection failed that was given up for another reason."""
