"""What still fits on each node, as one bound a resource, so that judging is a few comparisons.

Rules (htools'): free memory and disk stay above 0. Unless forced, also: free memory stays above
what must be kept for the failure of another node (or was not before), the disk reserve, spindle
and vcpu ratios. Sizes are whole, so ``<= x`` is ``< x + 1``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clusterd.placement.model import Numbers
from clusterd.placement.usage import (
    CPU,
    CPU_F,
    DISK,
    DISK_F,
    MEMORY,
    MEMORY_F,
    SPINDLES,
    SPINDLES_F,
    Usage,
)

ROUNDING = 1e-9
"""Ratios times counts may miss a whole number by this."""


class Limits(NamedTuple):
    """Per node; an instance fits while its own number is below (``*_below``) or at most it."""

    memory_below: Numbers
    """As primary, of its memory in use."""
    memory_all_below: Numbers
    """As primary, of its memory whether in use or not."""
    disk_below: Numbers
    spindles_most: Numbers
    vcpus_most: Numbers
    reserve_below: Numbers
    """As secondary, of the memory to be kept for it."""
    reserved_below: Numbers
    """As secondary, of the greatest sum to be kept for one primary."""


def limits_of(usage: Usage, force: bool) -> Limits:
    """The bounds now."""
    nodes = usage.cluster.nodes
    free, disk = usage.amounts[MEMORY], usage.amounts[DISK]
    everything = np.full(len(free), np.inf)
    closed = np.where(nodes.usable & ~nodes.exclusive, np.inf, -np.inf)
    if force:
        return Limits(
            np.minimum(free, closed),
            everything,
            np.minimum(disk, closed),
            everything,
            everything,
            everything,
            everything,
        )
    both = np.minimum(disk, usage.amounts[DISK_F])
    spindles = np.maximum(usage.amounts[SPINDLES], usage.amounts[SPINDLES_F])
    vcpus = np.maximum(usage.amounts[CPU], usage.amounts[CPU_F])
    return Limits(
        np.minimum(np.where(usage.failing, free, free - usage.reserved), closed),
        usage.amounts[MEMORY_F],
        np.minimum(np.where(nodes.disk_low > 0, both - nodes.disk_low + 1, both), closed),
        nodes.spindles_high - spindles + ROUNDING,
        nodes.vcpu_ratio * nodes.cpus - vcpus + ROUNDING,
        np.minimum(free, usage.amounts[MEMORY_F]),
        np.where(usage.failing, np.inf, free),
    )
