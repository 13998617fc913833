"""Global N+1: could each node be emptied, its instances restarting elsewhere?

Mirrored instances restart on their secondary, which needs the memory of all that it would take
over at once: a comparison of two matrices. Instances on shared storage, and those that would be
made anew on local storage, restart wherever there is room, largest first. Soft limits do not
count in an emergency.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clusterd.placement.emptying import Emptying, Lodger
from clusterd.placement.model import NOWHERE, Flags, Numbers
from clusterd.placement.usage import DISK, MEMORY, Item, Usage


class Redundancy:
    """Of a state to which one item may be added; taken anew for another state."""

    def __init__(
        self,
        usage: Usage,
        accept_offline: bool = False,
        *,
        unchecked: Sequence[str] = (),
        added: Sequence[tuple[Item, int]] = (),
        emptying: Emptying | None = None,
    ) -> None:
        """``unchecked``: uuids of groups whose nodes need not be emptied; ``added``: items that are
        in the state beside the instances, with their primary nodes; ``emptying``: htools' own way,
        to be gone instead of ours."""
        self.usage, self.emptying = usage, emptying
        self.added = [one for one in added if not one[0].secondary.any() and one[0].takeover > 0]
        nodes = usage.cluster.nodes
        # a mirror on an offline node takes over, in htools' eyes
        able = nodes.usable | (emptying is not None)
        self.free: Numbers = np.where(able, usage.amounts[MEMORY], 0.0)
        needed = usage.takeover
        counts = nodes.usable | (not accept_offline)
        if unchecked:
            uuids = [group.uuid for group in usage.cluster.facts.groups]
            counts &= np.array([uuids[group] not in unchecked for group in nodes.group.tolist()])
        self.counts: Flags = counts
        """Nodes that it must be possible to empty."""
        if not counts.all():
            needed = np.where(counts[None, :], needed, 0.0)
        self.needed = needed
        self.most: Numbers = needed.max(axis=1, initial=0.0)
        self.short: Flags = (self.most > 0) & (self.most >= self.free)
        alone = (usage.secondary == NOWHERE) & usage.real & (usage.items.takeover > 0)
        alone &= counts[usage.primary]
        self.alone: Flags = alone
        """Instances without a mirror."""

    def mirrors(self) -> bool:
        """Whether all mirrored instances could restart."""
        return not self.short.any()

    def with_primary(self, item: Item) -> Flags:
        """Nodes that could take the item as primary and leave all mirrored instances
        restartable."""
        others = int(self.short.sum()) - self.short
        free = self.free - item.takeover
        return np.asarray((others == 0) & ((self.most == 0) | (self.most < free)))

    def with_secondary(self, item: Item) -> Flags:
        """Pairs (primary, secondary) whose secondary could start the item, too."""
        return np.asarray((self.needed + item.takeover < self.free[:, None]).T)

    def restart(self, extra: tuple[Item, int] | None = None) -> bool:
        """Whether instances without a mirror could restart as well, with an item on a node."""
        unmirrored = self.alone.any() or self.added
        if not unmirrored and (extra is None or extra[0].secondary.any()):
            return True
        if self.emptying is not None and (extra is None or not extra[0].secondary.any()):
            return self._as_htools(self.emptying, extra)
        usage, nodes = self.usage, self.usage.cluster.nodes
        homes = set(np.unique(usage.primary[self.alone]).tolist())
        homes |= {node for _item, node in self.added if self.counts[node]}
        if extra is not None and self.counts[extra[1]]:
            homes.add(extra[1])
        return all(self._empty(home, extra, nodes.group == nodes.group[home]) for home in homes)

    def _as_htools(self, emptying: Emptying, extra: tuple[Item, int] | None) -> bool:
        state, lodgers = (
            self.usage,
            [Lodger(item, node, _shared(item)) for item, node in self.added],
        )
        if extra is not None:
            state = state.copy()
            state.put(extra[0], extra[1], NOWHERE, 1)
            lodgers.append(Lodger(*extra, _shared(extra[0])))
        return emptying.possible(state, lodgers, self.counts)

    def _empty(self, home: int, extra: tuple[Item, int] | None, group: Flags) -> bool:
        usage, nodes = self.usage, self.usage.cluster.nodes
        free = np.where(group & nodes.usable, self.free - self.needed[:, home], 0.0)
        disk = usage.amounts[DISK].copy()
        leaving = np.flatnonzero(self.alone & (usage.primary == home))
        sizes = [
            (float(usage.items.takeover[row]), -float(usage.items.primary[row, DISK]))
            for row in leaving.tolist()
        ]
        sizes += [_size(item) for item, node in self.added if node == home]
        if extra is not None:
            item, place = extra
            free[place] -= item.takeover
            if place == home and not item.secondary.any():
                sizes.append(_size(item))
        free[home] = 0.0
        sizes.sort(reverse=True)
        return any(_packed(sizes, free.copy(), disk.copy(), tight) for tight in (False, True))


def _packed(sizes: list[tuple[float, float]], free: Numbers, disk: Numbers, tight: bool) -> bool:
    """Whether all go somewhere, the largest first: where most memory is free, or (``tight``) where
    least is left. Neither finds every way, but each finds some that the other does not."""
    for memory, room in sizes:
        fits = (free > memory) & (disk > room) if room else free > memory
        if not fits.any():
            return False
        place = (
            np.where(fits, free, np.inf).argmin() if tight else np.where(fits, free, -1).argmax()
        )
        free[place] -= memory
        disk[place] -= room
    return True


def _size(item: Item) -> tuple[float, float]:
    return item.takeover, -float(item.primary[DISK])


def _shared(item: Item) -> bool:
    """A new instance without a disk of its node's."""
    return not item.primary[DISK]


def failing_globally(usage: Usage, accept_offline: bool = False) -> bool:
    """Whether some node could not be emptied."""
    redundancy = Redundancy(usage, accept_offline)
    return not (redundancy.mirrors() and redundancy.restart())


def stuck_nodes(usage: Usage) -> int:
    """How many nodes could not be emptied, as ``hcheck`` counts them: a mirror on an offline node
    counts as able to take over, if it has the memory."""
    redundancy = Redundancy(usage)
    free = usage.amounts[MEMORY]
    short = (redundancy.needed > 0) & (redundancy.needed >= free[:, None])
    group = usage.cluster.nodes.group
    stuck = short.any(axis=0)
    for home in np.unique(usage.primary[redundancy.alone]).tolist():
        stuck[home] |= not redundancy._empty(home, None, group == group[home])
    return int(stuck.sum())
