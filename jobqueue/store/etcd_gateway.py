"""Asking an etcd cluster: several members, fail-over, and what an answer that says no means.

Decided here: which member is asked (the one that answered last; the next one after a failure), how
long one may take, how long all of them together, and the store's error for each of etcd's. Every
request may be asked again at another member, so a caller makes requests that bear it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import structlog
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    ConnectionLost,
    DNSLookupError,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from jobqueue.errors import LeaseGone, StoreAway, StoreError, StoreFull, TooLarge
from jobqueue.retry import Clock
from jobqueue.store.etcd_wire import (
    Header,
    KeepAliveAnswer,
    Nothing,
    Refusal,
    StatusAnswer,
    decode,
    encode,
)

LOG = structlog.get_logger("store")

T = TypeVar("T")

JSON = Headers({"Content-Type": ["application/json"]})

LOST = (
    DeferredTimeout,
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    DNSLookupError,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
"""The member is away, or its answer was lost: it may or may not have done it."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for an answer, in seconds."""

    member_s: float = 1.5
    """For one member; the next one is asked then. An election takes a little over a second."""

    all_s: float = 8.0
    """For all members together; StoreAway then."""

    several_s: float = 8.0
    """For a question that several members are asked at once (``etcd_race.py``)."""

    pause_s: float = 0.1
    """Between two tries, so that members that refuse at once are not asked in a circle."""


class Compacted(StoreError):
    """The revision that was asked for is no longer kept."""

    code = "compacted"


class TryAnother(Exception):
    """This member cannot answer now."""


class Gateway:
    """The members of one cluster, as a client that is never sure of any of them."""

    def __init__(
        self,
        endpoints: Sequence[str],
        agent: IAgent,
        clock: Clock,
        patience: Patience | None = None,
    ) -> None:
        """``endpoints`` are URLs without a path; ``agent`` bounds no time by itself."""
        if not endpoints:
            raise ValueError("an etcd store needs at least one endpoint")
        self.endpoints = [endpoint.rstrip("/") for endpoint in endpoints]
        self.patience = Patience() if patience is None else patience
        self._client = HTTPClient(agent)
        self.clock = clock
        self._at = 0
        self.revision = 0
        """The latest that any answer was from."""
        self.closed = False
        """What fails is not tried again after it was set."""

    @property
    def endpoint(self) -> str:
        """The member that is asked first."""
        return self.endpoints[self._at]

    def prefer(self, endpoint: str) -> None:
        """Ask this one first from now on."""
        self._at = self.endpoints.index(endpoint)

    async def ask(self, path: str, message: dict[str, Any], shape: type[T]) -> T:
        """The answer of whichever member gives one. Raises StoreAway, StoreFull, LeaseGone,
        TooLarge, Compacted, StoreError."""
        body = encode(message)
        began = self.clock.seconds()
        while True:
            endpoint = self.endpoint
            try:
                return await self.ask_one(endpoint, path, body, shape, self.patience.member_s)
            except (TryAnother, *LOST) as error:
                why = in_words(error)
            self.failed(endpoint)
            LOG.info("etcd member does not answer", endpoint=endpoint, error=why)
            spent_s = self.clock.seconds() - began
            if self.closed or spent_s >= self.patience.all_s:
                raise StoreAway(
                    f"no etcd member answered within {spent_s:.1f} s, {endpoint} said: {why};"
                    " see 'gnt-cluster store info'"
                )
            await self.pause(self.patience.pause_s)

    async def ask_only(
        self, endpoint: str, path: str, message: dict[str, Any], patience: Patience
    ) -> None:
        """Have this member do it; raises StoreError."""
        try:
            await self.ask_one(endpoint, path, encode(message), Nothing, patience.member_s)
        except (TryAnother, *LOST) as error:
            raise StoreAway(f"etcd at {endpoint} does not answer: {error!r}") from None

    async def ask_one(
        self, endpoint: str, path: str, body: bytes, shape: type[T], member_s: float
    ) -> T:
        """The answer of this member, or one of ``LOST`` or ``TryAnother``."""
        answering = Deferred.fromCoroutine(self._post(f"{endpoint}/v3/{path}", body))
        status, text = await patiently(answering, member_s, self.clock)
        if status != 200:
            raise refusal(status, text)
        try:
            answer = decode(text, shape)
        except msgspec.DecodeError as error:
            raise TryAnother(f"not an answer of etcd: {error}") from None
        if isinstance(answer, KeepAliveAnswer) and answer.result is None:
            raise TryAnother(answer.error.message if answer.error else "an empty answer")
        self.revision = max(self.revision, getattr(answer, "header", NOWHERE).revision)
        return answer

    async def stream(self, endpoint: str, path: str, body: bytes) -> Any:
        """A response whose body has no end; its head within ``member_s``."""
        answering = Deferred.fromCoroutine(self._open(f"{endpoint}/v3/{path}", body))
        return await patiently(answering, self.patience.member_s, self.clock)

    async def statuses(self) -> dict[str, StatusAnswer | None]:
        """How each member sees itself; None: it does not answer."""
        found: dict[str, StatusAnswer | None] = {}
        for endpoint in self.endpoints:
            try:
                found[endpoint] = await self.ask_one(
                    endpoint, "maintenance/status", b"{}", StatusAnswer, self.patience.member_s
                )
            except (TryAnother, StoreError, *LOST):
                found[endpoint] = None
        return found

    async def prefer_leader(self) -> None:
        """Ask the leader first, where it is known: others would pass everything on to it."""
        for endpoint, status in (await self.statuses()).items():
            if status is not None and status.leader and status.leader == status.header.member_id:
                self.prefer(endpoint)

    def failed(self, endpoint: str) -> None:
        """Ask the next one, unless somebody else has already changed over."""
        if endpoint == self.endpoint:
            self._at = (self._at + 1) % len(self.endpoints)

    def pause(self, seconds: float) -> Deferred[None]:
        """Wait."""
        over: Deferred[None] = Deferred()
        self.clock.callLater(seconds, over.callback, None)
        return over

    async def _open(self, url: str, body: bytes) -> Any:
        return await self._client.post(url, data=body, headers=JSON, unbuffered=True)

    async def _post(self, url: str, body: bytes) -> tuple[int, bytes]:
        response = await self._open(url, body)
        whole = _Whole()
        response.deliverBody(whole)
        return response.code, await whole.ended


