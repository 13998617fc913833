"""The time of a daemon: the one of day as far as nobody sets it, and never a jump.

Decided here: what a daemon makes of a clock that is set. All that a daemon waits for (deadlines,
heartbeats, renewals, retries) is counted on this time; if it jumped back by an hour, nothing would
be due for an hour, and forward everything at once. So a daemon follows a clock that was set slowly.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

SLEWED = 0.1
"""A second of waiting takes 0.9 to 1.1 seconds while the daemon's time approaches that of day."""

JUMP_S = 1.0
"""What is told in the log."""

log = structlog.get_logger()


class EvenTime:
    """Invariant: between two looks it goes on by ``SLEWED`` more or less than the steady clock.

    ``wall``: seconds since the epoch. ``steady``: seconds of a clock that nobody sets.
    """

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        self._wall = wall
        self._steady = steady
        self._now = wall()
        self._looked = steady()
        self._behind_s = 0.0

    def seconds(self) -> float:
        """Seconds since the epoch, nearly."""
        steady = self._steady()
        passed_s = steady - self._looked
        self._looked = steady
        self._now += passed_s
        behind_s = self._wall() - self._now
        if abs(behind_s - self._behind_s) > JUMP_S:
            log.warning("clock_was_set", by_s=round(behind_s - self._behind_s, 1))
        self._behind_s = behind_s
        most_s = passed_s * SLEWED
        self._now += min(max(behind_s, -most_s), most_s)
        return self._now
