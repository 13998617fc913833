"""Could a node be emptied, asked in htools' own way: step by step, each instance to the place where
the score is best then.

What is on shared storage leaves in the order of its arrival, the newest first; what would be made
anew goes by memory, the largest first, and counts on its old node all the while. Neither finds
every way to empty a node: ``redundancy`` finds more, this one finds what ``hspace`` finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clusterd.placement import suit
from clusterd.placement.causes import policy_cause
from clusterd.placement.facts import InstanceFacts
from clusterd.placement.model import NOWHERE, Cluster, Flags, Numbers
from clusterd.placement.options import Request
from clusterd.placement.pairs import added_by, on_primary
from clusterd.placement.score import QUANTITY_WEIGHTS, WEIGHTS, scales, values
from clusterd.placement.usage import MEMORY_F, Item, Usage

ON_OFFLINE_NODES = WEIGHTS["offline_all_cnt"] + WEIGHTS["offline_pri_cnt"]
"""Added to the score by an instance on an offline node: a place in htools' eyes, the last."""


class Lodger(NamedTuple):
    """An instance without a mirror."""

    item: Item
    node: int
    shared: bool

    @property
    def memory(self) -> float:
        """Whether it is in use or not."""
        return -float(self.item.primary[MEMORY_F])


class Emptying:
    """Of one cluster; what depends on its instances alone is looked up once."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        one = cluster.instances
        self.rows = np.flatnonzero((one.secondary == NOWHERE) & ~one.forthcoming).tolist()
        self.stuck = {
            int(one.primary[row])
            for row in self.rows
            if not one.shared[row] and not self._allowed(cluster.facts.instances[row], row)
        }
        """Nodes with an instance that the policy would not let be made anew."""
        self.last = NOWHERE
        """The node that could not be emptied when this was asked last."""
        self.scale = scales(cluster)
        self.offline: Numbers = np.where(cluster.nodes.usable, 0.0, ON_OFFLINE_NODES)

    def _allowed(self, fact: InstanceFacts, row: int) -> bool:
        node = int(self.cluster.instances.primary[row])
        request = Request(
            name=fact.name,
            memory_mib=fact.memory_mib,
            vcpus=fact.vcpus,
            disk_sizes_mib=fact.disk_sizes_mib or (fact.disk_mib,),
            template=fact.template,
            spindle_use=fact.spindle_use,
            spindles=fact.spindles,
        )
        exclusive = bool(self.cluster.nodes.exclusive[node])
        policy = self.cluster.policy(int(self.cluster.nodes.group[node]))
        return policy_cause(policy, request, exclusive=exclusive) in (None, "template")

    def possible(self, usage: Usage, added: Sequence[Lodger], counts: Flags) -> bool:
        """Whether each node that ``counts`` could be emptied; ``added`` are in the state beside the
        instances of the cluster, oldest first."""
        lodgers = [*reversed(added)]
        lodgers += [
            Lodger(
                usage.item(row), int(usage.primary[row]), bool(self.cluster.instances.shared[row])
            )
            for row in reversed(self.rows)
        ]
        homes: dict[int, list[Lodger]] = {}
        for one in lodgers:
            homes.setdefault(one.node, []).append(one)
        if any(counts[home] for home in self.stuck):
            return False
        # what failed last first, then the fullest: they are the likeliest to fail
        order = sorted(
            homes, key=lambda home: (home != self.last, -sum(one.memory for one in homes[home]))
        )
        for home in order:
            if counts[home] and not self._empty(usage, home, homes[home]):
                self.last = home
                return False
        return True

    def _empty(self, usage: Usage, home: int, lodgers: list[Lodger]) -> bool:
        state, nodes = usage.copy(), self.cluster.nodes
        for row in np.flatnonzero((usage.primary == home) & (usage.secondary != NOWHERE)).tolist():
            state.move(row, int(usage.secondary[row]), home)
        escape = nodes.group == nodes.group[home]
        escape[home] = False
        local = sorted((one for one in lodgers if not one.shared), key=lambda one: -one.memory)
        return all(
            self._leave(state, one, escape) for one in (*(o for o in lodgers if o.shared), *local)
        )

    def _leave(self, state: Usage, one: Lodger, escape: Flags) -> bool:
        if one.shared:
            state.put(one.item, one.node, NOWHERE, -1)
        fits = suit.allowed(suit.as_primary(state, one.item, False), len(escape)) & escape
        if not fits.any():
            return False
        scores = np.where(fits, self._scores(state, one.item), np.inf)
        # of equals the last where it is made anew, the first where it moves, as in htools
        last = len(scores) - 1 - int(scores[::-1].argmin())
        state.put(one.item, int(scores.argmin()) if one.shared else last, NOWHERE, 1)
        return True

    def _scores(self, state: Usage, item: Item) -> Numbers:
        """With the item on each node, but for what is the same on all."""
        usable = self.cluster.nodes.usable
        online = max(int(usable.sum()), 1)
        value = values(state, self.scale)
        value -= value[:, usable].sum(axis=1, keepdims=True) / online
        value[:, ~usable] = 0.0
        added = added_by(state, item, self.scale)
        total = value.sum(axis=1, keepdims=True) + added
        squares = np.einsum("mn,mn->m", value, value)[:, None] + added * (2 * value + added)
        spread = np.sqrt(np.maximum(squares / online - (total / online) ** 2, 0.0))
        found: Numbers = QUANTITY_WEIGHTS @ spread
        count = state.primaries + state.secondaries
        return found + on_primary(state, item, count) + self.offline
