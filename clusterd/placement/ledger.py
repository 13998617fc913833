"""The score as running sums, so that what a move makes of it is told from the nodes it touches.

A metric that is a standard deviation is kept as the nodes' values around a fixed centre, with
their sum and the sum of their squares. The centre (the mean at the beginning) keeps the squares
small, so nothing cancels; the sums are taken anew over the nodes after each move, so no error
grows from move to move. Metrics that can never differ (their values and what every instance adds
to them are equal) are one row.
"""

from __future__ import annotations

import numpy as np

from clusterd.placement.model import Numbers
from clusterd.placement.score import (
    QUANTITY_WEIGHTS,
    WEIGHTS,
    components_of,
    reserved_values,
    scales,
    values,
    weighed,
)
from clusterd.placement.usage import DISK, DISK_F, QUANTITIES, Usage

LINEAR = {
    name: WEIGHTS[name]
    for name in (
        "n1_cnt",
        "offline_all_cnt",
        "offline_pri_cnt",
        "pri_tags_score",
        "location_score",
        "location_exclusion_score",
        "reserved_mem_rtotal",
    )
}


class Ledger:
    """See the module. ``rows`` are the quantities that stand for all; ``weights`` theirs
    together."""

    def __init__(self, usage: Usage, movers: tuple[Numbers, Numbers] | None = None) -> None:
        """``movers``: what may come and go (as primary, as secondary: movers x quantities); None:
        the movable instances of the cluster."""
        self.usage = usage
        nodes = usage.cluster.nodes
        self.online: int = max(int(nodes.usable.sum()), 1)
        scale, value = scales(usage.cluster), values(usage)
        if movers is None:
            movable = usage.cluster.instances.movable
            movers = usage.items.primary[movable], usage.items.secondary[movable]
        self.rows, self.weights = _distinct(usage, (scale, value), movers)
        self.scale: Numbers = np.ascontiguousarray(scale[self.rows])
        self.fixed: Numbers = (value - usage.amounts * scale)[self.rows]
        """What the scale leaves out: nodes without disks, exclusive storage."""
        self.spindled = bool((nodes.exclusive & nodes.usable).any())
        """What it leaves out changes with every instance."""
        self.primary: Numbers = np.ascontiguousarray(usage.items.primary[:, self.rows].T)
        self.secondary: Numbers = np.ascontiguousarray(usage.items.secondary[:, self.rows].T)
        mirrored = movers[1][:, self.rows].any(axis=0)
        self.both: list[int] = np.flatnonzero(mirrored).tolist()
        """Rows that a secondary changes, too."""
        self.alone: list[int] = np.flatnonzero(~mirrored).tolist()
        self.reserved_scale: Numbers = np.divide(
            1.0, nodes.memory_total, out=np.zeros(len(nodes.names)), where=nodes.usable
        )
        self.centre: Numbers = (
            value[self.rows][:, nodes.usable].sum(axis=1, keepdims=True) / self.online
        )
        self.reserved_centre = float(reserved_values(usage).sum() / self.online)
        self.value: Numbers
        self.total: Numbers
        self.squares: Numbers
        self.refresh()

    def refresh(self) -> None:
        """Take everything anew from the usage. O(nodes)."""
        usage, usable = self.usage, self.usage.cluster.nodes.usable
        if self.spindled:
            self.fixed = values(usage)[self.rows] - usage.amounts[self.rows] * self.scale
        self.value = usage.amounts[self.rows] * self.scale + self.fixed - self.centre
        self.value[:, ~usable] = 0.0
        self.total = self.value.sum(axis=1)
        self.squares = np.einsum("mn,mn->m", self.value, self.value)
        self.reserved = np.where(
            usable, usage.reserved * self.reserved_scale - self.reserved_centre, 0.0
        )
        self.reserved_total = float(self.reserved.sum())
        self.reserved_squares = float(self.reserved @ self.reserved)
        self.count: Numbers = usage.primaries + usage.secondaries
        self.linear = self._linear()

    def _linear(self) -> float:
        usage, usable = self.usage, self.usage.cluster.nodes.usable
        found = WEIGHTS["n1_cnt"] * float(self.count[usage.failing].sum())
        if not usable.all():
            found += WEIGHTS["offline_all_cnt"] * float(self.count[~usable].sum())
            found += WEIGHTS["offline_pri_cnt"] * float(usage.primaries[~usable].sum())
        if len(usage.tags):
            conflicts = np.maximum(usage.tags[:, usable] - 1, 0).sum()
            found += WEIGHTS["pri_tags_score"] * float(conflicts)
            found += WEIGHTS["location_exclusion_score"] * float(
                np.maximum(usage.spread - 1, 0).sum()
            )
        found += WEIGHTS["location_score"] * float(usage.unmet[usable].sum())
        level = self.reserved_total + self.online * self.reserved_centre
        return found + WEIGHTS["reserved_mem_rtotal"] * level

    def score(self) -> float:
        """Of the usage as it is, from the sums."""
        spread = np.sqrt(np.maximum(self._variance(self.total, self.squares), 0.0))
        reserved = self._variance(self.reserved_total, self.reserved_squares)
        return self.linear + float(self.weights @ spread) + float(np.sqrt(max(reserved, 0.0)))

    def _variance(self, total: Numbers | float, squares: Numbers | float) -> Numbers | float:
        return squares / self.online - (total / self.online) ** 2

    def full_score(self) -> float:
        """The same, from nothing."""
        return weighed(components_of(self.usage))


def _distinct(
    usage: Usage, state: tuple[Numbers, Numbers], movers: tuple[Numbers, Numbers]
) -> tuple[list[int], Numbers]:
    rows: list[int] = []
    weights: list[float] = []
    exclusive = bool(usage.cluster.nodes.exclusive.any())
    for row in range(QUANTITIES):
        same = [
            place
            for place, known in enumerate(rows)
            if not (exclusive and {row, known} <= {DISK, DISK_F})
            and all(np.array_equal(one[row], one[known]) for one in state)
            and all(np.array_equal(one[:, row], one[:, known]) for one in movers)
        ]
        if same:
            weights[same[0]] += float(QUANTITY_WEIGHTS[row])
        else:
            rows.append(row)
            weights.append(float(QUANTITY_WEIGHTS[row]))
    return rows, np.array(weights)
