"""Disks that are slow, that fail once, or that tell what was: a shell around a node's backends.

``slow``, ``stale`` and ``broken`` last until they are taken away; ``fails`` and ``torn`` meet the
next verb that changes something and are over. ``broken`` and ``fails``: nothing is done; ``torn``:
it is done, and the answer is an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

from twisted.internet.defer import Deferred

from clusterd.world import Clock
from storage.errors import StorageError
from storage.interface import Backend

Trouble = Literal["", "slow", "stale", "broken", "fails", "torn"]
LOOKS = frozenset({"look", "list", "capacity"})
SLOW_S = 8.0
"""Longer than it takes to doubt a node, shorter than the deadline of any verb."""


class Disks:
    """What is wrong with the disks of one host."""

    def __init__(self) -> None:
        self.trouble: Trouble = ""
        self.told: dict[tuple[str, str, str], Any] = {}
        """What stale looks answer."""

    def take(self, *kinds: Trouble) -> bool:
        """True when one of these is wrong; then it is over."""
        if self.trouble not in kinds:
            return False
        self.trouble = ""
        return True


class TroubledBackend:
    """Looks like a ``Backend``; each verb passes through here."""

    def __init__(self, backend: Backend, disks: Disks, clock: Clock) -> None:
        self._backend = backend
        self._disks = disks
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._backend, name)
        if not callable(verb):
            return verb
        return self._troubled(name, verb) if self._disks.trouble else verb

    def _troubled(
        self, name: str, verb: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **named: Any) -> Any:
            if self._disks.trouble == "slow":
                slept: Deferred[None] = Deferred()
                self._clock.callLater(SLOW_S, slept.callback, None)
                await slept
            if name in LOOKS:
                return await self._look(name, lambda: verb(*args, **named), repr((args, named)))
            if self._disks.trouble == "broken" or self._disks.take("fails"):
                raise StorageError(f"pretended input/output error in {name}, nothing is done")
            torn = self._disks.take("torn")
            answer = await verb(*args, **named)
            if torn:
                raise StorageError(f"pretended input/output error in {name}, after it was done")
            return answer

        return call

    async def _look(self, name: str, look: Callable[[], Awaitable[Any]], asked: str) -> Any:
        if self._disks.trouble != "stale":
            return await look()
        key = (str(self._backend.template), name, asked)
        if key not in self._disks.told:
            self._disks.told[key] = await look()
        return self._disks.told[key]


def troubled(backend: Backend, disks: Disks, clock: Clock) -> Backend:
    """The backend, for whoever cannot tell the difference."""
    return cast(Backend, TroubledBackend(backend, disks, clock))
