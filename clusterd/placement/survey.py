"""All moves of a block of instances to a block of nodes, judged at once.

Five kinds for mirrored instances (p primary, s secondary, t another node; new pair in brackets):
failover [s,p], replace secondary [p,t], replace primary [t,s], replace and failover [t,p],
failover and replace [s,t]; one for shared storage: start elsewhere [t]. Which limit binds in
which step of a move is htools' ``applyMoveEx``: every step must be possible, not only the end.

The score of a move follows from sums (see ``ledger``). With y what the instance adds to the
target's row of a metric, K the row's scale and v its value there, n times the variance afterwards
is ``const + y*(2vK) + y*y*KK(1-1/n) - 2y*S/n*K``: a product of a (block x 4) and a (4 x nodes)
matrix, for every metric in one call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clusterd.placement import words
from clusterd.placement.ledger import Ledger
from clusterd.placement.limits import Limits, limits_of
from clusterd.placement.model import NOWHERE, Flags, Numbers, Rows
from clusterd.placement.score import WEIGHTS
from clusterd.placement.usage import CPU, DISK, MEMORY, MEMORY_F, SPINDLES, Usage

FAILOVER, REPLACE_SECONDARY, REPLACE_PRIMARY, REPLACE_AND_FAILOVER, FAILOVER_AND_REPLACE, ANY = (
    range(6)
)
RESERVED_TOTAL = WEIGHTS["reserved_mem_rtotal"]
OFFLINE, OFFLINE_PRIMARY = WEIGHTS["offline_all_cnt"], WEIGHTS["offline_pri_cnt"]


class Survey:
    """What can be told about moves in the present state; ``refresh`` after each move."""

    def __init__(self, usage: Usage, force: bool = False) -> None:
        self.usage = usage
        self.force = force
        self.ledger = Ledger(usage)
        cluster = usage.cluster
        self.classes = cluster.nodes.migration_class
        self.one_class = bool(cluster.migration_allowed.all())
        self.places = bool(cluster.location_labels) or any(cluster.instances.desired)
        worded = np.zeros(len(cluster.instances.names), dtype=np.bool_)
        worded[cluster.instances.worded] = True
        self.worded: Flags = worded
        self.keeps: Numbers = np.zeros(len(worded))
        """What the secondary of each instance would keep without it."""
        mirrored = np.flatnonzero(usage.secondary != NOWHERE)
        for start in range(0, len(mirrored), 1024):
            self._keep(mirrored[start : start + 1024])
        self.refresh()

    def refresh(self, touched: Rows | None = None) -> None:
        """After moves between the ``touched`` nodes."""
        self.ledger.refresh()
        self.strict: Limits = limits_of(self.usage, False)
        self.forced: Limits = limits_of(self.usage, True)
        self.heard: Numbers = np.ascontiguousarray(self.usage.peer.T)
        """Memory by (primary, secondary)."""
        if touched is not None:
            self._keep(np.flatnonzero(np.isin(self.usage.secondary, touched)))

    def _keep(self, rows: Rows) -> None:
        usage = self.usage
        kept = usage.peer[usage.secondary[rows]]
        kept[np.arange(len(rows)), usage.primary[rows]] -= usage.items.reserve[rows]
        self.keeps[rows] = kept.max(axis=1, initial=0.0)

    def allowed(self, source: Rows, target: Rows) -> Flags:
        """Whether migration tags let an instance move between the nodes; shapes broadcast."""
        found: Flags = self.usage.cluster.migration_allowed[
            self.classes[source], self.classes[target]
        ]
        return found


class Block:
    """The moves of ``rows`` (instances of one kind of storage) to ``cols`` (nodes).

    ``leaving``: their primaries are offline; ``orphaned``: their secondaries are. Both bind the
    whole block: callers group instances by them (few are anything but False, False).
    """

    def __init__(
        self, survey: Survey, rows: Rows, cols: Rows, leaving: bool = False, orphaned: bool = False
    ) -> None:
        self.survey, self.rows, self.cols = survey, rows, cols
        usage, ledger = survey.usage, survey.ledger
        self.usage, self.ledger = usage, ledger
        self.p, self.s = usage.primary[rows], usage.secondary[rows]
        self.force_p, self.force_s = leaving or survey.force, orphaned or survey.force
        self.leaving = leaving
        items = usage.items
        self.memory = items.takeover[rows]
        self.memory_all = -items.primary[rows, MEMORY_F]
        local = items.primary[rows, DISK] < 0
        self.disk = np.where(local, -items.primary[rows, DISK], -np.inf)
        self.spindles = np.where(local, items.primary[rows, SPINDLES], -np.inf)
        self.vcpus = items.primary[rows, CPU]
        self.reserve = items.reserve[rows]
        self.as_primary = ledger.primary[:, rows]
        self.as_secondary = ledger.secondary[:, rows]
        self.free = usage.amounts[MEMORY]
        self.keep_s = survey.keeps[rows]
        self.far: Flags = (cols != self.p[:, None]) & (cols != self.s[:, None])
        self.tell = words.Words(survey, rows, cols) if self._has_words() else None

    def _has_words(self) -> bool:
        return self.survey.places or bool(self.survey.worded[self.rows].any())

    # -- sums -------------------------------------------------------------------------------

    def change(self, nodes: Rows, what: Numbers) -> tuple[Numbers, Numbers]:
        """How sum and squares change when ``what`` (metrics x block) is added on ``nodes``."""
        added = what * self.ledger.scale[:, nodes]
        return added, added * (2.0 * self.ledger.value[:, nodes] + added)

    def base(self, *changes: tuple[Rows, Numbers]) -> tuple[Numbers, Numbers]:
        """Sums and squares after changes on nodes that are not the target; metrics x block."""
        total = np.repeat(self.ledger.total[:, None], len(self.rows), axis=1)
        squares = np.repeat(self.ledger.squares[:, None], len(self.rows), axis=1)
        for nodes, what in changes:
            more, more_squares = self.change(nodes, what)
            total += more
            squares += more_squares
        return total, squares

    def spread(self, base: tuple[Numbers, Numbers], added: Numbers | None = None) -> Numbers:
        """The weighted standard deviations together; block x nodes, or block x 1 when nothing is
        ``added`` (metrics x block) on the target."""
        ledger, count = self.ledger, self.ledger.online
        total, squares = base
        factor = (ledger.weights**2 / count)[:, None]
        fixed = (squares - total * total / count) * factor
        if added is None:
            alone: Numbers = np.sqrt(np.maximum(fixed, 0.0)).sum(axis=0)[:, None]
            return alone
        some = ledger.both if added is self.as_secondary else list(range(len(ledger.rows)))
        left = np.empty((len(some), len(self.rows), 4))
        y = added[some] * factor[some]
        left[:, :, 0], left[:, :, 1] = fixed[some], y
        left[:, :, 2], left[:, :, 3] = y * added[some], y * total[some] * (-2.0 / count)
        scale, value = ledger.scale[some][:, self.cols], ledger.value[some][:, self.cols]
        right = np.stack(
            (np.ones_like(scale), 2.0 * value * scale, scale**2 * (1 - 1 / count), scale), axis=1
        )
        found = left @ right
        np.maximum(found, 0.0, out=found)
        np.sqrt(found, out=found)
        result: Numbers = found.sum(axis=0)
        if len(some) < len(ledger.rows):
            rest = fixed[ledger.alone]
            result += np.sqrt(np.maximum(rest, 0.0)).sum(axis=0)[:, None]
        return result

    def reserved(self, *changes: tuple[Rows, Numbers]) -> Numbers:
        """The metrics of reserved memory when nodes keep other amounts: each (nodes, amounts),
        where the shapes broadcast to block x nodes."""
        ledger, count = self.ledger, self.ledger.online
        total: Numbers | float = ledger.reserved_total
        squares: Numbers | float = ledger.reserved_squares
        for nodes, kept in changes:
            old = ledger.reserved[nodes]
            new = kept * ledger.reserved_scale[nodes]
            new -= ledger.reserved_centre * (ledger.reserved_scale[nodes] > 0)
            added = new - old
            new *= new
            new -= old * old
            total, squares = total + added, squares + new
        spread = np.asarray(total * total)
        spread *= -1.0 / count**2
        spread += squares * (1.0 / count)
        np.sqrt(np.maximum(spread, 0.0, out=spread), out=spread)
        spread += RESERVED_TOTAL * (total - ledger.reserved_total)
        return spread

    def failing(self, nodes: Rows, free: Numbers, kept: Numbers, more: int) -> Numbers:
        """How the count of instances on N+1-failing nodes changes; shapes broadcast."""
        usable, count = self.usage.cluster.nodes.usable[nodes], self.ledger.count[nodes]
        before = self.usage.failing[nodes] * count
        return np.asarray(((free <= kept) & usable) * (count + more) - before)

    # -- the two roles -----------------------------------------------------------------------

    def primary_fits(self, force: bool, source: Rows | None = None) -> Flags:
        """Which targets could run it; block x nodes. ``source``: from where it migrates."""
        limits, cols = self.limits(force), self.cols
        found: Flags = self.memory[:, None] < limits.memory_below[cols]
        found &= self.disk[:, None] < limits.disk_below[cols]
        if not force:
            found &= self.memory_all[:, None] < limits.memory_all_below[cols]
            found &= self.spindles[:, None] <= limits.spindles_most[cols]
            found &= self.vcpus[:, None] <= limits.vcpus_most[cols]
            if self.tell is not None:
                found &= ~self.tell.taken_on_targets()
        if source is not None and not self.survey.one_class:
            found &= self.survey.allowed(source[:, None], cols)
        return found & self.far

    def secondary_fits(self, force: bool, kept: Numbers) -> Flags:
        """Which targets could mirror it if they then keep ``kept``; block x nodes."""
        limits, cols = self.limits(force), self.cols
        found: Flags = self.disk[:, None] < limits.disk_below[cols]
        if not force:
            found &= self.spindles[:, None] <= limits.spindles_most[cols]
            found &= self.reserve[:, None] < limits.reserve_below[cols]
            found &= kept < limits.reserved_below[cols]
        return found & self.far

    def limits(self, force: bool) -> Limits:
        """The bounds that bind."""
        return self.survey.forced if force else self.survey.strict

    def secondary_takes_over(self) -> Flags:
        """Whether the present secondary could run it, as in every failover; block."""
        usage, nodes, s = self.usage, self.usage.cluster.nodes, self.s
        free = self.free[s]
        found: Flags = (self.memory < free) & (usage.amounts[DISK, s] > 0)
        found &= nodes.usable[s]
        if not self.survey.one_class:
            found &= self.survey.allowed(self.p, s)
        if self.force_p:
            return found
        found &= (free <= self.keep_s) | (free - self.memory > self.keep_s)
        found &= self.memory_all < usage.amounts[MEMORY_F, s]
        found &= usage.amounts[DISK, s] >= nodes.disk_low[s]
        found &= self.survey.strict.spindles_most[s] >= 0
        found &= self.vcpus <= self.survey.strict.vcpus_most[s]
        if self.tell is not None:
            found &= ~self.tell.taken_on_secondary()
        return found

    def stays_mirror(self, node: Rows, memory: Memory) -> Flags:
        """Whether a node that holds its disks already may be its secondary; shapes broadcast."""
        usage = self.usage
        found: Flags = usage.amounts[DISK, node] > 0
        if memory.force:
            return found
        reserve = self.reserve if node.ndim == 1 else self.reserve[:, None]
        found = found & ((memory.free <= memory.kept_before) | (memory.free > memory.kept))
        found &= (reserve < memory.free) & (reserve < memory.free_all)
        found &= usage.amounts[DISK, node] >= usage.cluster.nodes.disk_low[node]
        found &= self.survey.strict.spindles_most[node] >= 0
        return found


class Memory(NamedTuple):
    """Of a node that is to be secondary; shapes broadcast."""

    free: Numbers
    free_all: Numbers
    """With the memory of instances that are down."""
    kept_before: Numbers
    kept: Numbers
    force: bool
