"""What a measurement is, and how samples become one."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table and one object of build/bench.json.

    ``value`` is what the name promises. ``p50`` and ``p95`` are the spread of the ``n`` samples in
    the same unit, or None where there was one sample.
    """

    name: str
    value: float
    unit: str
    p50: float | None = None
    p95: float | None = None
    n: int = 1
    group: str = ""
    """The group that measured it."""


def from_samples(name: str, unit: str, samples: Sequence[float]) -> Figure:
    """The figure whose value is the median of ``samples``."""
    if not samples:
        raise ValueError(f"{name}: no samples")
    middle = statistics.median(samples)
    return Figure(
        name=name, value=middle, unit=unit, p50=middle, p95=nearest(samples, 95), n=len(samples)
    )


def nearest(samples: Sequence[float], percent: int) -> float:
    """The smallest sample that at least ``percent`` of the samples do not exceed."""
    ordered = sorted(samples)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]
