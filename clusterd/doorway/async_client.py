"""A client of the door for programs that run a reactor (the RAPI).

Each call has a connection of its own while it runs; idle connections are kept for the next call, so
a long wait never stands in front of another request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from clusterd.doorway.protocol import (
    MAX_REPLY_BYTES,
    BadMessage,
    Frames,
    decode_reply,
    encode_request,
)
from clusterd.errors import DoorAway
from clusterd.world import Clock

CALL_TIMEOUT_S = 180.0
"""Ganeti's read and write timeout at this door."""

MAX_IDLE = 8


class DoorTimeout(DoorAway):
    """The master daemon took the request but did not answer in time."""

    code = "door_timeout"


class _Connection(Protocol):
    """One call at a time."""

    transport: Any = None

    def __init__(self) -> None:
        self._frames = Frames(MAX_REPLY_BYTES)
        self._answer: Deferred[bytes] | None = None
        self.alive = False

    def connectionMade(self) -> None:
        self.alive = True

    def ask(self, message: bytes) -> Deferred[bytes]:
        """The reply to a framed request."""
        answer: Deferred[bytes] = Deferred(lambda _: self._drop())
        self._answer = answer
        self.transport.write(message)
        return answer

    def dataReceived(self, data: bytes) -> None:
        try:
            messages = self._frames.feed(data)
        except BadMessage as problem:
            self._fail(Failure(problem))  # type: ignore[no-untyped-call]
            self._drop()
            return
        for message in messages:
            answer, self._answer = self._answer, None
            if answer is None or answer.called:
                self._drop()
                return
            answer.callback(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.alive = False
        self._fail(reason)

    def close(self) -> None:
        """Hang up."""
        self._drop()

    def _fail(self, failure: Failure) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.called:
            answer.errback(failure)

    def _drop(self) -> None:
        self.alive = False
        self.transport.loseConnection()


class _Connections(Factory):
    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> _Connection:
        return _Connection()


class Door:
    """Calls the master daemon."""

    def __init__(self, endpoint: Callable[[], Any], clock: Clock) -> None:
        """``endpoint`` makes a Twisted client endpoint to the socket; one a connection."""
        self._endpoint = endpoint
        self._clock = clock
        self._idle: list[_Connection] = []
        self._factory = _Connections()

    async def call(self, method: str, *args: Any) -> Any:
        """The result. Raises RequestFailed (the master's answer), DoorAway, DoorTimeout."""
        message = encode_request(method, args)
        connection = await self._connected()
        try:
            reply = await self._timed(method, connection.ask(message))
        except (ConnectionDone, ConnectionLost, OSError) as error:
            connection.close()
            raise DoorAway(f"The master daemon hung up during {method}: {error}") from error
        except BaseException:
            connection.close()
            raise
        if connection.alive and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return decode_reply(reply)

    def close(self) -> None:
        """Hang up all idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _connected(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                return connection
        try:
            protocol = await self._endpoint().connect(self._factory)
        except Exception as error:
            raise DoorAway(f"The master daemon cannot be reached: {error}") from error
        assert isinstance(protocol, _Connection)
        return protocol

    async def _timed(self, method: str, answer: Deferred[bytes]) -> bytes:
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            answer.cancel()

        timer = self._clock.callLater(CALL_TIMEOUT_S, give_up)
        try:
            return await answer
        except Exception as error:
            if late:
                raise DoorTimeout(
                    f"The master daemon did not answer {method} in {CALL_TIMEOUT_S:.0f} s"
                ) from error
            raise
        finally:
            if timer.active():
                timer.cancel()
