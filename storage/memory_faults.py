"""The in-memory twins with faults: storage that is full, slow, tells what was, refuses, does what
it is asked and answers an error, hangs, or is not there.

``full``, ``slow``, ``stale``, ``broken``, ``hung`` and ``down`` last until they are taken away;
``fails`` and ``torn`` meet the next verb that changes something and are over. ``broken`` and
``fails``: nothing is done; ``torn``: it is done, and the answer is an error. ``hung``: the first
command of a verb that changes something does not end, and is killed when its time is over.
``down``: the service behind it does not answer, not even to looks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

from storage.commands import hung
from storage.errors import CommandTimedOut, NoSpace, StorageDown, StorageError
from storage.interface import Backend

Trouble = Literal["", "full", "slow", "stale", "broken", "fails", "torn", "hung", "down"]
LOOKS = frozenset({"look", "list", "capacity"})
TAKING = frozenset({"ensure", "grow", "snapshot", "still", "flatten", "swap"})
"""Verbs that need room."""
SLOW_S = 8.0
"""Longer than it takes to doubt a node, shorter than the deadline of any verb."""
HUNG_S = 60.0
"""What a real command gets."""
Pause = Callable[[float], Awaitable[None]]


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


class FaultyBackend:
    """Looks like a ``Backend``; each verb passes through here."""

    def __init__(self, backend: Backend, disks: Disks, pause: Pause) -> None:
        self._backend = backend
        self._disks = disks
        self._pause = pause

    def list(self) -> Awaitable[Any]:
        """As any verb; each look at a node asks it of all."""
        verb = self._backend.list
        return self._troubled("list", verb)() if self._disks.trouble else verb()

    def capacity(self) -> Awaitable[Any]:
        """See ``list``."""
        verb = self._backend.capacity
        return self._troubled("capacity", verb)() if self._disks.trouble else verb()

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._backend, name)
        return self._troubled(name, verb) if self._disks.trouble and callable(verb) else verb

    def _troubled(
        self, name: str, verb: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **named: Any) -> Any:
            if self._disks.trouble == "slow":
                await self._pause(SLOW_S)
            if self._disks.trouble == "down":
                raise StorageDown(f"pretended storage does not answer to {name}")
            if self._disks.trouble == "hung" and name not in LOOKS:
                await self._pause(HUNG_S)
                raise CommandTimedOut(hung((f"pretended-{name}",), HUNG_S))
            if name in LOOKS:
                return await self._look(name, lambda: verb(*args, **named), repr((args, named)))
            if self._disks.trouble == "full" and name in TAKING:
                raise NoSpace(f"pretended to be full in {name}, nothing is done")
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


def faulty(backend: Backend, disks: Disks, pause: Pause) -> Backend:
    """The backend, for whoever cannot tell the difference. ``pause`` waits so many seconds."""
    return cast(Backend, FaultyBackend(backend, disks, pause))
