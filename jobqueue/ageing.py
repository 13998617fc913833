"""Priorities without starvation: whose turn it is, as one number that never has to be changed.

A better priority is worth a head start and no more: each point is ``POINT_S`` seconds. So a job
with low priority that has waited an hour goes before one with high priority that has just come,
whatever else is submitted meanwhile, and nothing has to be counted up while jobs wait. Pure.
"""

from __future__ import annotations

POINT_S = 180.0
"""From low (10) to high (-10) an hour, from normal to high half an hour."""


def order_of(since: float, priority: int) -> float:
    """Smaller is served first. ``since``: when it began to wait, seconds since the epoch."""
    return since + priority * POINT_S
