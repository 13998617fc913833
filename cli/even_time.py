"""The time of a daemon: the one of day as far as nobody sets it, and never a jump.

Decided here: what a daemon makes of a clock that is set. All that a daemon waits for (deadlines,
heartbeats, renewals, retries) is counted on this time; if it jumped back by an hour, nothing would
be due for an hour, and forward everything at once. So a daemon follows a clock that was set slowly.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

SLEWED = 0.05
"""A second of waiting takes 0.95 to 1.05 seconds while the daemon's time approaches that of day. A
master stops when nine tenths of its lease are over, so even a slow second leaves it some margin."""

LOOK_EVERY_S = 0.05
"""So often the clock of the day is looked at; between, time goes on as it did."""

JUMP_S = 1.0
"""What is told in the log."""

log = structlog.get_logger()


class EvenTime:
    """Invariant: it goes on by ``SLEWED`` more or less than the steady clock, and never back.

    ``wall``: seconds since the epoch. ``steady``: seconds of a clock that nobody sets.
    """

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        self._wall = wall
        self._steady = steady
        self._now = wall()
        self._looked = steady()
        self._behind_s = 0.0
        self._rate = 1.0

    def seconds(self) -> float:
        """Seconds since the epoch, nearly."""
        passed_s = self._steady() - self._looked
        if passed_s < LOOK_EVERY_S:
            return self._now + passed_s * self._rate
        self._looked += passed_s
        behind_s = self._wall() - self._now - passed_s
        if abs(behind_s - self._behind_s) > JUMP_S:
            log.warning("clock_was_set", by_s=round(behind_s - self._behind_s, 1))
        most_s = passed_s * SLEWED
        nearer_s = min(max(behind_s, -most_s), most_s)
        self._now += passed_s + nearer_s
        self._behind_s = behind_s - nearer_s
        self._rate = 1 + min(max(self._behind_s / LOOK_EVERY_S, -SLEWED), SLEWED)
        return self._now
