"""The cluster score: htools' metrics and weights, smaller is better. Pure.

``Sums`` holds it so that the score after a move costs only the nodes that the move touches.
"""

from __future__ import annotations

import numpy as np

from clusterd.placement.model import Cluster, Flags, Numbers
from clusterd.placement.usage import (
    CPU,
    CPU_F,
    DISK,
    DISK_F,
    DISK_LOAD,
    MEMORY,
    MEMORY_F,
    QUANTITIES,
    SPINDLES,
    SPINDLES_F,
    Usage,
)

WEIGHTS = {
    "free_mem_cv": 0.5,
    "free_disk_cv": 0.5,
    "n1_cnt": 1.0,
    "reserved_mem_cv": 1.0,
    "offline_all_cnt": 4.0,
    "offline_pri_cnt": 16.0,
    "vcpu_ratio_cv": 0.5,
    "cpu_load_cv": 1.0,
    "mem_load_cv": 1.0,
    "disk_load_cv": 1.0,
    "net_load_cv": 1.0,
    "pri_tags_score": 2.0,
    "spindles_cv": 0.5,
    "free_mem_cv_forth": 0.5,
    "free_disk_cv_forth": 0.5,
    "vcpu_ratio_cv_forth": 0.5,
    "spindles_cv_forth": 0.5,
    "location_score": 1.0,
    "location_exclusion_score": 1.0,
    "reserved_mem_rtotal": 0.25,
}
"""In htools' order."""

SPREAD = {
    "free_mem_cv": MEMORY,
    "free_disk_cv": DISK,
    "vcpu_ratio_cv": CPU,
    "cpu_load_cv": 3,
    "mem_load_cv": 4,
    "disk_load_cv": DISK_LOAD,
    "net_load_cv": 6,
    "spindles_cv": SPINDLES,
    "free_mem_cv_forth": MEMORY_F,
    "free_disk_cv_forth": DISK_F,
    "vcpu_ratio_cv_forth": CPU_F,
    "spindles_cv_forth": SPINDLES_F,
}
"""Metrics that are the standard deviation of a quantity over its scale."""
QUANTITY_WEIGHTS = np.zeros(QUANTITIES)
for _name, _row in SPREAD.items():
    QUANTITY_WEIGHTS[_row] = WEIGHTS[_name]


def scales(cluster: Cluster) -> Numbers:
    """What each quantity is multiplied with to become the metric's value of a node; 0 where it
    cannot change it (unusable nodes, disks of exclusive storage or of nodes without)."""
    nodes = cluster.nodes
    wanted = np.ones((QUANTITIES, len(nodes.names)))
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted[[MEMORY, MEMORY_F]] = 1.0 / nodes.memory_total
        wanted[[DISK, DISK_F]] = np.where(
            nodes.exclusive | (nodes.disk_total == 0), 0.0, 1.0 / nodes.disk_total
        )
        wanted[[CPU, CPU_F]] = 1.0 / (nodes.cpus * nodes.cpu_speed)
        wanted[[SPINDLES, SPINDLES_F]] = np.where(
            nodes.exclusive | (nodes.spindles_high == 0), 0.0, 1.0 / nodes.spindles_high
        )
    wanted[:, ~nodes.usable] = 0.0
    return wanted


def values(usage: Usage, scale: Numbers | None = None) -> Numbers:
    """The metrics' values, quantities x nodes; ``scale`` is that of its cluster, if known."""
    nodes = usage.cluster.nodes
    found = usage.amounts * (scales(usage.cluster) if scale is None else scale)
    without = nodes.usable & ~nodes.exclusive & (nodes.disk_total == 0)
    exclusive = nodes.usable & nodes.exclusive
    for row, spindles in ((DISK, usage.spindles_free), (DISK_F, usage.spindles_free_f)):
        found[row, without] = 1.0
        total, free = nodes.spindles[exclusive], spindles[exclusive]
        found[row, exclusive] = np.divide(free, total, out=np.ones_like(total), where=total > 0)
    return found


def reserved_values(usage: Usage) -> Numbers:
    """Memory kept for the failure of another node, over the total."""
    nodes = usage.cluster.nodes
    return np.divide(
        usage.reserved, nodes.memory_total, out=np.zeros_like(usage.reserved), where=nodes.usable
    )


def components_of(usage: Usage, nodes: Flags | None = None) -> dict[str, float]:
    """Each metric by name, over all nodes or those of ``nodes``."""
    chosen = np.ones(len(usage.cluster.nodes.names), dtype=bool) if nodes is None else nodes
    usable = usage.cluster.nodes.usable & chosen
    offline = ~usage.cluster.nodes.usable & chosen
    found = dict.fromkeys(WEIGHTS, 0.0)
    if usable.any():
        spread = values(usage)[:, usable].std(axis=1)
        found |= {name: float(spread[row]) for name, row in SPREAD.items()}
        reserved = reserved_values(usage)[usable]
        found["reserved_mem_cv"] = float(reserved.std())
        found["reserved_mem_rtotal"] = float(reserved.sum())
    count = usage.primaries + usage.secondaries
    found["n1_cnt"] = float(count[usable & usage.failing].sum())
    found["offline_all_cnt"] = float(count[offline].sum())
    found["offline_pri_cnt"] = float(usage.primaries[offline].sum())
    found["pri_tags_score"] = float(np.maximum(usage.tags[:, usable] - 1, 0).sum())
    found["location_score"] = float(usage.unmet[usable].sum())
    found["location_exclusion_score"] = _exclusion_by_place(usage, chosen)
    return found


def _exclusion_by_place(usage: Usage, chosen: Flags) -> float:
    """Instances of one exclusion tag beyond the first in one location, each counted once."""
    spread = usage.spread
    if not chosen.all():
        places, usable = usage.cluster.nodes.locations, usage.cluster.nodes.usable
        spread = np.zeros_like(usage.spread)
        for number, tags in enumerate(usage.cluster.instances.exclusion):
            node = usage.primary[number]
            if tags and chosen[node] and usable[node] and usage.real[number]:
                spread[list(tags)] += places[node]
    return float(np.maximum(spread - 1, 0).sum())


def weighed(found: dict[str, float]) -> float:
    """The score that components make."""
    return sum(WEIGHTS[name] * value for name, value in found.items())


def components(cluster: Cluster, group: str = "") -> dict[str, float]:
    """Each metric by name; ``group`` (name or uuid) limits it to one group."""
    chosen = None
    if group:
        chosen = cluster.nodes.group == cluster.group_number(group)
    return components_of(Usage(cluster), chosen)


def total(cluster: Cluster, group: str = "") -> float:
    """The score."""
    return weighed(components(cluster, group))
