"""The world that the hypervisor contract runs in: two nodes, and the words of a story.

The suite speaks as a caller does: it repeats verbs, waits by asking again, and makes drivers anew
as a restart of the node daemon does.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypervisors.guest import Guest, GuestStatus, MigrationStatus
from hypervisors.interface import Driver

T = TypeVar("T")
PATIENCE_S = 60.0
PAUSE_S = 0.1


class HypervisorWorld(abc.ABC):
    """Two nodes, ``here`` and ``there``, with nothing on them. ``close`` ends all."""

    here: str
    there: str

    @abc.abstractmethod
    def driver(self, node: str) -> Driver:
        """The node's driver; made anew at each call, as after a restart of the daemon."""

    @abc.abstractmethod
    def drive(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result."""

    @abc.abstractmethod
    def guest(self, *, slow: bool = False) -> Guest:
        """A guest that runs on both nodes. ``slow``: its migration takes longer than the test."""

    @abc.abstractmethod
    def without_disk(self, guest: Guest) -> Guest:
        """The same guest with a disk that does not exist."""

    @abc.abstractmethod
    def wait_until_obedient(self, guest: Guest) -> None:
        """The started guest obeys its power button."""

    @abc.abstractmethod
    def stop_service(self, node: str) -> None:
        """The hypervisor's service dies; guests go on."""

    @abc.abstractmethod
    def start_service(self, node: str) -> None:
        """It answers again."""

    @abc.abstractmethod
    def power_off_and_on(self, node: str) -> None:
        """The node loses power and comes back."""

    @abc.abstractmethod
    def close(self) -> None:
        """Nothing of the test is left."""

    def pause(self) -> None:
        """Let time pass before asking again."""
        time.sleep(PAUSE_S)

    def until(self, ask: Callable[[], Coroutine[Any, Any, T]], *retried: type[Exception]) -> T:
        """Ask again while one of ``retried`` is raised."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.drive(ask())
            except retried:
                if time.monotonic() > end:
                    raise
            self.pause()


class Pair:
    """A world with one driver a node and the words of a story."""

    def __init__(self, world: HypervisorWorld) -> None:
        self.world = world
        self.here = world.driver(world.here)
        self.there = world.driver(world.there)

    def begin(self, guest: Guest, *, live: bool = True) -> None:
        """The guest is on its way from here to there."""
        drive, there = self.world.drive, self.world.there
        token = drive(self.there.accept(guest))
        drive(self.here.migrate(guest, there, token, live=live))

    def end(self, guest: Guest) -> MigrationStatus:
        """How the migration ended."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            status = self.world.drive(self.here.migration(guest.name, patience_s=0.5))
            if status.state != "running":
                return status
            assert time.monotonic() < deadline, status
            self.world.pause()

    def places(self, guest: Guest) -> tuple[str | None, str | None]:
        """(state here, state there); ``incoming`` for one that is still arriving."""
        here = self.world.drive(self.here.look(guest.name))
        there = self.world.drive(self.there.look(guest.name))
        return _shown(here), _shown(there)


def _shown(status: GuestStatus | None) -> str | None:
    if status is None:
        return None
    return "incoming" if status.incoming else str(status.state)
