"""Renewing a mastership: several times at once, where the store takes long.

Decided here: an answer counts from when its question was asked, so a store that always takes long
must be asked again before it has answered. What is forgotten makes no term longer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from clusterd.master.mastership import Grant, Leadership
from jobqueue.errors import JobQueueError

LOG = structlog.get_logger("master")

MOST_AT_ONCE = 4
"""As many as are asked for within a term."""


class Renewal(msgspec.Struct, frozen=True):
    """What the store said: whether the mastership ``stands``, which counts from when it was
    ``asked``, by the candidate's own clock."""

    asked: float
    stands: bool


class Renewals:
    """Those of one candidate that are not answered yet."""

    def __init__(
        self,
        leadership: Leadership,
        steady: Callable[[], float],
        told: Callable[[Grant, Renewal], None],
        unexpected: Callable[[Failure], None],
    ) -> None:
        """``told`` hears each answer; a store that does not answer is not told of."""
        self._leadership = leadership
        self._steady = steady
        self._told = told
        self._unexpected = unexpected
        self._waiting: list[Deferred[Any]] = []

    def ask(self, grant: Grant) -> None:
        """Once more, unless too many are not answered."""
        if len(self._waiting) < MOST_AT_ONCE:
            renewal = Deferred.fromCoroutine(self._renewal(grant))
            self._waiting.append(renewal)
            renewal.addBoth(self._answered, renewal, grant).addErrback(self._unexpected)

    def forget(self) -> None:
        """Give up all."""
        waiting, self._waiting = self._waiting, []
        for renewal in waiting:
            renewal.cancel()

    async def _renewal(self, grant: Grant) -> Renewal | None:
        asked = self._steady()
        try:
            return Renewal(asked, await self._leadership.renew(grant))
        except JobQueueError as error:
            LOG.warning("not renewed", error=str(error), took_s=self._steady() - asked)
            return None

    def _answered(
        self, found: Renewal | Failure | None, renewal: Deferred[Any], grant: Grant
    ) -> None:
        if renewal not in self._waiting:
            return  # forgotten: nothing counts of it, not even how it failed
        self._waiting.remove(renewal)
        if isinstance(found, Failure):
            self._unexpected(found)
        elif found is not None:
            self._told(grant, found)
