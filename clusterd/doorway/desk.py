"""What stands behind the door: everything that a method may ask, as protocols.

The master composes a ``Desk``; whoever holds one can serve the door over any transport, so the door
runs in simulations as it does on a socket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from clusterd.world import Clock
from jobqueue.filters import Rule
from jobqueue.live import Job
from jobqueue.opcode import Opcode, Registry
from jobqueue.store.interface import Entry


class Jobs(Protocol):
    """The job queue, as the door sees it."""

    last_id: int
    rules: tuple[Rule, ...]

    def job(self, job_id: int) -> Job | None:
        """A live job."""

    def jobs(self) -> list[Job]:
        """All live jobs by number."""

    async def submit(
        self,
        jobs: Sequence[Sequence[Opcode]],
        submitter: str,
        *,
        even_drained: bool = False,
        name: str = "",
    ) -> list[int]:
        """Store jobs durably, answer their numbers; the same ``name`` submits once. Raises
        QueueDrained, QueueFull, Refused."""

    async def find_archived(self, job_id: int) -> Job | None:
        """An archived job."""

    async def put_rule(self, rule: Rule) -> None:
        """Store a job filter, in the place of the one with its uuid if there is one."""

    async def delete_rule(self, uuid: str) -> None:
        """Forget a job filter."""

    async def archive(self, job_id: int) -> bool:
        """Archive an ended job."""

    async def auto_archive(
        self, age_s: float | None, time_left: Callable[[], bool]
    ) -> tuple[int, int]:
        """Archive what ended longer ago; (archived, not looked at for want of time)."""

    async def set_drained(self, flag: bool) -> None:
        """Refuse new jobs, or take them again."""

    def subscribe(self, watcher: Callable[[Job], None]) -> Callable[[], None]:
        """Be told of each job that changed; answers what ends it."""


class Running(Protocol):
    """The scheduler, as the door sees it."""

    async def cancel(self, job_id: int) -> tuple[bool, str]:
        """Cancel a job; (done, sentence)."""

    async def change_priority(self, job_id: int, priority: int) -> tuple[bool, str]:
        """Change the priority of what has not ended; (done, sentence)."""

    async def resume(self, job_id: int, reason: str) -> tuple[bool, str]:
        """Let a stuck job go forward again; (done, sentence)."""

    async def unwind(self, job_id: int, reason: str) -> tuple[bool, str]:
        """Let a stuck job try its way back again; (done, sentence)."""

    async def abandon(self, job_id: int, reason: str) -> tuple[bool, str]:
        """End a stuck job as it is; (done, sentence)."""


class Answers(Protocol):
    """Reads. Only those of jobs may wait, for the archive; all raise Refused."""

    async def query(self, what: str, fields: Sequence[str], qfilter: Any) -> dict[str, Any]:
        """Ganeti's query response: ``{fields, data}``."""

    def query_fields(self, what: str, fields: Sequence[str] | None) -> dict[str, Any]:
        """Ganeti's fields response: ``{fields}``."""

    def rows(self, what: str, names: Sequence[Any] | None, fields: Sequence[str]) -> list[Any]:
        """Plain values of the named objects, all of them if no name is given."""

    async def job_rows(self, ids: Sequence[int] | None, fields: Sequence[str]) -> list[Any]:
        """Plain values of jobs, archived ones only by number, None for one that is not there."""

    def job_values(self, job: Job, fields: Sequence[str]) -> list[Any]:
        """Plain values of one job."""

    def cluster_info(self) -> dict[str, Any]:
        """Everything about the cluster itself."""

    def config_values(self, names: Sequence[str]) -> list[Any]:
        """Single values of the configuration."""

    def exports(self, nodes: Sequence[str] | None) -> dict[str, Any]:
        """Node -> names of its exports, False where they are not known."""

    def likeness(self) -> Any:
        """What a simulation must know of the cluster; no secrets."""

    def tags(self, kind: str, name: str | None) -> list[str]:
        """Tags of an object."""


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the door's methods use."""

    jobs: Jobs
    running: Running
    registry: Registry
    answers: Answers
    clock: Clock
    set_watcher_pause: Callable[[float | None], Awaitable[None]]
    """Until when the watcher pauses; None takes it back."""
    placement: Callable[[], Any]
    """The cluster as placement sees it: ``clusterd.placement.facts.ClusterFacts`` as JSON."""
    balancing: Callable[[], Any]
    """How the cluster is kept even: ``{rules, state, rounds}``, rounds oldest first."""
    draw_uuid: Callable[[], str]
    export: Callable[[], Awaitable[Sequence[Entry]]] | None = None
    """Everything in the store, from one moment."""
