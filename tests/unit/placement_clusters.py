"""Small clusters of every sort for the tests of placement, each made from a number."""

from __future__ import annotations

import random

from clusterd.placement.facts import (
    STATUSES,
    ClusterFacts,
    GroupFacts,
    InstanceFacts,
    NodeFacts,
    PolicyFacts,
    Spec,
)

CLUSTER_TAGS = (
    "htools:iextags:db",
    "htools:iextags:web:",
    "htools:migration:cpu",
    "htools:nlocation:power",
    "htools:nlocation:rack",
    "htools:desiredlocation:power",
    "htools:allowmigration:cpu:old::cpu:new",
)
NODE_TAGS = ("cpu:old", "cpu:new", "power:A", "power:B", "rack:1", "rack:2")
INSTANCE_TAGS = ("db:a", "db:b", "web:x", "power:A", "power:B", "other")
OTHER_TEMPLATES = ("plain", "rbd", "file", "diskless", "sharedfile", "ext", "blockdev")
DISK_MIB = 2000000
RANGE = (
    Spec(memory_mib=128, vcpus=1, disk_mib=1024),
    Spec(memory_mib=32768, vcpus=8, disk_mib=1048576, disks=16, nics=8, spindles=12),
)


class Draft:
    """A cluster while it is made."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(number)
        chance = self.chance
        self.groups = chance.choice((1, 1, 2))
        self.count = chance.randint(2, 8)
        self.exclusive = chance.random() < 0.15
        self.offline = [chance.random() < 0.15 for _ in range(self.count)]
        self.memory = [0] * self.count
        self.disk = [0] * self.count

    def group(self, node: int) -> int:
        return node % self.groups

    def some(self, words: tuple[str, ...], share: float) -> tuple[str, ...]:
        return tuple(word for word in words if self.chance.random() < share)

    def instance(self, name: str) -> InstanceFacts | None:
        chance = self.chance
        template = chance.choice(("drbd",) * 9 + OTHER_TEMPLATES)
        if self.exclusive:
            template = "plain"
        primary = chance.randrange(self.count)
        others = [
            node
            for node in range(self.count)
            if node != primary and self.group(node) == self.group(primary)
        ]
        if template == "drbd" and not others:
            return None
        secondary = chance.choice(others) if template == "drbd" else None
        status = chance.choice(("running",) * 9 + STATUSES)
        memory, disk = chance.choice((512, 1024, 2048)), chance.choice((1024, 10240))
        forthcoming = chance.random() < 0.08
        if not forthcoming:
            self.memory[primary] += memory if status in ("running", "ERROR_up") else 0
            for node in (primary, secondary):
                if node is not None:
                    self.disk[node] += disk
        return InstanceFacts(
            name=name,
            memory_mib=memory,
            disk_mib=disk,
            vcpus=chance.randint(1, 3),
            status=status,
            auto_balance=chance.random() < 0.9,
            primary=f"n{primary}",
            secondary="" if secondary is None else f"n{secondary}",
            template=template,
            tags=self.some(INSTANCE_TAGS, 0.15),
            spindle_use=chance.randint(1, 2),
            spindles=chance.choice((1, 2)) if self.exclusive else None,
            forthcoming=forthcoming,
        )

    def node(self, number: int) -> NodeFacts:
        chance = self.chance
        name, group = f"n{number}", f"u{self.group(number)}"
        tags = self.some(NODE_TAGS, 0.3)
        if self.offline[number]:
            return NodeFacts(name=name, group=group, offline=True, spindles=0, tags=tags)
        total = chance.choice((60000, 30000, 20000))
        return NodeFacts(
            name=name,
            group=group,
            memory_total_mib=total,
            memory_node_mib=512,
            memory_free_mib=max(0, total - 512 - self.memory[number]),
            disk_total_mib=DISK_MIB,
            disk_free_mib=DISK_MIB - self.disk[number],
            cpus=chance.choice((8, 16)),
            cpus_node=chance.choice((0, 1, 2)),
            cpu_speed=chance.choice((1.0, 1.0, 2.0)),
            spindles=chance.choice((4, 8, 20)),
            spindles_free=chance.randint(0, 4),
            exclusive_storage=self.exclusive,
            master=number == 0,
            tags=tags,
        )


def any_cluster(number: int) -> ClusterFacts:
    """The cluster of this number: groups, tags, all templates and states, offline nodes."""
    draft = Draft(number)
    made = [draft.instance(f"i{row}") for row in range(draft.chance.randint(0, draft.count * 6))]
    nodes = tuple(draft.node(row) for row in range(draft.count))
    tags = draft.some(CLUSTER_TAGS, 0.5)
    policy = PolicyFacts(std=RANGE[0], ranges=(RANGE,), vcpu_ratio=draft.chance.choice((4.0, 2.5)))
    return ClusterFacts(
        groups=tuple(
            GroupFacts(name=f"g{row}", uuid=f"u{row}", policy=policy) for row in range(draft.groups)
        ),
        nodes=nodes,
        instances=tuple(one for one in made if one is not None),
        tags=tags,
        policy=policy,
    )
