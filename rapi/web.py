"""HTTP around the RAPI: requests in, JSON with a newline out, one request a connection."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from clusterd import names
from rapi.errors import BadRequest, HeadersTooLong, PathTooLong, RapiError, body_of
from rapi.exchange import JSON_TYPE, Answer
from rapi.following import Answering
from rapi.service import Incoming

MAX_BODY_BYTES = 10 * 1024 * 1024
"""Ganeti's limit."""

MAX_CLIENTS = 200
IDLE_S = 60
ARRIVES_S = 120
"""A request is here whole by then, however often a piece of it comes."""

TAKEN_S = 300
"""An answer is taken whole by then."""

SERVER = f"clusterd/{names.PRODUCT_VERSION} Ganeti/{names.SOFTWARE_VERSION}"

log = structlog.get_logger()


class RapiRequest(Request):
    """A request whose body is bounded: what is over the limit is read and thrown away."""

    too_large = False
    _taken_bytes = 0

    def gotLength(self, length: int | None) -> None:
        """The client said how long the body is, or (None) that it comes in chunks."""
        self.too_large = length is not None and length > MAX_BODY_BYTES
        super().gotLength(0 if self.too_large else length)  # type: ignore[no-untyped-call]

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body."""
        self._taken_bytes += len(data)
        self.too_large = self.too_large or self._taken_bytes > MAX_BODY_BYTES
        if not self.too_large:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]


class RapiChannel(HTTPChannel):
    """A connection that says what is wrong with a request that cannot be read, and gives up a
    client that sends or reads too slowly: places are few."""

    _hurry: Any = None
    factory: RapiSite

    def connectionMade(self) -> None:
        """The request is to arrive, also the greetings of TLS before it."""
        super().connectionMade()  # type: ignore[no-untyped-call]
        self.factory.arriving[self] = None
        self._allow(ARRIVES_S)

    def allContentReceived(self) -> None:
        """The request is here; how long its answer takes is not the client's doing."""
        self.factory.arriving.pop(self, None)
        self._allow(None)
        super().allContentReceived()  # type: ignore[no-untyped-call]

    def requestDone(self, request: Any) -> None:
        """The answer is on its way."""
        self._allow(TAKEN_S)
        super().requestDone(request)  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Nobody is waited for any more."""
        self.factory.arriving.pop(self, None)
        self._allow(None)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def lineLengthExceeded(self, line: bytes) -> None:
        """The path, or once that is known a header, is over ``MAX_LENGTH`` bytes."""
        what = HeadersTooLong if self.requests else PathTooLong
        word = "header" if self.requests else "request line"
        self._refuse(what(f"The {word} is over {self.MAX_LENGTH} bytes"))

    def _respondToBadRequestAndDisconnect(self) -> None:
        """What Twisted does with a request that is not HTTP; all its headers together may be too
        long as well."""
        if self._receivedHeaderSize > self.totalHeadersSize:
            self._refuse(HeadersTooLong(f"The headers are over {self.totalHeadersSize} bytes"))
        elif self._receivedHeaderCount > self.maxHeaders:
            self._refuse(HeadersTooLong(f"There are more than {self.maxHeaders} headers"))
        else:
            self._refuse(BadRequest("This is not a request of HTTP/1.1"))

    def _refuse(self, error: RapiError) -> None:
        body = msgspec.json.encode(body_of(error)) + b"\n"
        head = (
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
            f"Server: {SERVER}\r\nContent-Type: {JSON_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        transport: Any = self.transport
        transport.write(head.encode() + body)
        log.info("request_refused", status=error.status)
        self.loseConnection()  # type: ignore[no-untyped-call]

    def _allow(self, time_s: float | None) -> None:
        """So long from now on; None: as long as it takes."""
        if self._hurry is not None and self._hurry.active():
            self._hurry.cancel()
        later: Any = self.callLater
        self._hurry = None if time_s is None else later(time_s, self._too_slow)

    def _too_slow(self) -> None:
        log.info("client_too_slow")
        self.cut()

    def cut(self) -> None:
        """Hang up at once."""
        transport: Any = self.transport
        transport.abortConnection()


class RapiResource(Resource):
    """All paths."""

    isLeaf = True

    def __init__(self, rapi: Answering) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rapi = rapi

    def render(self, request: Any) -> int:
        """Answer later; a client that goes away ends what is done for it."""
        working = Deferred.fromCoroutine(self._rapi.answer(incoming(request)))
        gone = request.notifyFinish()
        gone.addErrback(lambda _: working.cancel())
        working.addCallback(lambda answer: _write(request, answer))
        working.addErrback(_unheard)
        return NOT_DONE_YET


def incoming(request: Any) -> Incoming:
    """The values of a Twisted request."""
    headers = {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    path, _, query = request.uri.partition(b"?")
    return Incoming(
        method=request.method.decode("latin-1"),
        path=path.decode("latin-1"),
        query=query.decode("latin-1"),
        headers=headers,
        body=request.content.read() if request.content is not None else b"",
        too_large=getattr(request, "too_large", False),
    )


def _write(request: Any, answer: Answer) -> None:
    body = msgspec.json.encode(answer.body) + b"\n"
    request.setResponseCode(answer.status)
    request.setHeader(b"content-type", JSON_TYPE.encode())
    request.setHeader(b"server", SERVER.encode())
    request.setHeader(b"connection", b"close")
    request.setHeader(b"content-length", str(len(body)).encode())
    for name, value in answer.headers:
        request.setHeader(name.encode(), value.encode())
    if request.channel is not None:
        request.channel.persistent = False
    request.write(body)
    request.finish()
    log.info(
        "request",
        method=request.method.decode("latin-1"),
        path=request.path.decode("latin-1"),
        status=answer.status,
        size=len(body),
    )


def _unheard(failure: Failure) -> None:
    if not failure.check(CancelledError):  # type: ignore[no-untyped-call]
        log.error("answer_lost", error=str(failure.value))


class TurnedAway(Protocol):
    """Hangs up at once. (Under TLS a factory cannot refuse by answering no protocol.)"""

    def connectionMade(self) -> None:
        """Nothing is said."""
        transport: Any = self.transport
        transport.abortConnection()


class RapiSite(Site):
    """The server of the RAPI. Where it has as many clients as it serves at once, the one that has
    been sending its request for longest makes room; where all wait for answers, who comes is
    turned away."""

    protocol: Any = RapiChannel

    def __init__(self, rapi: Answering, reactor: Any, max_clients: int = MAX_CLIENTS) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            RapiResource(rapi), requestFactory=RapiRequest, timeout=IDLE_S, reactor=reactor
        )
        self.displayTracebacks = False
        self.arriving: dict[RapiChannel, None] = {}
        """Whose request is not whole yet, in the order in which they came."""
        self._max_clients = max_clients
        self._clients = 0

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A connection, unless there are too many."""
        if self._clients >= self._max_clients and not self._made_room():
            log.warning("rapi_full", clients=self._max_clients)
            return TurnedAway()
        channel: Any = super().buildProtocol(addr)  # type: ignore[no-untyped-call]
        self._clients += 1
        lost = channel.connectionLost
        counted = [channel]

        def ended(reason: Failure) -> None:
            self._clients -= len(counted)
            counted.clear()
            lost(reason)

        channel.connectionLost = ended
        return channel

    def _made_room(self) -> bool:
        """Whether a client that had not sent its request yet was cut."""
        slowest = next(iter(self.arriving), None)
        if slowest is None:
            return False
        del self.arriving[slowest]
        slowest.cut()
        return True

    def log(self, request: Any) -> None:
        """Requests are logged where they are answered."""
