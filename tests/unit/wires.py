"""Connections in memory that deliver at once, for clients and servers in one process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.python.failure import Failure


class Network:
    """Delivers what was written, in order, whoever writes while it delivers."""

    def __init__(self, later: Callable[[Callable[[], None]], Any] | None = None) -> None:
        """``later`` calls a function when nothing else runs; without it delivery is at once."""
        self._later = later
        self._events: deque[tuple[Any, ...]] = deque()
        self._delivering = False

    def put(self, function: Any, *args: Any) -> None:
        """Call ``function`` after all that was put before."""
        self._events.append((function, *args))
        if self._delivering:
            return
        self._delivering = True
        if self._later is None:
            self._deliver()
        else:
            self._later(self._deliver)

    def _deliver(self) -> None:
        try:
            while self._events:
                call, *rest = self._events.popleft()
                call(*rest)
        finally:
            self._delivering = False


class Wire:
    """One end's transport."""

    disconnecting = False

    def __init__(self, network: Network) -> None:
        self._network = network
        self.peer: Wire = self
        self.protocol: Any = None
        self.closed = False

    def write(self, data: bytes) -> None:
        """To the other end."""
        if not self.closed:
            self._network.put(self.peer.arrive, data)

    def arrive(self, data: bytes) -> None:
        """From the other end."""
        if not self.closed:
            self.protocol.dataReceived(data)

    def writeSequence(self, parts: Any) -> None:
        """To the other end, in one piece."""
        self.write(b"".join(parts))

    def getPeer(self) -> Any:
        """Who is there."""
        return IPv4Address("TCP", "127.0.0.1", 1)

    getHost = getPeer

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """A wire takes everything at once."""
        self._network.put(producer.resumeProducing) if not streaming else None

    def unregisterProducer(self) -> None:
        """Nothing was kept of it."""

    def pauseProducing(self) -> None:
        """Nothing is held back."""

    resumeProducing = stopProducing = pauseProducing

    def loseConnection(self) -> None:
        """Both ends learn of it."""
        self.disconnecting = True
        self._network.put(self._end)
        self._network.put(self.peer._end)

    abortConnection = loseConnection

    def _end(self) -> None:
        if not self.closed:
            self.closed = True
            self.protocol.connectionLost(Failure(ConnectionDone()))


class Endpoint:
    """A client endpoint to a factory; ``up`` false refuses."""

    def __init__(self, network: Network, factory: Any) -> None:
        self._network = network
        self._factory = factory
        self.up = True
        self.wires: list[Wire] = []

    def __call__(self) -> Endpoint:
        return self

    def connect(self, client: Any) -> Deferred[Any]:
        """A new connection."""
        if not self.up:
            return fail(ConnectionRefusedError("nobody listens"))
        one, two = Wire(self._network), Wire(self._network)
        one.peer, two.peer = two, one
        one.protocol, two.protocol = client.buildProtocol(None), self._factory.buildProtocol(None)
        two.protocol.makeConnection(two)
        one.protocol.makeConnection(one)
        self.wires.append(one)
        return succeed(one.protocol)

    def cut(self) -> None:
        """All connections break, and no new one is taken."""
        self.up = False
        for wire in self.wires:
            wire.loseConnection()
