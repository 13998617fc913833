"""Sums over the nodes, as ``hspace`` shows them before and after. Pure."""

from __future__ import annotations

import numpy as np

from clusterd.placement.model import Numbers
from clusterd.placement.results import Resources
from clusterd.placement.score import components_of, weighed
from clusterd.placement.usage import CPU, DISK, MEMORY, SPINDLES, Usage


def resources(usage: Usage, added: int = 0, all_nodes: bool = False) -> Resources:
    """Of the usable nodes; ``added`` instances are there beside those of the cluster.

    ``all_nodes``: as ``hspace`` counts: offline nodes as well, the spindles that nodes report, and
    memory that nobody is known to hold as the hosts'.
    """
    nodes, now = usage.cluster.nodes, usage.amounts
    on = nodes.usable | all_nodes
    used = nodes.spindles - usage.spindles_free if all_nodes else now[SPINDLES]
    available = np.maximum(now[MEMORY] - usage.reserved, 0.0)[on]
    disk = np.where(now[DISK] < nodes.disk_low, 0.0, now[DISK] - nodes.disk_low)[on]
    most = np.floor(nodes.vcpu_ratio * nodes.cpus)
    vcpus = np.maximum(most - now[CPU], 0.0)[on]
    spindles = np.where(
        nodes.exclusive, usage.spindles_free, np.maximum(nodes.spindles_high - now[SPINDLES], 0.0)
    )[on]
    kept, overhead = nodes.memory_total - nodes.memory_node - now[MEMORY], nodes.memory_node
    if all_nodes:
        one = usage.cluster.instances
        used_first = np.bincount(one.primary, one.memory_used, len(nodes.names))
        free_first = np.minimum(kept + now[MEMORY] - used_first, nodes.memory_free)
        kept = used_first + free_first - now[MEMORY]
        overhead = nodes.memory_total - used_first - nodes.memory_free
    return Resources(
        score=weighed(components_of(usage)),
        instances=len(usage.primary) + added,
        memory_total=_sum(nodes.memory_total[on]),
        memory_free=_sum(now[MEMORY][on]),
        memory_available=_sum(available),
        memory_reserved=_sum(usage.reserved[on]),
        memory_instances=_sum(kept[on]),
        memory_overhead=_sum(overhead[on]),
        memory_max_node=_max(available),
        disk_total=_sum(nodes.disk_total[on]),
        disk_free=_sum(now[DISK][on]),
        disk_available=_sum(disk),
        disk_instances=_sum((nodes.disk_total - now[DISK])[on]),
        disk_max_node=_max(disk),
        vcpus_total=_sum(most[on]),
        vcpus_used=_sum(now[CPU][on]),
        vcpus_available=_sum(vcpus),
        vcpus_max_node=_max(vcpus),
        cpus_total=_sum(nodes.cpus[on]),
        spindles_total=_sum(nodes.spindles[on]),
        spindles_available=_sum(spindles),
        spindles_used=_sum(used[on]),
        spindles_max_node=_max(spindles),
    )


def _sum(values: Numbers) -> int:
    return int(values.sum())


def _max(values: Numbers) -> int:
    return int(values.max(initial=0.0))
