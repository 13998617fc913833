"""The score of a new instance on every node, or every pair of nodes, at once.

As in ``survey``, by sums; the variance of a pair is one term of the primary, one of the secondary
and the product of both, so it is three operations on a (primaries x secondaries) matrix a metric
that both change.
"""

from __future__ import annotations

import numpy as np

from clusterd.placement.ledger import Ledger
from clusterd.placement.model import Numbers, Rows
from clusterd.placement.score import WEIGHTS
from clusterd.placement.usage import DISK, DISK_F, MEMORY, Item, Usage


class Scores:
    """Of one item in one state."""

    def __init__(self, usage: Usage, item: Item) -> None:
        self.usage, self.item = usage, item
        self.ledger = Ledger(usage, (item.primary[None, :], item.secondary[None, :]))
        self.factor = self.ledger.weights**2 / self.ledger.online

        self.again()

    def again(self) -> None:
        """After items of the same sizes came or went."""
        self.ledger.refresh()
        self.arrives = self._change(self.item.primary)
        self.mirrors = self._change(self.item.secondary)
        self.last_kept: Numbers | None = None

    def _change(self, what: Numbers) -> Numbers:
        """Added to each metric's value of each node; metrics x nodes."""
        nodes = self.usage.cluster.nodes
        added: Numbers = what[self.ledger.rows][:, None] * self.ledger.scale
        exclusive = nodes.exclusive & nodes.usable
        if exclusive.any() and what[DISK]:
            for place, row in enumerate(self.ledger.rows):
                if row in (DISK, DISK_F):
                    total = np.maximum(nodes.spindles[exclusive], 1)
                    added[place, exclusive] = -max(self.item.spindles, 0.0) / total
        return added

    def singles(self) -> Numbers:
        """On each node alone."""
        ledger, n = self.ledger, self.ledger.online
        total = ledger.total[:, None] + self.arrives
        squares = ledger.squares[:, None] + self.arrives * (2 * ledger.value + self.arrives)
        spread = np.sqrt(np.maximum((squares - total**2 / n) * self.factor[:, None], 0.0))
        mean = ledger.reserved_total / n
        reserved = np.sqrt(max(ledger.reserved_squares / n - mean * mean, 0.0))
        found: Numbers = spread.sum(axis=0) + reserved + ledger.linear + self._primary()
        return found

    def pairs(self, primaries: Rows, secondaries: Rows) -> Numbers:
        """On each pair; primaries x secondaries."""
        ledger, n = self.ledger, self.ledger.online
        d, e = self.arrives[:, primaries], self.mirrors[:, secondaries]
        value_p, value_s = ledger.value[:, primaries], ledger.value[:, secondaries]
        total, squares = ledger.total[:, None], ledger.squares[:, None]
        of_p = squares + d * (2 * value_p + d) - (total + d) ** 2 / n
        of_s = e * (2 * value_s + e) - (2 * total * e + e * e) / n
        of_p, of_s = of_p * self.factor[:, None], of_s * self.factor[:, None]
        alone = np.sqrt(np.maximum(of_p[ledger.alone], 0.0)).sum(axis=0)
        found: Numbers = np.repeat(
            (alone + self._primary()[primaries] + ledger.linear)[:, None], len(secondaries), axis=1
        )
        cross = -2.0 / n * self.factor
        for row in ledger.both:
            one = np.multiply.outer(d[row] * cross[row], e[row])
            one += of_p[row][:, None]
            one += of_s[row]
            np.maximum(one, 0.0, out=one)
            found += np.sqrt(one, out=one)
        found += self._kept(primaries, secondaries)
        if self.usage.cluster.nodes.locations.shape[1]:
            shared = self.usage.shared_places[primaries][:, secondaries]
            found += WEIGHTS["location_score"] * shared
        return found

    def kept(self, primaries: Rows, secondaries: Rows) -> Numbers:
        """What secondaries would keep in reserve; primaries x secondaries. (``last_kept`` has it
        after ``pairs``.)"""
        usage = self.usage
        kept = usage.peer[secondaries][:, primaries].T + self.item.reserve
        found: Numbers = np.maximum(kept, usage.reserved[secondaries])
        return found

    def _kept(self, primaries: Rows, secondaries: Rows) -> Numbers:
        """The metrics of reserved memory and of N+1 on secondaries."""
        usage, ledger, n = self.usage, self.ledger, self.ledger.online
        kept = self.last_kept = self.kept(primaries, secondaries)
        scale, old = ledger.reserved_scale[secondaries], ledger.reserved[secondaries]
        new = kept * scale
        new -= ledger.reserved_centre * (scale > 0)
        total = new - old
        total += ledger.reserved_total
        new *= new
        new += ledger.reserved_squares - old * old
        new /= n
        new -= (total / n) ** 2
        found: Numbers = np.sqrt(np.maximum(new, 0.0, out=new), out=new)
        total -= ledger.reserved_total
        total *= WEIGHTS["reserved_mem_rtotal"]
        found += total
        count, free = ledger.count[secondaries], usage.amounts[MEMORY, secondaries]
        found += (free <= kept) * (count + 1) - usage.failing[secondaries] * count
        return found

    def _primary(self) -> Numbers:
        return on_primary(self.usage, self.item, self.ledger.count)


def on_primary(usage: Usage, item: Item, count: Numbers) -> Numbers:
    """What counts on the primary alone: N+1, exclusion tags, wishes. ``count``: instances by
    node."""
    nodes = usage.cluster.nodes
    fails = usage.amounts[MEMORY] + item.primary[MEMORY] <= usage.reserved
    found: Numbers = (fails * (count + 1) - usage.failing * count) * nodes.usable
    if item.exclusion:
        tags = list(item.exclusion)
        found = found + WEIGHTS["pri_tags_score"] * (usage.tags[tags] > 0).sum(axis=0)
        spread = (usage.spread[tags] > 0).sum(axis=0)
        found += WEIGHTS["location_exclusion_score"] * (nodes.locations @ spread)
    if item.desired:
        unmet = [usage.unmet_wishes(item, node) for node in range(len(nodes.names))]
        found = found + np.array(unmet, dtype=np.float64)
    return found


def added_by(usage: Usage, item: Item, scale: Numbers) -> Numbers:
    """What an item as primary adds to each metric's value of each node; quantities x nodes."""
    nodes = usage.cluster.nodes
    added: Numbers = item.primary[:, None] * scale
    exclusive = nodes.exclusive & nodes.usable
    if exclusive.any() and item.primary[DISK]:
        share = -max(item.spindles, 0.0) / np.maximum(nodes.spindles[exclusive], 1)
        added[DISK, exclusive] = added[DISK_F, exclusive] = share
    return added
