"""The journal: the kinds of events, and the fold that turns them into what is known of an opcode.

The fold is a table of (phase, event) -> phase. An event that is not in the table raises
``JournalBroken`` and the job becomes stuck; nothing is guessed around.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from jobqueue.errors import JournalBroken
from jobqueue.job import LogEntry, Status
from jobqueue.lock import Lock


class Kind(enum.StrEnum):
    """What can happen to an opcode after submission."""

    PLANNED = "planned"
    START = "start"
    OK = "ok"
    FAILED = "failed"
    UNDO = "undo"
    UNDONE = "undone"
    UNDO_FAILED = "undo-failed"
    END = "end"
    ABANDON = "abandon"
    """An operator ends the opcode as it is; fits whatever happened before."""


class Phase(enum.StrEnum):
    """Where an opcode stands."""

    QUEUED = "queued"
    READY = "ready"
    """Planned; between steps."""
    ACTING = "acting"
    """A step was begun and its outcome is unknown."""
    FAILED = "failed"
    """A step failed, or the opcode unwinds and is between two undos."""
    UNDOING = "undoing"
    """An undo was begun and its outcome is unknown."""
    STUCK = "stuck"
    ENDED = "ended"


TABLE: dict[tuple[Phase, Kind], Phase] = {
    (Phase.QUEUED, Kind.PLANNED): Phase.READY,
    (Phase.QUEUED, Kind.END): Phase.ENDED,
    (Phase.READY, Kind.START): Phase.ACTING,
    (Phase.READY, Kind.UNDO): Phase.UNDOING,
    (Phase.READY, Kind.END): Phase.ENDED,
    (Phase.ACTING, Kind.OK): Phase.READY,
    (Phase.ACTING, Kind.FAILED): Phase.FAILED,
    (Phase.ACTING, Kind.UNDO): Phase.UNDOING,
    (Phase.FAILED, Kind.UNDO): Phase.UNDOING,
    (Phase.FAILED, Kind.END): Phase.ENDED,
    (Phase.UNDOING, Kind.UNDONE): Phase.FAILED,
    (Phase.UNDOING, Kind.UNDO_FAILED): Phase.STUCK,
    (Phase.UNDOING, Kind.START): Phase.ACTING,
    (Phase.STUCK, Kind.UNDO): Phase.UNDOING,
    (Phase.STUCK, Kind.START): Phase.ACTING,
    (Phase.STUCK, Kind.END): Phase.ENDED,
    **{(phase, Kind.ABANDON): Phase.ENDED for phase in Phase if phase is not Phase.ENDED},
}


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a job's journal; which fields are set follows from ``kind``."""

    kind: Kind
    opcode: int
    """Index in the job."""
    time: float
    step: int = -1
    plan: tuple[msgspec.Raw, ...] = ()
    chosen: tuple[msgspec.Raw, ...] = ()
    """planned: the opcode with what was chosen for it filled in; empty when nothing was."""
    verdicts: Any = None
    """planned, or end of an opcode that was not begun: what the choice found, and why."""
    locks: tuple[Lock, ...] = ()
    waited_from: float | None = None
    """planned, or end of a refused opcode: when it began to wait for its locks."""
    output: Any = None
    """ok: the step's output. end: the opcode's result or encoded error."""
    status: Status | None = None
    """end: success, error or canceled."""
    message: str = ""
    log: tuple[LogEntry, ...] = ()


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal says of one opcode."""

    phase: Phase = Phase.QUEUED
    plan: tuple[msgspec.Raw, ...] = ()
    chosen: tuple[msgspec.Raw, ...] = ()
    verdicts: Any = None
    """Why it was planned as it was: whatever the application's choice found."""
    locks: tuple[Lock, ...] = ()
    step: int = -1
    """The step last begun, or whose undo was last begun."""
    undo_next: int = -1
    """While unwinding between two undos: the step to undo next, -1 when none is left."""
    unwinding: bool = False
    canceled: bool = False
    """The unwinding was asked for, it is not the consequence of a failure."""
    outputs: tuple[Any, ...] = ()
    failure: str = ""
    error: Any = None
    """The encoded error that unwinding will end with."""
    status: Status | None = None
    result: Any = None
    start: float | None = None
    exec: float | None = None
    end: float | None = None
    log: tuple[LogEntry, ...] = ()


def fold(known: Known, event: Event) -> Known:
    """What is known after one more event; raises JournalBroken."""
    phase = TABLE.get((known.phase, event.kind))
    if phase is None:
        raise JournalBroken(
            f"opcode {event.opcode}: event '{event.kind}' (step {event.step}) does not fit "
            f"phase '{known.phase}'"
        )
    changes = _EFFECTS[event.kind](known, event)
    log = known.log + event.log if event.log else known.log
    return msgspec.structs.replace(known, phase=phase, log=log, **changes)


Changes = dict[str, Any]
"""Field of ``Known`` -> what it is after an event."""


def _planned(known: Known, event: Event) -> Changes:
    return {
        "plan": event.plan,
        "chosen": event.chosen,
        "verdicts": event.verdicts,
        "locks": event.locks,
        "start": event.waited_from,
        "exec": event.time,
    }


def _start(known: Known, event: Event) -> Changes:
    """Also on the way back, which is given up then: what led to it is forgotten."""
    return {
        "step": event.step,
        "unwinding": False,
        "canceled": False,
        "failure": "",
        "error": None,
    }


def _ok(known: Known, event: Event) -> Changes:
    return {"outputs": (*known.outputs[: event.step], event.output)}


def _failed(known: Known, event: Event) -> Changes:
    return {
        "failure": event.message,
        "error": event.output,
        "unwinding": True,
        "undo_next": event.step,
    }


def _undo(known: Known, event: Event) -> Changes:
    canceled = known.canceled or event.status is Status.CANCELED
    return {"step": event.step, "unwinding": True, "canceled": canceled}


def _undone(known: Known, event: Event) -> Changes:
    return {"undo_next": event.step - 1}


def _undo_failed(known: Known, event: Event) -> Changes:
    return {"failure": event.message}


def _end(known: Known, event: Event) -> Changes:
    return {
        "status": event.status,
        "result": event.output,
        "end": event.time,
        "verdicts": known.verdicts if event.verdicts is None else event.verdicts,
        "start": known.start if known.start is not None else event.waited_from,
    }


_EFFECTS = {
    Kind.PLANNED: _planned,
    Kind.START: _start,
    Kind.OK: _ok,
    Kind.FAILED: _failed,
    Kind.UNDO: _undo,
    Kind.UNDONE: _undone,
    Kind.UNDO_FAILED: _undo_failed,
    Kind.END: _end,
    Kind.ABANDON: _end,
}
