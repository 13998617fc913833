"""The base of all opcodes, and the value that says what an opcode does.

An opcode is a frozen struct: unknown fields are refused, constraints stand in ``msgspec.Meta``, its
docstring and the fields' descriptions are its words for people. Below the declaration there are
four short pure functions: ``locks``, ``check``, ``plan``, ``result``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from jobqueue.complaint import complaint
from jobqueue.errors import Refused
from jobqueue.job import SUBMITTABLE_PRIORITIES
from jobqueue.lock import Lock
from jobqueue.step import Step

OP_ID = "OP_ID"
MAX_KNOWN = 1000
"""Opcodes that are remembered by their stored form, and how long that may be."""
MAX_KNOWN_BYTES = 4096

Reason = tuple[str, str, int]
"""(source, text, nanoseconds since the epoch)"""


class Opcode(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field=OP_ID,
    omit_defaults=False,
):
    """A typed request. Fields common to all opcodes."""

    dry_run: Annotated[
        bool | None, Meta(description="check only: say what would be done, change nothing")
    ] = None
    debug_level: Annotated[int | None, Meta(description="how much debugging output to write")] = 0
    priority: Annotated[int, Meta(description="-10 (high), 0 (normal) or 10 (low)")] = 0
    depends: Annotated[
        tuple[tuple[int, tuple[str, ...]], ...] | None,
        Meta(description="jobs (number, or negative offset in a submission) and ended statuses"),
    ] = None
    comment: Annotated[str | None, Meta(description="free text kept with the job")] = None
    reason: Annotated[
        tuple[Reason, ...], Meta(description="who asked and why: (source, text, nanoseconds)")
    ] = ()

    @classmethod
    def op_id(cls) -> str:
        """The name on the wire, ``OP_INSTANCE_STARTUP``."""
        return str(cls.__struct_config__.tag)


class UnreadOpcode(Opcode, frozen=True, kw_only=True, tag="OP_UNREAD"):
    """Stands for a stored opcode that this version does not understand; never run."""

    original: str
    """The OP_ID that was stored, where there was one."""
    problem: str


def no_locks(_opcode: Any, _view: Any) -> tuple[Lock, ...]:
    """For operations that need nothing held."""
    return ()


def no_check(_opcode: Any, _view: Any) -> None:
    """For operations that are always possible."""


def no_result(_opcode: Any, _view: Any, _outputs: Sequence[Any]) -> Any:
    """For operations that answer nothing."""
    return None


def no_sights(_opcode: Any, _view: Any) -> tuple[str, ...]:
    """For operations that decide on configuration alone."""
    return ()


class OpcodeKind(msgspec.Struct, frozen=True, kw_only=True):
    """What the queue knows of an opcode. All functions are pure; ``view`` is the application's
    snapshot of configuration and observations."""

    opcode: type[Opcode]
    plan: Callable[[Any, Any], Sequence[Step]]
    """(opcode, view) -> ordered steps."""

    locks: Callable[[Any, Any], Iterable[Lock]] = no_locks
    """(opcode, view) -> locks; asked again once they are held, and taken anew if they differ."""

    check: Callable[[Any, Any], None] = no_check
    """(opcode, view) -> None or raise Refused, before anything changed."""

    result: Callable[[Any, Any, Sequence[Any]], Any] = no_result
    """(opcode, view, outputs of the steps) -> the opcode's JSON result."""

    sights: Callable[[Any, Any], Iterable[str]] = no_sights
    """(opcode, view) -> what must be looked at afresh before ``check`` (node names)."""

    choice: Any = None
    """The application's description of what is chosen for the operation (nodes) once its locks are
    held. Choices are made one at a time, each knowing all plans stored before it."""

    hooks: Any = None
    """The application's description of pre and post hooks."""

    summary_field: str = ""
    """The field whose value stands in the job's summary."""

    shown: Callable[[Any], str] | None = None
    """How that value is shown, where it is not the value itself."""

    def summary(self, opcode: Opcode) -> str:
        """``INSTANCE_STARTUP(web1)``"""
        name = opcode.op_id().removeprefix("OP_")
        value = getattr(opcode, self.summary_field, None) if self.summary_field else None
        if value is None:
            return name
        if self.shown is not None:
            value = self.shown(opcode)
        if isinstance(value, tuple | list):
            value = ",".join(str(item) for item in value)
        return f"{name}({value})"


class Registry:
    """All kinds of opcodes, by OP_ID; decodes from outside and from the store."""

    def __init__(self, kinds: Iterable[OpcodeKind]) -> None:
        self._kinds = {kind.opcode.op_id(): kind for kind in kinds}
        self._known = functools.lru_cache(MAX_KNOWN)(self._read)
        """Of jobs that have ended only records are kept, read again whenever one is shown."""

    def __iter__(self) -> Iterator[OpcodeKind]:
        return iter(self._kinds[op_id] for op_id in sorted(self._kinds))

    def kind(self, op_id: str) -> OpcodeKind:
        """The kind of an OP_ID; raises Refused."""
        kind = self._kinds.get(op_id)
        if kind is None:
            raise Refused(f"There is no opcode '{op_id}'", "wrong_input")
        return kind

    def kind_of(self, opcode: Opcode) -> OpcodeKind:
        """The kind of an opcode value."""
        return self._kinds[opcode.op_id()]

    def decode(self, body: Any) -> Opcode:
        """An opcode from a JSON object; raises Refused naming the opcode and the field."""
        if not isinstance(body, dict) or not isinstance(body.get(OP_ID), str):
            raise Refused(
                f"An opcode is an object with '{OP_ID}', not {body!r:.100}", "wrong_input"
            )
        kind = self.kind(body[OP_ID])
        try:
            opcode = msgspec.convert(body, type=kind.opcode, strict=True)
        except msgspec.ValidationError as error:
            words = complaint(error, body, kind.opcode)
            raise Refused(f"{body[OP_ID]}: {words}", "wrong_input") from None
        if opcode.priority not in SUBMITTABLE_PRIORITIES:
            raise Refused(
                f"{body[OP_ID]}: priority {opcode.priority} is not allowed, use -10, 0 or 10",
                "wrong_input",
            )
        return opcode

    def summary(self, opcode: Opcode) -> str:
        """How the opcode stands in lists."""
        if isinstance(opcode, UnreadOpcode):
            return opcode.original.removeprefix("OP_")
        return self.kind_of(opcode).summary(opcode)

    def read_any(self, stored: bytes | msgspec.Raw) -> Opcode:
        """An opcode from its stored form, or what stands for one that cannot be read any more."""
        try:
            return self.read(stored)
        except (Refused, msgspec.DecodeError) as error:
            try:
                body = msgspec.json.decode(stored)
            except msgspec.DecodeError:
                body = None
            name = body.get(OP_ID) if isinstance(body, dict) else None
            return UnreadOpcode(original=str(name or "OP_UNREAD"), problem=str(error))

    def read(self, stored: bytes | msgspec.Raw) -> Opcode:
        """An opcode from its stored form."""
        data = bytes(stored)
        return self._known(data) if len(data) <= MAX_KNOWN_BYTES else self._read(data)

    def _read(self, data: bytes) -> Opcode:
        return self.decode(msgspec.json.decode(data))
