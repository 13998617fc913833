"""A pretended network: addresses, connections with delay, links that can be cut and mended.

Bytes arrive in order after a short delay. Cutting a link is silent, as a pulled cable is: nothing
arrives any more and nobody is told. A process that dies or a host that loses power closes nothing
either, but a living host refuses connections to a port that nobody listens on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.python.failure import Failure

from clusterd.simulation.clock import NO_WORDS, UNDYING, Clock

DELAY_S = 0.001
RESET_S = 0.002


class Wire:
    """One end's transport; looks to protocols like a TCP transport."""

    disconnecting = False

    def __init__(self, network: Network, host: str, alive: Callable[[], bool]) -> None:
        self.network = network
        self.host = host
        self.alive = alive
        self.peer: Wire = self
        self.protocol: Any = None
        self.closed = False
        self._last = 0.0

    def write(self, data: bytes) -> None:
        """Send; lost when the link is cut before it arrives. The dead send nothing."""
        if self.closed or not self.alive():
            return
        network = self.network
        clock = network.clock
        delay_s = DELAY_S if network.calm else network.delay_s(self.host, self.peer.host)
        arrives = clock.now + delay_s
        self._last = last = max(self._last, arrives)  # bytes keep their order
        clock.put_at(last, UNDYING, self._deliver, (data,), NO_WORDS)

    def writeSequence(self, chunks: list[bytes]) -> None:
        """Send all."""
        self.write(b"".join(chunks))

    def loseConnection(self) -> None:
        """Close; the other end learns of it if the link stands."""
        if self.closed:
            return
        self.disconnecting = True
        self.network.later(0.0, self.end, ConnectionDone())
        if self.network.joined(self.host, self.peer.host):
            self.network.later(DELAY_S, self.peer.end, ConnectionDone())

    abortConnection = loseConnection

    def getPeer(self) -> str:
        """The other host's name."""
        return self.peer.host

    getHost = getPeer

    def setTcpKeepAlive(self, _on: bool) -> None:
        """Nothing to keep."""

    setTcpNoDelay = setTcpKeepAlive

    def registerProducer(self, _producer: Any, _streaming: bool) -> None:
        """Never full."""

    def unregisterProducer(self) -> None:
        """Never full."""

    def end(self, reason: Exception) -> None:
        """The connection is gone for this end."""
        if self.closed:
            return
        self.closed = True
        if self.alive():
            self.protocol.connectionLost(Failure(reason))  # type: ignore[no-untyped-call]

    def _deliver(self, data: bytes) -> None:
        peer = self.peer
        network = self.network
        if peer.closed or not (network.calm or network.passes(self.host, peer.host)):
            return
        if not peer.alive():
            # the peer's host is up but the process is gone: its kernel resets the connection
            if self.network.up(peer.host):
                self.network.later(RESET_S, self.end, ConnectionLost())
            return
        peer.protocol.dataReceived(data)


class Network:
    """All hosts' links."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._down: set[str] = set()
        self._cut: set[frozenset[str]] = set()
        self._one_way: set[tuple[str, str]] = set()
        self._slow: dict[tuple[str, str], float] = {}
        self.calm = True
        """Nothing is the matter with any link; asked for each frame, and mostly so."""
        self._ports: dict[str, tuple[Any, Callable[[], bool]]] = {}

    def later(self, delay: float, function: Callable[..., Any], *args: Any) -> None:
        """Something happens on the wire."""
        self.clock.put(delay, UNDYING, function, args, NO_WORDS)

    def listen(self, host: str, factory: Any, alive: Callable[[], bool]) -> None:
        """A process of ``host`` takes connections while it is alive."""
        self._ports[host] = (factory, alive)

    def endpoint(self, origin: str, host: str, alive: Callable[[], bool]) -> Endpoint:
        """How a process of ``origin`` connects to ``host``."""
        return Endpoint(self, origin, host, alive)

    def port(self, host: str) -> tuple[Any, Callable[[], bool]] | None:
        """What listens on ``host``."""
        found = self._ports.get(host)
        return found if found is not None and found[1]() else None

    # -- trouble ---------------------------------------------------------------------------------

    def power(self, host: str, *, on: bool) -> None:
        """The host's network card has power or not."""
        (self._down.discard if on else self._down.add)(host)
        self._look_at_weather()

    def up(self, host: str) -> bool:
        """The host has power."""
        return host not in self._down

    def cut(self, one: str, two: str) -> None:
        """Nothing passes between two hosts any more."""
        self._cut.add(frozenset((one, two)))
        self._look_at_weather()

    def mend(self, one: str, two: str) -> None:
        """It passes again."""
        self._cut.discard(frozenset((one, two)))
        self._look_at_weather()

    def cut_way(self, origin: str, target: str) -> None:
        """Nothing passes from one to the other any more; the other way it does."""
        self._one_way.add((origin, target))
        self._look_at_weather()

    def mend_way(self, origin: str, target: str) -> None:
        """It passes again."""
        self._one_way.discard((origin, target))
        self._look_at_weather()

    def slow_down(self, origin: str, target: str, delay_s: float) -> None:
        """What passes this way takes so much longer; 0: no longer."""
        self._slow[origin, target] = delay_s
        self._look_at_weather()

    def _look_at_weather(self) -> None:
        self.calm = not (self._down or self._cut or self._one_way or self._slow)

    def delay_s(self, origin: str, target: str) -> float:
        """How long bytes are on their way."""
        return DELAY_S + (self._slow.get((origin, target), 0.0) if self._slow else 0.0)

    def passes(self, origin: str, target: str) -> bool:
        """Bytes pass this way."""
        return (not self._one_way or (origin, target) not in self._one_way) and (
            self.joined(origin, target)
        )

    def joined(self, one: str, two: str) -> bool:
        """Bytes pass between the two."""
        if self._down and (one in self._down or two in self._down):
            return False
        return not self._cut or one == two or frozenset((one, two)) not in self._cut


class Endpoint:
    """A client endpoint."""

    def __init__(self, network: Network, origin: str, host: str, alive: Callable[[], bool]) -> None:
        self._network = network
        self._origin = origin
        self._host = host
        self._alive = alive

    def connect(self, client: Any) -> Deferred[Any]:
        """A connection soon; refused where nobody listens, silent where the link is cut."""
        answer: Deferred[Any] = Deferred()
        self._network.later(DELAY_S, self._try, client, answer)
        return answer

    def _try(self, client: Any, answer: Deferred[Any]) -> None:
        if not self._alive() or answer.called:
            return
        there, back = (self._origin, self._host), (self._host, self._origin)
        if not (self._network.passes(*there) and self._network.passes(*back)):
            return
        listening = self._network.port(self._host)
        if listening is None:
            answer.errback(ConnectionRefusedError("nobody listens"))  # type: ignore[no-untyped-call]
            return
        factory, alive = listening
        mine = Wire(self._network, self._origin, self._alive)
        theirs = Wire(self._network, self._host, alive)
        mine.peer, theirs.peer = theirs, mine
        mine.protocol = client.buildProtocol(None)
        theirs.protocol = factory.buildProtocol(None)
        theirs.protocol.makeConnection(theirs)
        mine.protocol.makeConnection(mine)
        answer.callback(mine.protocol)
