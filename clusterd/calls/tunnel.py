"""Joining a framed link with a plain connection: bytes pass both ways, at the slower one's pace."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from clusterd.calls.wire import FrameLink


class Side(Protocol):
    """The plain end. Holds back its own bytes until it is joined."""

    transport: Any

    def __init__(self) -> None:
        self._link: FrameLink | None = None
        self.up = False

    def connectionMade(self) -> None:
        self.up = True
        self.transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        if self._link is not None:
            self._link.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.up = False
        if self._link is not None:
            _let_go(self._link.transport)

    def begin(self, link: FrameLink) -> None:
        """Whatever came meanwhile goes to ``link``."""
        self._link = link

    # -- as the tunnel of a link -------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Bytes of the link."""
        if self.up:
            self.transport.write(data)

    def close(self) -> None:
        """The link is gone: what is still to be sent is sent."""
        if self.up:
            _let_go(self.transport)


def join(link: FrameLink, side: Side) -> None:
    """From now on ``link`` and ``side`` are one stream; when one ends, so does the other."""
    rest = link.tunnel(side)
    if not side.up:
        _let_go(link.transport)
        return
    side.begin(link)
    near: Any = side.transport
    link.transport.registerProducer(near, True)
    near.registerProducer(link.transport, True)
    if rest:
        side.write(rest)
    near.resumeProducing()


def _let_go(transport: Any) -> None:
    # with a producer in place a transport would wait for more before it closes
    transport.unregisterProducer()
    transport.loseConnection()
