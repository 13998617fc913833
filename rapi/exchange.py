"""One request and its answer as values, apart from HTTP.

Decided here: how query arguments and bodies are read, in Ganeti's way: a flag is ``0`` or ``1``,
blank values are dropped, an empty body is no body.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rapi.errors import BadRequest, UnsupportedMediaType

JSON_TYPE = "application/json"

_DECODE = msgspec.json.Decoder().decode
NOTHING: Any = msgspec.UNSET


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks."""

    method: str
    path: str
    arguments: dict[str, list[str]] = {}
    """Query arguments; the same name may come more than once."""
    body: Any = NOTHING
    """The decoded body; ``NOTHING`` for an empty one."""
    user: str = ""
    """Who asks; empty when nobody had to say."""
    names: dict[str, str] = {}
    """What the path's pattern matched: ``{"name": "web1"}``."""
    key: str = ""
    """What the client named the request (header ``Idempotency-Key``, argument
    ``idempotency-key``): the same name submits once."""
    received_s: float = 0.0
    """When it came, seconds since the epoch."""
    resource: str = ""
    """Ganeti's word for the resource, for the reason trail: ``instances_name_reboot``."""

    @property
    def name(self) -> str:
        """The object in the path."""
        return self.names["name"]

    def flag(self, argument: str) -> bool:
        """A query argument that is 0 or 1; absent is False."""
        return bool(self.number(argument, 0))

    def number(self, argument: str, default: int) -> int:
        """A query argument that is a number."""
        text = self.text(argument)
        if text is None:
            return default
        try:
            return int(text)
        except ValueError:
            raise BadRequest(f"Invalid value for the '{argument}' parameter") from None

    def text(self, argument: str) -> str | None:
        """A query argument; the first one when repeated, None when absent or blank."""
        values = self.texts(argument)
        return values[0] if values else None

    def texts(self, argument: str) -> list[str]:
        """All values of a query argument that are not blank."""
        return [value for value in self.arguments.get(argument, []) if value]

    def listed(self, argument: str) -> list[str]:
        """A query argument that is a list with commas."""
        return [item.strip() for item in (self.text(argument) or "").split(",") if item.strip()]

    def object(self) -> dict[str, Any]:
        """The body as an object; none is an empty one."""
        if self.body is NOTHING or self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise BadRequest(f"Body contents should be an object, not {_kind(self.body)}")
        return dict(self.body)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a client is told."""

    status: int = 200
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


def decoded(body: bytes, content_type: str) -> Any:
    """The value of a body; raises UnsupportedMediaType, BadRequest."""
    if not body:
        return NOTHING
    if content_type.split(";", maxsplit=1)[0].strip().lower() != JSON_TYPE:
        raise UnsupportedMediaType
    try:
        return _DECODE(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("Unable to parse JSON data") from None


def _kind(value: Any) -> str:
    words = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return words.get(type(value), "null")