class _Whole(Protocol):
    """An answer's body; whoever stops waiting for it closes the connection."""

    def __init__(self) -> None:
        self.ended: Deferred[bytes] = Deferred(self._stop)
        self._found: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        """See Twisted."""
        self._found.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See Twisted."""
        if self.ended.called:
            return
        if isinstance(reason.value, ResponseDone):
            self.ended.callback(b"".join(self._found))
        else:
            self.ended.errback(ConnectionLost(reason.getErrorMessage()))

    def _stop(self, ended: Deferred[bytes]) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()


HELD_UP_S = 0.05
"""Time to read what has come while this process was held up."""


def patiently(answering: Deferred[T], wait_s: float, clock: Clock) -> Deferred[T]:
    """Give up after ``wait_s``, with ``TimeoutError``.

    Not at once: a process that was held up for longer hears its timers first, and what has been
    waiting in its sockets after them. Such an answer counts.
    """
    late = False
    timer: Any = None

    def give_up() -> None:
        nonlocal late
        late = True
        answering.cancel()

    def look_once_more() -> None:
        nonlocal timer
        timer = clock.callLater(HELD_UP_S, give_up)

    def ended(result: Any) -> Any:
        if timer.active():
            timer.cancel()
        if late and isinstance(result, Failure) and isinstance(result.value, CancelledError):
            raise DeferredTimeout(f"no answer within {wait_s:.1f} s")
        return result

    timer = clock.callLater(wait_s, look_once_more)
    return answering.addBoth(ended)


NOWHERE = Header()

FINAL = frozenset({3, 5, 6, 7, 9, 11, 12, 16})
"""gRPC's codes that no other member would answer otherwise: invalid argument, not found, already
exists, permission denied, failed precondition, out of range, unimplemented, unauthenticated. All
others (no leader, leader changed, proposal dropped, too many requests) pass by themselves."""


def refusal(status: int, text: bytes) -> Exception:
    """What it means that a member said no: a StoreError, or that another one may be asked."""
    try:
        said = decode(text, Refusal)
    except msgspec.DecodeError:
        return TryAnother(f"HTTP status {status}: {text[:200].decode(errors='replace')}")
    for words, error in _MEANINGS.items():
        if words in said.message:
            return error(f"{error.__doc__} (etcd said: {said.message})")
    if said.code in FINAL:
        return StoreError(f"etcd refused the request: {said.message}")
    return TryAnother(said.message or f"HTTP status {status}")


def in_words(error: BaseException) -> str:
    """Why a member was not heard: of a request that was lost, what became of its connection."""
    reasons = getattr(error, "reasons", ())
    if reasons:
        return "; ".join(in_words(one.value) for one in reasons)
    if isinstance(error, ConnectingCancelledError):
        return "no answer in time"
    return str(error) or type(error).__name__


_MEANINGS: dict[str, type[StoreError]] = {
    "database space exceeded": StoreFull,
    "lease not found": LeaseGone,
    "request is too large": TooLarge,
    "has been compacted": Compacted,
}
"""Words of etcd's sentences -> what they are to the store."""
