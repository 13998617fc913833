"""What instances take of nodes: the state that planning changes.

Quantities that add up are rows of one matrix (``QUANTITIES`` x nodes); an instance is a vector of
what it changes where it is primary and another of what it changes where it is secondary. So
taking or leaving a node is one vector addition, whatever the number of instances.

Invariant: equal to what a new ``Usage`` of the moved cluster would hold, except that a node whose
free memory equals what it must keep counts as failing N+1 only after it was touched (htools'
rule).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clusterd.placement.model import NOWHERE, Cluster, Flags, Numbers, Rows

MEMORY, DISK, CPU = 0, 1, 2
LOAD = slice(3, 7)
DISK_LOAD = 5
SPINDLES = 7
MEMORY_F, DISK_F, CPU_F, SPINDLES_F = 8, 9, 10, 11
"""The same with forthcoming instances, and with the memory of those that are down."""
QUANTITIES = 12


class Item(NamedTuple):
    """An instance to be put somewhere."""

    primary: Numbers
    """What it changes of each quantity of its primary node."""
    secondary: Numbers
    reserve: float
    """Memory that its secondary keeps for it."""
    takeover: float
    """Memory that its secondary needs at once if its primary fails."""
    exclusion: tuple[int, ...]
    desired: tuple[int, ...]
    counts: bool
    """False: forthcoming."""
    spindles: float
    """Of exclusive storage; -1 unknown, 0 without disks of the node's own."""


class Items(NamedTuple):
    """All instances of a cluster, as arrays of what ``Item`` says."""

    primary: Numbers
    secondary: Numbers
    reserve: Numbers
    takeover: Numbers
    spindles: Numbers


def items_of(cluster: Cluster) -> Items:
    """What each instance changes."""
    one = cluster.instances
    count = len(one.names)
    real = ~one.forthcoming
    primary = np.zeros((count, QUANTITIES))
    primary[:, MEMORY_F] = -one.memory
    primary[:, DISK_F] = -one.disk
    primary[:, CPU_F] = one.vcpus
    primary[:, SPINDLES_F] = one.spindle_use
    primary[:, MEMORY] = -one.memory_used
    primary[:, DISK] = -one.disk * real
    primary[:, CPU] = one.vcpus * real
    primary[:, LOAD] = one.load * real[:, None]
    primary[:, SPINDLES] = one.spindle_use * real
    secondary = np.zeros((count, QUANTITIES))
    for row in (DISK, DISK_F, DISK_LOAD, SPINDLES, SPINDLES_F):
        secondary[:, row] = primary[:, row] * one.mirrored
    spindles = np.where(one.disk > 0, one.spindles, 0.0)
    return Items(primary, secondary, one.memory_reserved, one.memory_used, spindles)


