"""The cluster as arrays, for arithmetic over all nodes or all instances at once.

Rows keep the order of the facts. Numbers are float64 throughout (whole MiB are exact),
so that no operation converts. A ``Cluster`` never changes; moves change a ``usage.Usage`` of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from clusterd.placement import tag_rules
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import (
    IDLE,
    INTERNAL_MIRROR,
    LOCAL,
    MOVABLE,
    RUNNING,
    SHARED,
    ClusterFacts,
    GroupFacts,
    NodeFacts,
    PolicyFacts,
    Utilisation,
)
from clusterd.placement.validity import require_valid

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]

NOWHERE = -1
"""In place of the number of a secondary node."""
WITHOUT_MEMORY = ("ADMIN_down", "ADMIN_offline", "ERROR_down", "USER_down")
"""Statuses of instances that take no memory now."""
OFFLINE_INSTANCE = "ADMIN_offline"
"""The status whose CPUs do not count and for which no memory is kept on its secondary."""


class Nodes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One entry a node in each array."""

    names: tuple[str, ...]
    group: Rows
    memory_total: Numbers
    memory_node: Numbers
    memory_free: Numbers
    disk_total: Numbers
    disk_free: Numbers
    disk_low: Numbers
    """Free disk must not fall below this."""
    cpus: Numbers
    cpus_node: Numbers
    cpu_speed: Numbers
    cpu_load: Numbers
    """Beside that of the instances."""
    vcpu_ratio: Numbers
    spindles: Numbers
    spindles_free: Numbers
    spindles_high: Numbers
    """The most that instances may use, from the policy's ratio."""
    exclusive: Flags
    usable: Flags
    """Neither offline nor drained nor unable to run instances."""
    migration_class: Rows
    locations: Flags
    """Nodes x labels."""


