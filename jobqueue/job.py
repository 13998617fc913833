"""Jobs: statuses, priorities and their names, and what is stored of a job at submission."""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class Status(enum.StrEnum):
    """Statuses of jobs and of opcodes, Ganeti's words, plus ``stuck`` which Ganeti has not."""

    QUEUED = "queued"
    WAITING = "waiting"
    CANCELING = "canceling"
    RUNNING = "running"
    CANCELED = "canceled"
    SUCCESS = "success"
    ERROR = "error"
    STUCK = "stuck"
    """Needs an operator: keeps its locks until resumed, unwound or abandoned."""


FINAL = frozenset({Status.CANCELED, Status.SUCCESS, Status.ERROR})


class Priority(enum.IntEnum):
    """Priorities by name; smaller runs first."""

    HIGHEST = -20
    HIGH = -10
    NORMAL = 0
    LOW = 10
    LOWEST = 19


SUBMITTABLE_PRIORITIES = (Priority.HIGH, Priority.NORMAL, Priority.LOW)


class LogEntry(msgspec.Struct, frozen=True, array_like=True):
    """One line of a job's log: serial number in the job, time (seconds), kind, text."""

    serial: int
    time: float
    kind: str
    text: Any


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a job when it is accepted; never changed afterwards."""

    id: int
    received: float
    opcodes: tuple[msgspec.Raw, ...]
    """The opcodes' stored form (JSON)."""

    submitter: str = ""
    """Who asked: ``uid:0``, ``rapi:jack``, ``job:12``."""

    key: str = ""
    """The caller's name for the request: the same name submits once."""


def timestamp(moment: float | None) -> list[int] | None:
    """Ganeti's ``[seconds, microseconds]``, or None."""
    if moment is None:
        return None
    microseconds = round(moment * 1_000_000)
    return [microseconds // 1_000_000, microseconds % 1_000_000]
