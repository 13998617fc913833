"""Clusters to measure placement on: mirrored instances, made from a seed, always within capacity.

``mild``: nodes are used a little unevenly; ``hot``: some much more than others; ``even``:
instances went to the emptiest of a few nodes, and every node could take over for every other
(N+1).
"""

from __future__ import annotations

import random
from typing import Literal

from clusterd.placement.facts import (
    ClusterFacts,
    GroupFacts,
    InstanceFacts,
    NodeFacts,
    PolicyFacts,
    Spec,
)
from clusterd.placement.options import Request

Skew = Literal["mild", "hot", "even"]
SKEWS: tuple[Skew, ...] = ("mild", "hot", "even")
MEMORY_MIB = (512, 512, 1024, 1024, 1024, 2048, 2048, 2048, 2048, 4096, 4096, 8192)
DISK_MIB = (10240, 20480, 40960, 81920)
VCPUS = (1, 1, 2, 4)
NODE_MEMORY_MIB = 1024
POLICY = PolicyFacts(
    std=Spec(memory_mib=1024, vcpus=1, disk_mib=10240, spindles=2),
    ranges=(
        (
            Spec(memory_mib=128, vcpus=1, disk_mib=1024, nics=0),
            Spec(memory_mib=32768, vcpus=8, disk_mib=1048576, disks=16, nics=8, spindles=12),
        ),
    ),
)


class Node:
    """A node while it is filled."""

    def __init__(self, name: str, weight: float) -> None:
        self.name, self.weight = name, weight
        self.memory = self.disk = 0


def generate(nodes: int, instances: int, skew: Skew = "mild", seed: int = 42) -> ClusterFacts:
    """A cluster of one group."""
    chance = random.Random(f"{nodes} {instances} {skew} {seed}")
    room = 0.40 if skew == "even" else 0.55
    memory = max(int(instances / nodes * 2560 / room / 1024 + 1) * 1024, 32768)
    disk = max(int(instances / nodes * 40960 * 4 / 1024 + 1) * 1024, 400 * 1024)
    there = [Node(f"node{number:04}", _weight(chance, skew)) for number in range(nodes)]
    weights = [one.weight for one in there]
    made = []
    for number in range(instances):
        sizes = chance.choice(MEMORY_MIB), chance.choice(DISK_MIB), chance.choice(VCPUS)
        while True:
            pair = _pair(chance, skew, there, weights)
            if _fits(pair, sizes, (memory, disk)):
                break
        running = chance.random() < 0.97
        pair[0].memory += sizes[0] if running else 0
        for one in pair:
            one.disk += sizes[1]
        made.append(_instance(f"instance{number:05}", sizes, pair, running))
    return ClusterFacts(
        groups=(GroupFacts(name="default", uuid="group-uuid", policy=POLICY),),
        nodes=tuple(
            NodeFacts(
                name=one.name,
                group="group-uuid",
                memory_total_mib=memory,
                memory_node_mib=NODE_MEMORY_MIB,
                memory_free_mib=memory - NODE_MEMORY_MIB - one.memory,
                disk_total_mib=disk,
                disk_free_mib=disk - one.disk,
                cpus=64,
                spindles=8,
                spindles_free=8,
            )
            for one in there
        ),
        instances=tuple(made),
        policy=POLICY,
    )


def _weight(chance: random.Random, skew: Skew) -> float:
    if skew == "even":
        return 1.0
    return 0.7 + 0.6 * chance.random() if skew == "mild" else chance.random() ** 2 + 0.05


def _pair(
    chance: random.Random, skew: Skew, nodes: list[Node], weights: list[float]
) -> tuple[Node, Node]:
    while True:
        if skew == "even":
            few = min(8, len(nodes))
            first = min(chance.sample(nodes, few), key=lambda one: one.memory)
            second = min(chance.sample(nodes, few), key=lambda one: one.disk)
        else:
            first, second = chance.choices(nodes, weights, k=2)
        if first is not second:
            return first, second


def _fits(pair: tuple[Node, Node], sizes: tuple[int, int, int], most: tuple[int, int]) -> bool:
    return pair[0].memory + sizes[0] <= most[0] * 0.8 and all(
        one.disk + sizes[1] <= most[1] * 0.95 for one in pair
    )


def _instance(
    name: str, sizes: tuple[int, int, int], pair: tuple[Node, Node], running: bool
) -> InstanceFacts:
    return InstanceFacts(
        name=name,
        memory_mib=sizes[0],
        disk_mib=sizes[1],
        vcpus=sizes[2],
        status="running" if running else "ADMIN_down",
        primary=pair[0].name,
        secondary=pair[1].name,
    )


def request(name: str = "new") -> Request:
    """The instance that the figures of allocation are about."""
    return Request(name=name, memory_mib=2048, vcpus=2, disk_sizes_mib=(20480,))
