"""Health, group by group, as ``hcheck`` counts it; whether balancing would help."""

from __future__ import annotations

import numpy as np

from clusterd.placement.balance import balance
from clusterd.placement.model import NOWHERE, Cluster
from clusterd.placement.options import BalanceOptions
from clusterd.placement.part import only_group
from clusterd.placement.redundancy import failing_globally
from clusterd.placement.results import BalancePlan, Check, GroupCheck, KeepGoing, forever
from clusterd.placement.score import components_of, weighed
from clusterd.placement.usage import CPU, SPINDLES, Usage


def check(cluster: Cluster, simulate: bool = True, keep_going: KeepGoing = forever) -> Check:
    """Look at every group; ``simulate``: also balance the ones that need it."""
    groups = tuple(
        _group(cluster, number, simulate, keep_going) for number in range(len(cluster.facts.groups))
    )
    p, s = cluster.instances.primary, cluster.instances.secondary
    split = (s != NOWHERE) & (cluster.nodes.group[p] != cluster.nodes.group[s])
    names = tuple(cluster.instances.names[row] for row in np.flatnonzero(split).tolist())
    healthy = not names and not any(one.needs_rebalance or not one.globally_n1 for one in groups)
    return Check(groups=groups, split=names, healthy=healthy)


def _group(cluster: Cluster, number: int, simulate: bool, keep_going: KeepGoing) -> GroupCheck:
    fact = cluster.facts.groups[number]
    usage = Usage(only_group(cluster, number))
    nodes, instances = usage.cluster.nodes, usage.cluster.instances
    found = components_of(usage)
    failing = tuple(nodes.names[row] for row in np.flatnonzero(usage.failing).tolist())
    mirrored = usage.secondary != NOWHERE
    offline_primary = ~nodes.usable[usage.primary]
    offline_secondary = mirrored & ~nodes.usable[usage.secondary]
    conflicts = int(found["pri_tags_score"])
    needed = bool(failing or conflicts or offline_primary.any() or offline_secondary.any())
    after: BalancePlan | None = None
    if simulate and needed:
        after = balance(cluster, BalanceOptions(group=fact.uuid), keep_going)
    return GroupCheck(
        group=fact.name,
        uuid=fact.uuid,
        n1_failing=failing,
        globally_n1=not failing_globally(usage),
        conflicting_tags=conflicts,
        offline_primary=tuple(
            instances.names[row] for row in np.flatnonzero(offline_primary).tolist()
        ),
        offline_secondary=tuple(
            instances.names[row] for row in np.flatnonzero(offline_secondary).tolist()
        ),
        score=weighed(found),
        policy_violations=_violations(usage),
        needs_rebalance=needed,
        after=after,
    )


def _violations(usage: Usage) -> tuple[tuple[str, str], ...]:
    """Nodes beyond the ratios of their policy."""
    nodes, now = usage.cluster.nodes, usage.amounts
    found = []
    for row in np.flatnonzero(nodes.usable).tolist():
        vcpus, most = now[CPU, row], nodes.vcpu_ratio[row] * nodes.cpus[row]
        if vcpus > most + 1e-9:
            found.append((nodes.names[row], f"{vcpus:.0f} virtual CPUs of at most {most:.0f}"))
        spindles, high = now[SPINDLES, row], nodes.spindles_high[row]
        if spindles > high + 1e-9 and not nodes.exclusive[row]:
            found.append((nodes.names[row], f"{spindles:.0f} spindles of at most {high:.0f}"))
    return tuple(found)
