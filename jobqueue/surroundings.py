"""What an application supplies to the executor, and what the executor hands to steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from jobqueue.errors import Refused
from jobqueue.live import Job
from jobqueue.lock import Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen for an opcode."""

    opcode: Opcode
    """With the choice filled in."""
    steps: tuple[Step, ...] | None = None
    """The plan, where it follows from the choice alone; else the kind makes it."""
    verdicts: Any = None
    """Why; small JSON that is kept with the job."""


class Occupied(Refused):
    """Nothing could be chosen now, but perhaps once ``locks`` of others are free."""

    def __init__(self, message: str, locks: tuple[Lock, ...]) -> None:
        super().__init__(message, "temp_insufficient_resources")
        self.locks = locks


class Surroundings(Protocol):
    """What the application supplies."""

    def view(self) -> Any:
        """The snapshot to decide on, valid until the next ``await``."""

    def world(self, scope: str) -> Any:
        """What a step may touch; ``scope`` names this attempt uniquely over all masters."""

    async def look(self, names: tuple[str, ...], locks: tuple[Lock, ...]) -> None:
        """Look afresh at what ``sights`` named; what cannot be seen is left as it was. What the
        locks name is not looked at, but given time to come back where it is away for a moment."""

    async def choose(self, kind: OpcodeKind, opcode: Opcode, taken: dict[str, str]) -> Chosen:
        """Make the choice that ``kind.choice`` describes; ``taken`` are the locks that others hold
        alone, with their owners. Raises Refused, Occupied."""

    async def before(self, kind: OpcodeKind, opcode: Opcode, say: Callable[[str], None]) -> Any:
        """Run what comes before the first step; raises Vetoed. Answers what ``after`` is told."""

    async def after(
        self, kind: OpcodeKind, opcode: Opcode, done: Done, say: Callable[[str], None]
    ) -> Any:
        """Run what comes after the last step; answers the result, perhaps changed by it."""

    def given_up(self, error: Exception) -> bool:
        """True when the error says no more than that something is missing which the operator has
        declared lost: there is nothing left to undo on it."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """An opcode whose last step is done."""

    result: Any
    before: Any = None
    """What ``Surroundings.before`` answered; None when another master ran that."""


class Context:
    """What a step is handed."""

    def __init__(self, world: Any, job: Job, say: Callable[[str, str], None]) -> None:
        self.world = world
        self.job_id = job.id
        self.submitter = job.submitter
        self._say = say

    def log(self, message: str, kind: str = "message") -> None:
        """A line for people in the job's log."""
        self._say(message, kind)
