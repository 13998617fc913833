"""A job in memory: its opcodes, what the journal says of them, and how both look from outside."""

from __future__ import annotations

from typing import Any

from jobqueue.job import LogEntry, Status, Submission
from jobqueue.journal import Known, Phase
from jobqueue.opcode import Opcode


class Job:
    """One job in memory. Read by everybody, changed only by the queue and the executor."""

    def __init__(
        self, submission: Submission, opcodes: tuple[Opcode, ...], summary: list[str]
    ) -> None:
        self.submission = submission
        """As it is stored."""
        self.id = submission.id
        self.received = submission.received
        self.submitter = submission.submitter
        self.opcodes = opcodes
        self.summary = summary
        self.known = [Known() for _ in opcodes]
        """What the journal says of each opcode; what has ended stays so."""
        self.events = 0
        self.priority_override: int | None = None
        self.waiting = False
        """Asks for locks right now."""
        self.cancel_wanted = False
        self.stuck_because = ""
        """Why it cannot go on although its journal does not say so."""
        self.unreadable = False
        """Its journal does not fit: it can only be abandoned."""
        self.settled: set[int] = set()
        """Opcodes that stand here with what was chosen for them, not as they were submitted."""
        self.before: dict[int, Any] = {}
        """What the application remembers of each opcode from before its first step."""
        self.unstored_log: list[tuple[int, LogEntry]] = []
        self.log_serial = 0
        self.archived = False
        self._current = 0
        self._decided: Status | None = None
        """How the first opcode ended that did not succeed."""

    @property
    def statuses(self) -> tuple[Status, ...]:
        """The opcodes' statuses."""
        return tuple(self._status(index) for index in range(len(self.opcodes)))

    @property
    def status(self) -> Status:
        """The job's status: the first opcode that is neither queued nor successful decides; a job
        between two opcodes is running. Costs the same however many opcodes there are."""
        index = self.current
        if self._decided is not None:
            return self._decided
        if index is None:
            return Status.SUCCESS
        status = self._status_under_way(self.known[index])
        return Status.RUNNING if status is Status.QUEUED and index else status

    @property
    def stuck_reason(self) -> str:
        """Why it needs an operator; empty while it does not."""
        index = self.current
        if index is None or self._status(index) is not Status.STUCK:
            return ""
        return self.stuck_because or self.known[index].failure

    @property
    def finished(self) -> bool:
        """True once nothing more will happen."""
        return self.current is None

    @property
    def current(self) -> int | None:
        """The opcode that is next or under way, None when all have ended."""
        known = self.known
        while self._current < len(known):
            one = known[self._current]
            if one.phase is not Phase.ENDED:
                return self._current
            status = one.status or Status.ERROR
            if status is not Status.SUCCESS and self._decided is None:
                self._decided = status
            self._current += 1
        return None

    @property
    def priorities(self) -> tuple[int, ...]:
        """The opcodes' priorities."""
        if self.priority_override is not None:
            return (self.priority_override,) * len(self.opcodes)
        return tuple(opcode.priority for opcode in self.opcodes)

    @property
    def priority(self) -> int:
        """The job's priority: the best of its unfinished opcodes."""
        left = [
            priority
            for priority, known in zip(self.priorities, self.known, strict=True)
            if known.phase is not Phase.ENDED
        ]
        return min(left, default=0)

    @property
    def started(self) -> float | None:
        """When its first opcode began to wait for locks."""
        return self.known[0].start if self.known else None

    @property
    def ended(self) -> float | None:
        """When its last opcode ended."""
        return self.known[-1].end if self.finished and self.known else None

    def logs(self, index: int) -> tuple[LogEntry, ...]:
        """An opcode's log, lines not yet stored included."""
        fresh = tuple(entry for opcode, entry in self.unstored_log if opcode == index)
        return self.known[index].log + fresh

    def _status(self, index: int) -> Status:
        known = self.known[index]
        if known.phase is Phase.ENDED:
            return known.status or Status.ERROR
        if index != self.current:
            return Status.QUEUED
        return self._status_under_way(known)

    def _status_under_way(self, known: Known) -> Status:
        """Of the opcode that is next or under way."""
        if known.phase is Phase.STUCK or self.stuck_because:
            return Status.STUCK
        if self.cancel_wanted or known.canceled:
            return Status.CANCELING
        if known.phase is Phase.QUEUED:
            return Status.WAITING if self.waiting else Status.QUEUED
        return Status.RUNNING
