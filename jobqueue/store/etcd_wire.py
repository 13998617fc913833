"""What goes over the wire to etcd's v3 JSON gateway: the messages, and how keys are named there.

Decided here: the shape of requests and answers as etcd 3.4 documents them (keys and values base64,
64-bit numbers as text), and that all keys of this store lie under ``clusterd/``. Not decided here:
what is asked when.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from jobqueue.store.interface import Entry

DATA = b"clusterd/data/"
"""Before each key of the store; so our order is etcd's."""

WRITERS = b"clusterd/writer/"
"""What each writing process last wrote; see ``etcd_writer.py``."""


class Header(msgspec.Struct, frozen=True):
    """Where the answering member stands."""

    revision: int = 0
    member_id: int = 0


class KeyValue(msgspec.Struct, frozen=True):
    """One key as etcd has it; absent fields are zero."""

    key: bytes = b""
    value: bytes = b""
    mod_revision: int = 0

    def entry(self) -> Entry:
        """As the contract has it."""
        return Entry(self.key[len(DATA) :].decode(), self.value, self.mod_revision)


class RangeAnswer(msgspec.Struct, frozen=True):
    """To a read."""

    header: Header = Header()
    kvs: tuple[KeyValue, ...] = ()
    more: bool = False
    count: int = 0


class DeleteAnswer(msgspec.Struct, frozen=True):
    """To a delete: how many were there."""

    deleted: int = 0


class OperationAnswer(msgspec.Struct, frozen=True):
    """To one operation of a transaction; one of these is set."""

    response_range: RangeAnswer | None = None
    response_put: dict[str, Any] | None = None
    response_delete_range: DeleteAnswer | None = None
    response_txn: TransactionAnswer | None = None


class TransactionAnswer(msgspec.Struct, frozen=True):
    """To a transaction: which branch was taken, and what its operations answered."""

    header: Header = Header()
    succeeded: bool = False
    responses: tuple[OperationAnswer, ...] = ()


class LeaseAnswer(msgspec.Struct, frozen=True):
    """To grant and keep-alive; no ``ttl``: the lease is gone."""

    id: int = msgspec.field(default=0, name="ID")
    ttl_s: int = msgspec.field(default=0, name="TTL")


class StatusAnswer(msgspec.Struct, frozen=True):
    """How a member sees itself."""

    header: Header = Header()
    version: str = ""
    leader: int = 0
    size_bytes: int = msgspec.field(default=0, name="dbSize")
    used_bytes: int = msgspec.field(default=0, name="dbSizeInUse")


class AlarmAnswer(msgspec.Struct, frozen=True):
    """Alarms that were raised or dropped."""

    alarms: tuple[dict[str, Any], ...] = ()


class WatchEvent(msgspec.Struct, frozen=True):
    """One change; ``type`` is PUT or DELETE."""

    kv: KeyValue = KeyValue()
    type: str = "PUT"


class WatchResult(msgspec.Struct, frozen=True):
    """One message of a watch."""

    header: Header = Header()
    events: tuple[WatchEvent, ...] = ()
    compact_revision: int = 0
    canceled: bool = False
    cancel_reason: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """Why etcd did not do it: a gRPC code and a sentence."""

    message: str = ""
    code: int = 0


class KeepAliveAnswer(msgspec.Struct, frozen=True):
    """One line of the stream of keep-alives; what goes wrong on the way is told with status 200."""

    result: LeaseAnswer | None = None
    error: Refusal | None = None


class WatchLine(msgspec.Struct, frozen=True):
    """One line of a watch's stream."""

    result: WatchResult | None = None
    error: Refusal | None = None


class Nothing(msgspec.Struct, frozen=True):
    """An answer of which nothing is wanted."""


T = TypeVar("T")


def decode(text: bytes, shape: type[T]) -> T:
    """Read an answer; raises ``msgspec.DecodeError``. Numbers may come as text."""
    return msgspec.json.decode(text, type=shape, strict=False)


def encode(message: dict[str, Any]) -> bytes:
    """Write a request; bytes become base64."""
    return msgspec.json.encode(message)


def data_key(key: str) -> bytes:
    """Where etcd keeps a key of the store."""
    return DATA + key.encode()


def end_of(prefix: bytes) -> bytes:
    """The first key after all that start with ``prefix``, which holds a byte below 0xff."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1])


def range_request(prefix: bytes, **more: Any) -> dict[str, Any]:
    """Read everything under a prefix."""
    return {"key": prefix, "range_end": end_of(prefix)} | more
