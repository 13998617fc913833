"""How long to leave alone what did not help: ever longer, and then by the hour."""

from __future__ import annotations

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0

_DOUBLINGS_MAX = 16
"""More lead beyond the longest pause, and after a month of tries beyond what a number can hold."""


def pause_s(tries: int) -> float:
    """Seconds to wait after so many tries, at least one."""
    return min(FIRST_PAUSE_S * 2.0 ** min(tries - 1, _DOUBLINGS_MAX), LONGEST_PAUSE_S)
