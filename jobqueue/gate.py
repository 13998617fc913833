"""The gate between waiting and running: job filters, and limits on how many of a kind run.

Decided here: whether the job whose turn it is may begin. A job that may not is held under a name
and looked at again when that name becomes free, so a rule costs nothing for jobs that it holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from jobqueue.filters import Limits, Rule, admission
from jobqueue.live import Job
from jobqueue.waiting_room import WaitingRoom

PAUSED = "paused"

Answer = Literal["begin", "held", "reject"]


class Gate:
    """Invariant: ``_used`` counts the jobs of ``_names``, which are those that run."""

    def __init__(self, room: WaitingRoom) -> None:
        self._room = room
        self._used: Counter[str] = Counter()
        self._names: dict[int, tuple[str, ...]] = {}
        self._called: dict[int, str] = {}
        """Jobs that were let out of the line of a name, because it had become free."""

    def ask(self, job: Job, turn: float, rules: Sequence[Rule]) -> tuple[Answer, str]:
        """(what is to be done with a job whose turn it is, the rule that says so). A job that is
        held is in the room again."""
        found = admission(rules, job)
        if found.verdict == "REJECT":
            self._pass_on(job.id)
            return "reject", found.rule
        name = PAUSED if found.verdict == "PAUSE" else self._full(found.limits)
        if name:
            self._room.hold(job.id, turn, name)
            self._pass_on(job.id, held_under=name)
            return "held", found.rule
        self._called.pop(job.id, None)
        self._enter(job.id, found.limits)
        return "begin", found.rule

    def resume(self, job: Job, rules: Sequence[Rule]) -> None:
        """A job that ran when the master died runs again; it counts, and is not held."""
        self._enter(job.id, admission(rules, job).limits)

    def reopen(self) -> None:
        """The rules are others: everybody is asked again."""
        self._called.clear()
        self._room.free_all()

    def leave(self, job_id: int) -> None:
        """The job does not run any more, or is not waiting any more."""
        self._pass_on(job_id)
        for name in self._names.pop(job_id, ()):
            self._used[name] -= 1
            if not self._used[name]:
                del self._used[name]
            self._call(name)

    def _full(self, limits: Limits) -> str:
        return next((name for name, number in limits if self._used[name] >= number), "")

    def _enter(self, job_id: int, limits: Limits) -> None:
        self._names[job_id] = tuple(name for name, _number in limits)
        self._used.update(self._names[job_id])

    def _pass_on(self, job_id: int, held_under: str = "") -> None:
        """A job that was called and does not begin leaves its chance to the next one."""
        name = self._called.pop(job_id, None)
        if name is not None and name != held_under:
            self._call(name)

    def _call(self, name: str) -> None:
        called = self._room.free(name)
        if called is not None:
            self._called[called] = name
