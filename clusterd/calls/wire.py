"""What travels between master and nodes: the frames, their coding, and the pulse of a link.

Decided here: the shape of every frame, the greatest length of one, how each side proves that it
lives and when the other is taken for dead, and how a link turns into a plain tunnel. Not decided
here: who may say what (``server``), what a call means (``surface``). Nothing here knows of TLS or
sockets: a transport needs ``write``, ``loseConnection``, ``abortConnection``, ``registerProducer``
and ``unregisterProducer``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol, TypeVar

import msgspec
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectingCancelledError, ConnectionLost
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from clusterd.names import CALLS_VERSION
from clusterd.observation import Glimpse, Observation
from clusterd.world import Clock

T = TypeVar("T")

MAX_FRAME_BYTES = 16 * 1024 * 1024
MAX_DEADLINE_S = 7 * 86400.0
MAX_TEXT_CHARACTERS = 4000
"""Bound on the texts of faults, farewells and progress."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The times of a link. Invariant: ``ping_s`` < ``dead_s``."""

    ping_s: float = 3.0
    dead_s: float = 10.0
    """A peer from which nothing came for so long is dead."""
    connect_s: float = 5.0
    """Longest try to connect and be welcomed; a call waits no longer for a link."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 10.0


class Frame(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="frame"
):
    """Base of all frames."""


class Hello(Frame, frozen=True, kw_only=True, tag="hello"):
    """First of the caller: who it is, which node it wants, and what for."""

    version: int = CALLS_VERSION
    purpose: Literal["command", "relay"]
    name: str
    node: str
    epoch: int = 0
    service: str = ""
    """relay: the service to be joined with."""


class Welcome(Frame, frozen=True, kw_only=True, tag="welcome"):
    """First of the node. After it calls may be sent, or plain bytes of a relay."""

    node: str
    boot_id: str = ""


class Farewell(Frame, frozen=True, kw_only=True, tag="farewell"):
    """Why a side ends the link."""

    code: str
    message: str


class Call(Frame, frozen=True, kw_only=True, tag="call"):
    """A request. ``deadline_s`` counts from its arrival; ``args`` are a map by parameter."""

    id: str
    verb: str
    args: msgspec.Raw
    epoch: int
    deadline_s: Annotated[float, msgspec.Meta(ge=0, le=MAX_DEADLINE_S)]


class Reply(Frame, frozen=True, kw_only=True, tag="reply"):
    """The value of the call ``id``."""

    id: str
    value: msgspec.Raw


class Fault(Frame, frozen=True, kw_only=True, tag="fault"):
    """The call ``id`` failed; ``reference`` finds the node's log entry of an ``internal`` one."""

    id: str
    code: str
    message: str
    subject: str = ""
    retryable: bool = False
    reference: str = ""


class Progress(Frame, frozen=True, kw_only=True, tag="progress"):
    """A line about a call that still runs."""

    id: str
    text: str


class Event(Frame, frozen=True, kw_only=True, tag="event"):
    """What the node saw, unasked."""

    observation: Observation


class Shown(Frame, frozen=True, kw_only=True, tag="shown"):
    """What the node saw of one guest, unasked: what is different, not everything again."""

    glimpse: Glimpse


class Ping(Frame, frozen=True, kw_only=True, tag="ping"):
    """I live."""


Frames = Hello | Welcome | Farewell | Call | Reply | Fault | Progress | Event | Shown | Ping

_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Frames).decode


class BadFrame(Exception):
    """A frame that cannot be sent or understood."""


def encode(frame: Frame) -> bytes:
    """The frame's bytes; raises BadFrame over MAX_FRAME_BYTES."""
    data = _ENCODE(frame)
    if len(data) > MAX_FRAME_BYTES:
        raise BadFrame(f"a frame of {len(data)} bytes is longer than {MAX_FRAME_BYTES} bytes")
    return data


