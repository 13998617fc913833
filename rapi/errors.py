"""The errors of the RAPI, and how they look: ``{"code", "message", "explain"}``, always all three.

Messages are HTML-escaped and explanations are the standard ones of the status, as Ganeti's.
"""

from __future__ import annotations

import html
from http import HTTPStatus
from typing import Any, ClassVar

from clusterd.doorway.async_client import DoorTimeout
from clusterd.doorway.protocol import BadMessage, RequestFailed
from clusterd.errors import ClusterError, DoorAway

EXPLANATIONS = {
    502: "Invalid responses from another server/proxy",
    503: "The server cannot process the request due to a high load",
    504: "The gateway server did not receive a timely response",
}


class RapiError(ClusterError):
    """A request cannot be answered."""

    code = "rapi_error"
    status: ClassVar[int] = 500
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, message: str = "") -> None:
        super().__init__(message or HTTPStatus(self.status).phrase)


class BadRequest(RapiError):
    """The request is not well formed."""

    code = "bad_request"
    status = 400


class Unauthorized(RapiError):
    """Nobody that we know asks."""

    code = "unauthorized"
    status = 401


class Forbidden(RapiError):
    """The user may not do this."""

    code = "forbidden"
    status = 403


class NotFound(RapiError):
    """There is nothing at this path."""

    code = "not_found"
    status = 404


class TooLarge(RapiError):
    """The body is over the limit."""

    code = "too_large"
    status = 413


class PathTooLong(RapiError):
    """The path with its arguments is over the limit of a line."""

    code = "path_too_long"
    status = 414


class HeadersTooLong(RapiError):
    """A header is over the limit of a line."""

    code = "headers_too_long"
    status = 431


class UnsupportedMediaType(RapiError):
    """The body is not JSON."""

    code = "unsupported_media_type"
    status = 415


class NotImplementedHere(RapiError):
    """The path does not take this method, or what it would need is not part of this release."""

    code = "not_implemented"
    status = 501


class BadGateway(RapiError):
    """The master daemon cannot be reached."""

    code = "bad_gateway"
    status = 502


class Unavailable(RapiError):
    """Not now."""

    code = "unavailable"
    status = 503


class GatewayTimeout(RapiError):
    """The master daemon does not answer in time."""

    code = "gateway_timeout"
    status = 504


def body_of(error: RapiError) -> dict[str, Any]:
    """The body that a client gets."""
    status = HTTPStatus(error.status)
    return {
        "code": error.status,
        "message": html.escape(error.message),
        "explain": EXPLANATIONS.get(error.status, status.description),
    }


QUEUE_REFUSES = ("JobQueueDrainError", "JobQueueFull", "NotMaster")


def from_door(error: ClusterError) -> RapiError:
    """What an error of the local door means to a client of ours."""
    if isinstance(error, RapiError):
        return error
    if isinstance(error, DoorTimeout):
        return GatewayTimeout(error.message)
    if isinstance(error, DoorAway | BadMessage):
        return BadGateway(error.message)
    if isinstance(error, RequestFailed):
        if error.kind in QUEUE_REFUSES:
            return Unavailable(error.message)
        if error.kind == "OpPrereqError":
            return BadRequest(error.message)
    return RapiError(error.message)


def missing_is_404(error: RequestFailed) -> RequestFailed | NotFound:
    """For reads of one object: an unknown name is an unknown path."""
    return NotFound() if error.reason == "unknown_entity" else error
