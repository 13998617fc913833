"""Which nodes suit a new instance in which role, and in words why not. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from clusterd.placement.model import Flags, Numbers
from clusterd.placement.results import Reason, Refusal
from clusterd.placement.usage import (
    CPU,
    CPU_F,
    DISK,
    DISK_F,
    MEMORY,
    MEMORY_F,
    SPINDLES,
    SPINDLES_F,
    Item,
    Usage,
)

MIB = "MiB"
Sentence = Callable[[int], str]


class Test(NamedTuple):
    """One limit: the nodes that overstep it, and how it reads for one of them."""

    reason: Reason
    refused: Flags
    sentence: Sentence


def as_primary(usage: Usage, item: Item, strict: bool) -> list[Test]:
    """The limits of a primary, in htools' order."""
    nodes, now = usage.cluster.nodes, usage.amounts
    free = now[MEMORY] + item.primary[MEMORY]
    found = [_short("memory", free <= 0, -free)]
    found += _disk(usage, item, item.primary, strict)
    if not strict:
        return found
    lacking = usage.reserved - free
    found.append(
        Test(
            "n1",
            (free <= usage.reserved) & ~usage.failing & (free > 0),
            lambda node: (
                f"not N+1: {max(lacking[node], 1):.0f} {MIB} short of the"
                f" {usage.reserved[node]:.0f} {MIB} kept for the failure of {_peer(usage, node)}"
            ),
        )
    )
    vcpus = np.maximum(now[CPU] + item.primary[CPU], now[CPU_F] + item.primary[CPU_F])
    most = nodes.vcpu_ratio * nodes.cpus
    found.append(
        Test(
            "cpu",
            vcpus > most + 1e-9,
            lambda node: f"{vcpus[node]:.0f} virtual CPUs, at most {most[node]:.0f} are allowed",
        )
    )
    if item.exclusion:
        tags = list(item.exclusion)
        found.append(
            Test(
                "tags",
                np.asarray((usage.tags[tags] > 0).any(axis=0)),
                lambda node: _excluded(usage, tags, node),
            )
        )
    promised = now[MEMORY_F] + item.primary[MEMORY_F]
    found.append(
        Test(
            "memory",
            (promised <= 0) & (free > 0),
            lambda node: (
                f"memory short by {max(-promised[node], 1):.0f} {MIB} when all its instances run"
            ),
        )
    )
    return found


def as_secondary(usage: Usage, item: Item) -> list[Test]:
    """The limits of a secondary that do not depend on the primary."""
    now = usage.amounts
    found = _disk(usage, item, item.secondary, True)
    spare = np.minimum(now[MEMORY], now[MEMORY_F]) - item.reserve
    found.append(_short("memory", spare <= 0, -spare))
    return found


def _short(reason: Reason, refused: Flags, by: Numbers) -> Test:
    return Test(reason, refused, lambda node: f"{reason} short by {max(by[node], 1):.0f} {MIB}")


def _disk(usage: Usage, item: Item, what: Numbers, strict: bool) -> list[Test]:
    if not item.primary[DISK]:
        return []
    nodes, now = usage.cluster.nodes, usage.amounts
    left = np.minimum(now[DISK] + what[DISK], now[DISK_F] + what[DISK_F])
    found = [_short("disk", left <= 0, -left)]
    mirrored = bool(item.secondary.any())
    if nodes.exclusive.any():
        spare = np.minimum(usage.spindles_free, usage.spindles_free_f) - item.spindles
        barred = mirrored and not usage.cluster.tuning.exclusive_mirrors
        if item.spindles < 0 or barred:
            spare = np.full(len(spare), -1.0)
        found.append(
            Test(
                "exclusive",
                nodes.exclusive & (spare < 0),
                lambda node: (
                    "exclusive storage takes plain disks only"
                    if barred
                    else f"spindles short by {-spare[node]:.0f}"
                ),
            )
        )
    if not strict:
        return found
    found.append(
        Test(
            "disk",
            (left < nodes.disk_low) & (left > 0),
            lambda node: (
                f"disk short by {nodes.disk_low[node] - left[node]:.0f} {MIB} of the reserve"
            ),
        )
    )
    used = np.maximum(now[SPINDLES] + what[SPINDLES], now[SPINDLES_F] + what[SPINDLES_F])
    over = (used > nodes.spindles_high + 1e-9) & ~nodes.exclusive
    found.append(
        Test(
            "spindles",
            over,
            lambda node: (
                f"{used[node]:.0f} spindles in use, at most {nodes.spindles_high[node]:.0f}"
                " are allowed"
            ),
        )
    )
    return found


def _peer(usage: Usage, node: int) -> str:
    return usage.cluster.nodes.names[int(usage.peer[node].argmax())]


def _excluded(usage: Usage, tags: list[int], node: int) -> str:
    """Names a tag, and an instance on the node that has it."""
    instances = usage.cluster.instances
    taken = next(tag for tag in tags if usage.tags[tag, node] > 0)
    holder = next(
        (
            instances.names[row]
            for row in instances.worded.tolist()
            if usage.primary[row] == node and taken in instances.exclusion[row]
        ),
        "an instance of the same request",
    )
    return f"excluded by tag {usage.cluster.exclusion_tags[taken]} with {holder}"


def allowed(tests: list[Test], count: int) -> Flags:
    """The nodes that no limit refuses."""
    found = np.ones(count, dtype=np.bool_)
    for one in tests:
        found &= ~one.refused
    return found


def refusals(tests: list[Test], node: int, role: str) -> tuple[Refusal, ...]:
    """Every limit that one node oversteps."""
    before = f"as {role}: " if role else ""
    return tuple(
        Refusal(one.reason, before + one.sentence(node)) for one in tests if one.refused[node]
    )