class Instances(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One entry an instance in each array."""

    names: tuple[str, ...]
    memory: Numbers
    memory_used: Numbers
    """0 unless it takes memory now."""
    memory_reserved: Numbers
    """What its secondary keeps for it."""
    disk: Numbers
    """0 unless its disks lie on a volume group."""
    vcpus: Numbers
    """0 if it is ADMIN_offline."""
    load: Numbers
    """Instances x (cpu, memory, disk, network)."""
    spindle_use: Numbers
    spindles: Numbers
    """-1: unknown."""
    primary: Rows
    secondary: Rows
    mirrored: Flags
    shared: Flags
    movable: Flags
    """By template; auto-balanced, in one group, there already."""
    running: Flags
    forthcoming: Flags
    exclusion: tuple[tuple[int, ...], ...]
    """Numbers into ``Cluster.exclusion_tags``."""
    desired: tuple[tuple[int, ...], ...]
    """Numbers into ``Cluster.location_labels``; -1 is a label that no node has."""
    worded: Rows
    """Those with exclusion tags or desired locations: most clusters have few."""


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller adds to the facts."""

    exclusion_prefixes: tuple[str, ...] = ()
    """Beside those that cluster tags declare."""
    utilisation: Mapping[str, Utilisation] = {}
    """By instance; wins over the facts."""
    node_cpu_load: Mapping[str, float] = {}
    """By node: measured load that no instance accounts for."""
    ignore_utilisation: bool = False
    max_cpu: float | None = None
    """Instead of the policies' vcpu ratios."""
    min_disk: float = 0.0
    """Share of a node's disk that stays free."""
    offline: tuple[str, ...] = ()
    """Further nodes to take as offline."""
    exclusive_mirrors: bool = False
    """Mirrored disks may lie on exclusive storage: ``hspace`` counts so, Ganeti refuses it."""


class Cluster(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The model. ``facts`` are what it was built of."""

    facts: ClusterFacts
    nodes: Nodes
    instances: Instances
    exclusion_prefixes: tuple[str, ...]
    exclusion_tags: tuple[str, ...]
    location_labels: tuple[str, ...]
    migration_allowed: Flags
    """Classes x classes: from, to."""
    tuning: Tuning
    base_load: Utilisation
    """Of a new instance, also where the load of those that are there is ignored (as in htools)."""
    node_number: dict[str, int]
    instance_number: dict[str, int]

    def group_number(self, name_or_uuid: str) -> int:
        """The row of a group; raises BadRequest."""
        for number, group in enumerate(self.facts.groups):
            if name_or_uuid in (group.name, group.uuid):
                return number
        raise BadRequest(f"There is no group {name_or_uuid}")

    def node(self, name: str) -> int:
        """The row of a node; raises BadRequest."""
        if name not in self.node_number:
            raise BadRequest(f"There is no node {name}")
        return self.node_number[name]

    def instance(self, name: str) -> int:
        """The row of an instance; raises BadRequest."""
        if name not in self.instance_number:
            raise BadRequest(f"There is no instance {name}")
        return self.instance_number[name]

    def policy(self, group: int) -> PolicyFacts:
        """The instance policy that binds a group."""
        return self.facts.groups[group].policy or self.facts.policy


def build(facts: ClusterFacts, tuning: Tuning | None = None) -> Cluster:
    """Check the facts and make arrays of them; raises BadCluster or BadRequest."""
    require_valid(facts)
    tuning = tuning or Tuning()
    if unknown := set(tuning.offline) - {one.name for one in facts.nodes}:
        raise BadRequest(f"There is no node {min(unknown)}")
    if tuning.max_cpu is not None and tuning.max_cpu <= 0:
        raise BadRequest(f"At most {tuning.max_cpu} virtual CPUs a CPU is no possible limit")
    if not 0 <= tuning.min_disk <= 1:
        raise BadRequest(f"The share of disk to keep free, {tuning.min_disk}, is not in 0 to 1")
    prefixes = (
        *tuning.exclusion_prefixes,
        *(found for found in tag_rules.declared(tag_rules.EXCLUSION, facts.tags) if found),
    )
    exclusion = [tag_rules.exclusion_tags(prefixes, one.tags) for one in facts.instances]
    tags = tuple(sorted({tag for mine in exclusion for tag in mine}))
    places = [tag_rules.labels(tag_rules.LOCATION, facts.tags, one.tags) for one in facts.nodes]
    labels = tuple(sorted(frozenset().union(*places))) if places else ()
    classes, allowed = _migration(facts)
    nodes = _nodes(facts, tuning, places, labels, classes)
    return Cluster(
        facts=facts,
        nodes=nodes,
        instances=_instances(facts, tuning, nodes, exclusion, (tags, labels)),
        exclusion_prefixes=prefixes,
        exclusion_tags=tags,
        location_labels=labels,
        migration_allowed=allowed,
        tuning=tuning,
        base_load=Utilisation(),
        node_number={name: row for row, name in enumerate(nodes.names)},
        instance_number={one.name: row for row, one in enumerate(facts.instances)},
    )


def without(cluster: Cluster, offline: Iterable[str], more: Sequence[NodeFacts] = ()) -> Cluster:
    """The cluster with some nodes offline and more nodes beside; raises BadCluster."""
    facts = msgspec.structs.replace(cluster.facts, nodes=(*cluster.facts.nodes, *more))
    lost = tuple(sorted({*cluster.tuning.offline, *offline}))
    return build(facts, msgspec.structs.replace(cluster.tuning, offline=lost))


def column(values: Sequence[Any], field: str) -> Numbers:
    """One field of each value."""
    return np.array([getattr(one, field) for one in values], dtype=np.float64)


def _migration(facts: ClusterFacts) -> tuple[Rows, Flags]:
    """Nodes of equal demands and abilities are one class: few, however many nodes there are."""
    pairs = [
        (
            tag_rules.migration_source(facts.tags, node.tags),
            tag_rules.migration_target(facts.tags, node.tags),
        )
        for node in facts.nodes
    ]
    classes = sorted(set(pairs), key=lambda pair: (sorted(pair[0]), sorted(pair[1])))
    numbers = {pair: number for number, pair in enumerate(classes)}
    allowed = [[source <= target for _, target in classes] for source, _ in classes]
    return (
        np.array([numbers[pair] for pair in pairs], dtype=np.int64),
        np.array(allowed, dtype=np.bool_).reshape(len(classes), len(classes)),
    )


def _nodes(
    facts: ClusterFacts,
    tuning: Tuning,
    places: list[frozenset[str]],
    labels: tuple[str, ...],
    classes: Rows,
) -> Nodes:
    rows = facts.nodes
    usable = np.array(
        [
            not (one.offline or one.drained or one.name in tuning.offline) and one.vm_capable
            for one in rows
        ],
        dtype=np.bool_,
    )
    numbers = {group.uuid: number for number, group in enumerate(facts.groups)}
    policies = [group.policy or facts.policy for group in facts.groups]
    group = np.array([numbers[one.group] for one in rows], dtype=np.int64)
    ratio = np.array([policies[one].vcpu_ratio for one in group], dtype=np.float64)
    spindle_ratio = np.array([policies[one].spindle_ratio for one in group], dtype=np.float64)
    disk_total = column(rows, "disk_total_mib")
    spindles = column(rows, "spindles")
    return Nodes(
        names=tuple(one.name for one in rows),
        group=group,
        memory_total=column(rows, "memory_total_mib"),
        memory_node=column(rows, "memory_node_mib"),
        memory_free=column(rows, "memory_free_mib"),
        disk_total=disk_total,
        disk_free=column(rows, "disk_free_mib"),
        disk_low=np.floor(disk_total * tuning.min_disk),
        cpus=column(rows, "cpus"),
        cpus_node=column(rows, "cpus_node"),
        cpu_speed=column(rows, "cpu_speed"),
        cpu_load=np.array(
            [tuning.node_cpu_load.get(one.name, 0.0) for one in rows], dtype=np.float64
        ),
        vcpu_ratio=ratio if tuning.max_cpu is None else np.full(len(rows), tuning.max_cpu),
        spindles=spindles,
        spindles_free=column(rows, "spindles_free"),
        spindles_high=spindle_ratio * spindles,
        exclusive=np.array([one.exclusive_storage for one in rows], dtype=np.bool_),
        usable=usable,
        migration_class=classes,
        locations=np.array(
            [[label in mine for label in labels] for mine in places], dtype=np.bool_
        ).reshape(len(rows), len(labels)),
    )


def _instances(
    facts: ClusterFacts,
    tuning: Tuning,
    nodes: Nodes,
    exclusion: list[tuple[str, ...]],
    words: tuple[tuple[str, ...], tuple[str, ...]],
) -> Instances:
    rows = facts.instances
    tag_number, label_number = ({word: row for row, word in enumerate(one)} for one in words)
    node_number = {name: row for row, name in enumerate(nodes.names)}
    memory = column(rows, "memory_mib")
    flags = _flags(facts)
    primary = np.array([node_number[one.primary] for one in rows], dtype=np.int64)
    secondary = np.array(
        [node_number[one.secondary] if one.secondary else NOWHERE for one in rows], dtype=np.int64
    )
    whole = (secondary == NOWHERE) | (nodes.group[primary] == nodes.group[secondary])
    desired = tuple(
        tuple(sorted(label_number.get(tag, -1) for tag in wanted))
        for wanted in (tag_rules.desired_locations(facts.tags, one.tags) for one in rows)
    )
    worded = [row for row in range(len(rows)) if exclusion[row] or desired[row]]
    reserves = flags["mirrored"] & flags["present"] & flags["auto"] & ~flags["forthcoming"]
    return Instances(
        names=tuple(one.name for one in rows),
        memory=memory,
        memory_used=np.where(flags["takes_memory"] & ~flags["forthcoming"], memory, 0.0),
        memory_reserved=np.where(reserves, memory, 0.0),
        disk=np.where(flags["local"], column(rows, "disk_mib"), 0.0),
        vcpus=np.where(flags["present"], column(rows, "vcpus"), 0.0),
        load=_load(facts, tuning),
        spindle_use=np.where(flags["local"], column(rows, "spindle_use"), 0.0),
        spindles=np.array(
            [-1 if one.spindles is None else one.spindles for one in rows], dtype=np.float64
        ),
        primary=primary,
        secondary=secondary,
        mirrored=flags["mirrored"],
        shared=flags["shared"],
        movable=flags["movable"] & flags["auto"] & whole & ~flags["forthcoming"],
        running=flags["running"],
        forthcoming=flags["forthcoming"],
        exclusion=tuple(tuple(tag_number[tag] for tag in mine) for mine in exclusion),
        desired=desired,
        worded=np.array(worded, dtype=np.int64),
    )


def _flags(facts: ClusterFacts) -> dict[str, Flags]:
    rows = facts.instances
    found = {
        "takes_memory": [one.status not in WITHOUT_MEMORY for one in rows],
        "present": [one.status != OFFLINE_INSTANCE for one in rows],
        "auto": [one.auto_balance for one in rows],
        "local": [one.template in LOCAL for one in rows],
        "mirrored": [one.template == INTERNAL_MIRROR for one in rows],
        "shared": [one.template in SHARED for one in rows],
        "movable": [one.template in MOVABLE for one in rows],
        "running": [one.status in RUNNING for one in rows],
        "forthcoming": [one.forthcoming for one in rows],
    }
    return {name: np.array(values, dtype=np.bool_) for name, values in found.items()}


def _load(facts: ClusterFacts, tuning: Tuning) -> Numbers:
    base = IDLE if tuning.ignore_utilisation else Utilisation()
    rows = [
        base
        if tuning.ignore_utilisation
        else tuning.utilisation.get(one.name) or one.utilisation or base
        for one in facts.instances
    ]
    found = [(one.cpu, one.memory, one.disk, one.network) for one in rows]
    return np.array(found, dtype=np.float64).reshape(len(rows), 4)


def group_of(cluster: Cluster, name_or_uuid: str) -> tuple[int, GroupFacts]:
    """The group asked for; without a name the only one. Raises BadRequest."""
    groups = cluster.facts.groups
    if not name_or_uuid and len(groups) != 1:
        raise BadRequest(f"There are {len(groups)} groups: name one")
    number = cluster.group_number(name_or_uuid) if name_or_uuid else 0
    return number, groups[number]