def decode(data: bytes) -> Frames:
    """Strictly; raises BadFrame."""
    try:
        frame: Frames = _DECODE(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFrame(f"not a frame of version {CALLS_VERSION}: {error}") from None
    return frame


def within(waiting: Deferred[T], timeout_s: float, clock: Clock) -> Deferred[T]:
    """``waiting``, which is cancelled and raises TimedOut when it takes longer."""
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        waiting.cancel()

    def over(result: Any) -> Any:
        if timer.active():
            timer.cancel()
        if expired and isinstance(result, Failure) and result.check(CancelledError):  # type: ignore[no-untyped-call]
            raise TimedOut(timeout_s, "Deferred")
        return result

    timer = clock.callLater(timeout_s, expire)
    return waiting.addBoth(over)


TimedOut = TimeoutError


def reason(error: BaseException) -> str:
    """Why a connection failed, in words."""
    # an endpoint whose time is over says only what it gave up
    if isinstance(error, TimedOut | ConnectingCancelledError):
        return "no answer in time"
    if isinstance(error, ConnectionLost) and error.args:
        # why it was lost; as text it begins with that it was
        return " ".join(str(one) for one in error.args)
    return str(error) or type(error).__name__


class Endpoint(Protocol):
    """Where to connect: Twisted's IStreamClientEndpoint as a type."""

    def connect(self, protocol_factory: Any) -> Deferred[Any]:
        """The protocol of a new connection."""


class Tunnel(Protocol):
    """Where plain bytes go once a link is a tunnel."""

    def write(self, data: bytes) -> None:
        """Pass on."""

    def close(self) -> None:
        """The link is gone."""


class FrameLink(Int32StringReceiver):
    """One end of a connection that speaks frames. Invariant: after ``ended`` nothing is sent.

    Subclasses say what they do in ``begun``, ``received`` and ``ended``.
    """

    MAX_LENGTH = MAX_FRAME_BYTES
    transport: Any

    def __init__(self, clock: Clock, policy: Policy) -> None:
        self._clock = clock
        self._policy = policy
        self._heard_at = 0.0
        self._pulse: Any = None
        self._tunnel: Tunnel | None = None
        self._parting = ""
        self.open = False
        self.choked = False
        """True while the peer takes our bytes too slowly: what can be left out is left out."""

    def begun(self) -> None:
        """The connection stands."""

    def received(self, frame: Frames) -> None:
        """A frame came."""
        raise NotImplementedError

    def ended(self, why: str) -> None:
        """The connection is gone."""

    def send(self, frame: Frame) -> None:
        """To the peer, if it is still there; raises BadFrame."""
        if self.open:
            data = encode(frame)
            self.transport.write(len(data).to_bytes(self.prefixLength, "big") + data)

    def close(self, code: str = "", message: str = "") -> None:
        """Say why and end the connection, sending what is left; given up after ``dead_s``."""
        if not self.open:
            return
        if code and self._tunnel is None:
            self._parting = self._parting or message
            self.send(Farewell(code=code, message=message[:MAX_TEXT_CHARACTERS]))
        self.open = False
        self._beat_again(self._policy.dead_s, self.abort)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self, why: str = "") -> None:
        """End the connection at once."""
        self._parting = self._parting or why
        self.open = False
        self.transport.abortConnection()

    def tunnel(self, through: Tunnel) -> bytes:
        """From now on bytes pass unframed, without pulse; answers those that already came."""
        rest: bytes = self.recvd
        self.recvd = b""
        self._tunnel = through
        self._stop_pulse()
        self.transport.unregisterProducer()
        return rest

    # -- what Twisted calls ------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self.open = True
        self._heard_at = self._clock.seconds()
        self.transport.registerProducer(_Pressure(self), True)
        self._beat_again(self._policy.ping_s, self._beat)
        self.begun()

    def dataReceived(self, data: bytes) -> None:
        self._heard_at = self._clock.seconds()
        start = self.prefixLength
        if self._tunnel is not None:
            self._tunnel.write(data)
        elif not self._unprocessed and len(data) - start == int.from_bytes(data[:start], "big"):
            self.stringReceived(data[start:])  # mostly one frame comes, and comes whole
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]

    def stringReceived(self, string: bytes) -> None:
        if not self.open:
            return
        try:
            frame = decode(string)
        except BadFrame as problem:
            self.close("bad_frame", str(problem))
            return
        if type(frame) is Ping:
            return
        if type(frame) is Farewell:
            self._parting = self._parting or frame.message
        self.received(frame)

    def lengthLimitExceeded(self, length: int) -> None:
        self.close("bad_frame", f"a frame of {length} bytes is longer than {MAX_FRAME_BYTES} bytes")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.open = False
        self._stop_pulse()
        if self._tunnel is not None:
            self._tunnel.close()
        self.ended(self._parting or reason.getErrorMessage())

    # -- pulse -------------------------------------------------------------------------------------

    def _beat(self) -> None:
        silent_s = self._clock.seconds() - self._heard_at
        if silent_s >= self._policy.dead_s:
            self.abort(f"nothing was heard for {silent_s:.0f} s")
            return
        self.send(Ping())
        left_s = self._policy.dead_s - silent_s
        self._beat_again(min(self._policy.ping_s, left_s), self._beat)

    def _beat_again(self, delay_s: float, then: Any) -> None:
        self._stop_pulse()
        self._pulse = self._clock.callLater(delay_s, then)

    def _stop_pulse(self) -> None:
        if self._pulse is not None and self._pulse.active():
            self._pulse.cancel()
        self._pulse = None


class _Pressure:
    """Stands at the transport as a producer, only to learn when it is full."""

    def __init__(self, link: FrameLink) -> None:
        self._link = link

    def pauseProducing(self) -> None:
        self._link.choked = True

    def resumeProducing(self) -> None:
        self._link.choked = False

    def stopProducing(self) -> None:
        self._link.choked = True