class Usage:
    """See the module. Arrays may be read by everyone and are written here only."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.items = items_of(cluster)
        one, nodes = cluster.instances, cluster.nodes
        count = len(nodes.names)
        self.primary: Rows = one.primary.copy()
        self.secondary: Rows = one.secondary.copy()
        self.real: Flags = ~one.forthcoming
        self.amounts: Numbers = self._amounts()
        self.spindles_free: Numbers = nodes.spindles_free.copy()
        self.spindles_free_f: Numbers = self._spindles_forthcoming()
        self.primaries: Numbers = _sum(one.primary, self.real.astype(np.float64), count)
        mirrored = one.secondary != NOWHERE
        self.secondaries: Numbers = _sum(
            one.secondary[mirrored], self.real[mirrored].astype(np.float64), count
        )
        self.peer: Numbers = self._peers(self.items.reserve)
        self.takeover: Numbers = self._peers(np.where(mirrored, self.items.takeover, 0.0))
        self.reserved: Numbers = self.peer.max(axis=1, initial=0.0)
        self.failing: Flags = nodes.usable & (nodes.memory_free < self.reserved)
        self.tags: Numbers = np.zeros((len(cluster.exclusion_tags), count))
        self.unmet: Numbers = np.zeros(count)
        self.spread: Numbers = np.zeros((len(cluster.exclusion_tags), len(cluster.location_labels)))
        placed = nodes.locations.astype(float)
        self.shared_places: Numbers = placed @ placed.T if placed.shape[1] else np.zeros((0, 0))
        worded = range(len(one.names)) if placed.shape[1] else one.worded.tolist()
        for number in worded:
            self._words(self.item(number), (one.primary[number], one.secondary[number]), 1)

    def _spindles_forthcoming(self) -> Numbers:
        free = self.spindles_free.copy()
        for number in np.flatnonzero(~self.real).tolist():
            node, taken = int(self.primary[number]), float(self.items.spindles[number])
            free[node] = free[node] - taken if taken >= 0 else -1.0
        return free

    def _amounts(self) -> Numbers:
        """Free amounts come from the nodes, which know what is used already; the rest is summed.
        Free memory is the lesser of what the node sees and what the records leave."""
        one, nodes = self.cluster.instances, self.cluster.nodes
        count = len(nodes.names)
        amounts = np.zeros((QUANTITIES, count))
        mirrored = one.secondary != NOWHERE
        for row in range(QUANTITIES):
            amounts[row] = _sum(one.primary, self.items.primary[:, row], count)
            if self.items.secondary[:, row].any():
                amounts[row] += _sum(
                    one.secondary[mirrored], self.items.secondary[mirrored, row], count
                )
        unseen = self.items.primary[:, MEMORY_F] - self.items.primary[:, MEMORY]
        recorded = nodes.memory_total - nodes.memory_node + amounts[MEMORY]
        amounts[MEMORY] = np.minimum(recorded, nodes.memory_free)
        amounts[MEMORY_F] = nodes.memory_free + _sum(one.primary, unseen, count)
        amounts[DISK_F] = nodes.disk_free + amounts[DISK_F] - amounts[DISK]
        amounts[DISK] = nodes.disk_free
        for row in (CPU, CPU_F):
            amounts[row] += nodes.cpus_node
        amounts[LOAD.start] += nodes.cpu_load
        for row in (SPINDLES, SPINDLES_F):
            amounts[row, nodes.exclusive] = 0.0
        return amounts

    def _peers(self, memory: Numbers) -> Numbers:
        """Memory by (secondary, primary)."""
        count = len(self.cluster.nodes.names)
        here = self.secondary != NOWHERE
        flat = self.secondary[here] * count + self.primary[here]
        return _sum(flat, memory[here], count * count).reshape(count, count)

    def item(self, number: int) -> Item:
        """One instance of the cluster."""
        one, items = self.cluster.instances, self.items
        return Item(
            items.primary[number],
            items.secondary[number],
            float(items.reserve[number]),
            float(items.takeover[number]),
            one.exclusion[number],
            one.desired[number],
            bool(self.real[number]),
            float(items.spindles[number]),
        )

    def copy(self) -> Usage:
        """A state of its own."""
        twin = object.__new__(Usage)
        twin.__dict__.update(
            {
                name: value.copy() if name in CHANGING else value
                for name, value in self.__dict__.items()
            }
        )
        return twin

    def move(self, number: int, primary: int, secondary: int) -> None:
        """Put an instance onto other nodes."""
        item = self.item(number)
        self.put(item, int(self.primary[number]), int(self.secondary[number]), -1)
        self.put(item, primary, secondary, 1)
        self.primary[number], self.secondary[number] = primary, secondary

    def put(self, item: Item, primary: int, secondary: int, sign: int) -> None:
        """Add (1) or take away (-1) an instance; the numbers of instances are not kept here."""
        self.amounts[:, primary] += sign * item.primary
        self._spindles(item, primary, sign)
        self.primaries[primary] += sign * item.counts
        if secondary != NOWHERE:
            self.amounts[:, secondary] += sign * item.secondary
            self._spindles(item, secondary, sign)
            self.secondaries[secondary] += sign * item.counts
            self.peer[secondary, primary] += sign * item.reserve
            self.takeover[secondary, primary] += sign * item.takeover
            self.reserved[secondary] = self.peer[secondary].max(initial=0.0)
            self._judge(secondary)
        self._judge(primary)
        self._words(item, (primary, secondary), sign)

    def _judge(self, node: int) -> None:
        self.failing[node] = bool(
            self.cluster.nodes.usable[node] and self.amounts[MEMORY, node] <= self.reserved[node]
        )

    def _spindles(self, item: Item, node: int, sign: int) -> None:
        if self.cluster.nodes.exclusive[node]:
            self.amounts[[SPINDLES, SPINDLES_F], node] = 0.0
            self.spindles_free[node] -= sign * item.counts * max(item.spindles, 0.0)
            self.spindles_free_f[node] -= sign * max(item.spindles, 0.0)
        else:
            # means nothing there; htools shows it so
            self.spindles_free[node] = 0.0

    def _words(self, item: Item, nodes: tuple[int, int], sign: int) -> None:
        """What tags count."""
        primary, secondary = nodes
        places = self.cluster.nodes.locations
        if item.exclusion:
            rows = list(item.exclusion)
            self.tags[rows, primary] += sign
            if item.counts and places.shape[1] and self.cluster.nodes.usable[primary]:
                self.spread[rows] += sign * places[primary]
        if places.shape[1] and item.counts:
            if secondary != NOWHERE:
                self.unmet[primary] += sign * self.shared_places[primary, secondary]
            self.unmet[primary] += sign * self.unmet_wishes(item, primary)
        elif item.counts:
            self.unmet[primary] += sign * len(item.desired)

    def unmet_wishes(self, item: Item, node: int) -> int:
        """How many desired locations a node is not in."""
        places = self.cluster.nodes.locations[node]
        return sum(label < 0 or not places[label] for label in item.desired)


CHANGING = frozenset(
    (
        "primary",
        "secondary",
        "amounts",
        "spindles_free",
        "spindles_free_f",
        "primaries",
        "secondaries",
        "peer",
        "takeover",
        "reserved",
        "failing",
        "tags",
        "unmet",
        "spread",
    )
)
"""What ``put`` and ``move`` write."""


def _sum(rows: Rows, values: Numbers, count: int) -> Numbers:
    return np.bincount(rows, weights=values, minlength=count).astype(np.float64, copy=False)
