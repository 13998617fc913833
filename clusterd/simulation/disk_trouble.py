"""Disks in trouble: the faults of ``storage.memory_faults`` on the pretended clock."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from clusterd.world import Clock
from storage.interface import Backend
from storage.memory_faults import Disks, faulty


def troubled(backend: Backend, disks: Disks, clock: Clock) -> Backend:
    """The backend, for whoever cannot tell the difference."""

    async def pause(duration_s: float) -> None:
        slept: Deferred[None] = Deferred()
        clock.callLater(duration_s, slept.callback, None)
        await slept

    return faulty(backend, disks, pause)
