"""Old jobs leave the queue by themselves, as Ganeti's watcher archives them.

Decided here: how often, and that others have their turn in between. How old a job must be is the
cluster's ``job_archive_age_s``; a paused watcher archives nothing.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from clusterd.configuration import Configuration
from clusterd.world import Clock
from jobqueue.queue import JobQueue

LOG = structlog.get_logger("master")

FIRST_S = 60.0
"""After a start there is more urgent work."""
EVERY_S = 300.0
"""As Ganeti's watcher."""
SLICE_S = 0.05
"""So long it looks through jobs at a time."""
PAUSE_S = 0.25


class Parts(Protocol):
    """What this module needs of the master."""

    configuration: Configuration
    queue: JobQueue
    clock: Clock

    def by_the_way(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do what nobody waits for."""


class Tidier:
    """Archives again and again from ``start`` to ``stop``."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._next: Any = None
        self._stopped = False

    def start(self) -> None:
        """Begin."""
        self._plan(FIRST_S)

    def stop(self) -> None:
        """No more."""
        self._stopped = True
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _plan(self, delay_s: float) -> None:
        if not self._stopped:
            self._next = self._parts.clock.callLater(delay_s, self._look)

    def _look(self) -> None:
        self._plan(EVERY_S)
        self._parts.by_the_way(self._tidy())

    async def _tidy(self) -> None:
        cluster, now = self._parts.configuration.cluster, self._parts.clock.seconds
        paused = cluster.watcher_pause is not None and cluster.watcher_pause > now()
        if not cluster.job_archive_age_s or paused or self._stopped:
            return
        until = now() + SLICE_S
        archived, left = await self._parts.queue.auto_archive(
            cluster.job_archive_age_s, lambda: now() < until and not self._stopped
        )
        if archived:
            LOG.info("archived", jobs=archived, left=left)
        if left and self._next.active() and not self._stopped:
            self._next.cancel()
            self._plan(PAUSE_S)
