"""The words of the local door: LUXI, as Ganeti's own tools speak it.

A message is one JSON object ended by the byte 0x03. Requests are ``{method, args, version}``,
replies ``{success, result}``; the result of a failure is ``[class, [arguments]]`` with Ganeti's
class names.
Decided here: framing, bounds, how errors cross the door. Not decided here: what a method does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.errors import ClusterError, NotMaster
from jobqueue.errors import (
    Deposed,
    JobMissing,
    JobQueueError,
    QueueDrained,
    QueueFull,
    Refused,
    StoreAway,
)

END = b"\x03"
"""A JSON text never contains this byte: control characters are escaped in it."""

MASTER_SOCKET = "ganeti-master"
QUERY_SOCKET = "ganeti-query"
SOCKET_DIRECTORY = "socket"
"""Below the run directory: ``/run/clusterd/socket/ganeti-master``."""

LUXI_VERSION = 3000000
"""What Ganeti's 3.x clients send; any version of the same major number is served."""

MAX_REQUEST_BYTES = 32 * 1024 * 1024
MAX_REPLY_BYTES = 512 * 1024 * 1024


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call. Fields that we do not know are ignored, as Ganeti ignores them."""

    method: str
    args: Any = ()
    version: int | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One answer."""

    success: bool
    result: Any


class BadMessage(ClusterError):
    """What came through the door is not a message of this protocol."""

    code = "bad_message"


UNSURE = ((StoreAway.code,), (Deposed.code,))
"""What follows the sentence of a failure that leaves open whether the request was carried out."""


class RequestFailed(ClusterError):
    """The master refused or failed a request.

    ``kind`` is Ganeti's class name (``OpPrereqError``), ``details`` its arguments, ``reason`` the
    error code of an ``OpPrereqError`` or ``""``.
    """

    code = "request_failed"

    def __init__(self, kind: str, details: tuple[Any, ...]) -> None:
        super().__init__(str(details[0]) if details else kind)
        self.kind = kind
        self.details = details

    @property
    def reason(self) -> str:
        """``wrong_input`` and the like, or ``""``."""
        if self.kind == "OpPrereqError" and len(self.details) > 1:
            return str(self.details[1])
        return ""

    @property
    def unsure(self) -> bool:
        """The master could not learn whether what was asked is done: it lost the store, or the
        mastership."""
        return self.kind == "GenericError" and self.details[1:] in UNSURE


_ENCODER = msgspec.json.Encoder()
_REQUESTS = msgspec.json.Decoder(Request)
_REPLIES = msgspec.json.Decoder(Reply)


def encode_request(method: str, args: Any) -> bytes:
    """A framed request."""
    return _ENCODER.encode(Request(method=method, args=args, version=LUXI_VERSION)) + END


def decode_request(message: bytes) -> Request:
    """A request without its end byte; raises BadMessage."""
    try:
        request = _REQUESTS.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"Not a LUXI request: {error}") from None
    if request.version is not None and request.version // 1000000 != LUXI_VERSION // 1000000:
        raise BadMessage(f"LUXI version mismatch, server {LUXI_VERSION}, request {request.version}")
    return request


def encode_reply(result: Any) -> bytes:
    """A framed reply of a request that went well."""
    return _ENCODER.encode(Reply(success=True, result=result)) + END


def encode_failure(encoded: list[Any]) -> bytes:
    """A framed reply of a request that failed; ``encoded`` comes from ``encode_error``."""
    return _ENCODER.encode(Reply(success=False, result=encoded)) + END


def decode_reply(message: bytes) -> Any:
    """The result in a reply without its end byte; raises RequestFailed, BadMessage."""
    try:
        reply = _REPLIES.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMessage(f"Not a LUXI reply: {error}") from None
    if reply.success:
        return reply.result
    raise decode_error(reply.result)


_CLASSES: tuple[tuple[type[Exception], str], ...] = (
    (QueueDrained, "JobQueueDrainError"),
    (QueueFull, "JobQueueFull"),
    (JobMissing, "JobLost"),
    (JobQueueError, "GenericError"),
    (NotMaster, "NotMaster"),
    (ClusterError, "GenericError"),
)
"""Error -> Ganeti's class, the first that fits; ``Refused`` carries a code and stands apart."""


def encode_error(error: Exception) -> list[Any] | None:
    """Ganeti's ``[class, [arguments]]`` of an error of ours, None for one that is not ours."""
    if isinstance(error, Refused):
        return ["OpPrereqError", [error.message, error.reason]]
    if isinstance(error, RequestFailed):
        return [error.kind, list(error.details)]
    if isinstance(error, StoreAway | Deposed):
        return ["GenericError", [str(error), error.code]]
    for type_, name in _CLASSES:
        if isinstance(error, type_):
            return [name, [str(error)]]
    return None


def decode_error(encoded: Any) -> RequestFailed:
    """The error in an encoded failure; an unusual shape is kept as text."""
    match encoded:
        case [str(name), [*details]]:
            return RequestFailed(name, tuple(details))
        case [str(name), detail]:
            return RequestFailed(name, (detail,))
        case _:
            return RequestFailed("GenericError", (str(encoded),))


class Frames:
    """Cuts a stream into messages. Invariant: never holds more than ``limit`` bytes of one."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._parts: list[bytes] = []
        self._held_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Messages that ``data`` completes; raises BadMessage for one over the limit."""
        *complete, rest = data.split(END)
        messages = []
        for part in complete:
            self._hold(part)
            messages.append(b"".join(self._parts))
            self._parts = []
            self._held_bytes = 0
        if rest:
            self._hold(rest)
        return messages

    def _hold(self, part: bytes) -> None:
        self._held_bytes += len(part)
        if self._held_bytes > self._limit_bytes:
            raise BadMessage(f"A message may have at most {self._limit_bytes} bytes")
        self._parts.append(part)
