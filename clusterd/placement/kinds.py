"""The kinds of moves: what each makes of the score, and where it is impossible (infinite).

``judge`` takes the best kind and target of each instance. Names as in ``survey``: p and s are the
present primary and secondary, t the target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from clusterd.placement.model import NOWHERE, Flags, Numbers, Rows
from clusterd.placement.survey import (
    ANY,
    FAILOVER,
    FAILOVER_AND_REPLACE,
    OFFLINE,
    OFFLINE_PRIMARY,
    REPLACE_AND_FAILOVER,
    REPLACE_PRIMARY,
    REPLACE_SECONDARY,
    Block,
    Memory,
    Survey,
)
from clusterd.placement.usage import MEMORY_F

CELLS = 1 << 16
"""Instances times nodes that are judged at once: as much as stays in the processor's cache."""


WITHOUT_COPY = (FAILOVER, ANY)


class Allowed(NamedTuple):
    """Which kinds may be used."""

    disk_moves: bool = True
    instance_moves: bool = True
    restricted_migration: bool = False
    cost_per_mib: float = 0.0
    """Score that a move costs for each MiB that it copies."""


EVERYTHING = Allowed()


class Best(NamedTuple):
    """Of each instance of a block: score after its best move with the move's cost (infinite:
    there is none), kind, target."""

    score: Numbers
    kind: Rows
    target: Rows


def failover(block: Block) -> Numbers:
    """New pair: s, p."""
    usage, p, s = block.usage, block.p, block.s
    free_p = block.free[p] + block.memory
    kept = np.maximum(usage.reserved[p], usage.peer[p, s] + block.reserve)
    fits = block.secondary_takes_over()
    if not block.leaving:
        free_all = usage.amounts[MEMORY_F, p] + block.memory_all
        memory = Memory(free_p, free_all, usage.reserved[p], kept, block.force_p)
        fits &= block.stays_mirror(p, memory)
    swap = block.as_secondary - block.as_primary
    found = block.spread(block.base((p, swap), (s, -swap)))[:, 0]
    found += block.reserved((p, kept), (s, block.keep_s))
    found += block.failing(p, free_p, kept, 0)
    found += block.failing(s, block.free[s] - block.memory, block.keep_s, 0)
    found += block.ledger.linear - OFFLINE_PRIMARY * block.leaving
    if block.tell is not None:
        found += block.tell.on_secondary(p)[:, 0]
    return np.where(fits, found, np.inf)[:, None]


def replace_secondary(block: Block) -> Numbers:
    """New pair: p, t."""
    usage, s, cols = block.usage, block.s[:, None], block.cols
    kept = block.survey.heard[block.p[:, None], cols] + block.reserve[:, None]
    np.maximum(kept, usage.reserved[cols], out=kept)
    keep_s = block.keep_s[:, None]
    found = block.spread(block.base((block.s, -block.as_secondary)), block.as_secondary)
    found += block.reserved((s, keep_s), (cols, kept))
    found += block.failing(cols, block.free[cols], kept, 1)
    found += block.failing(s, block.free[s], keep_s, -1)
    p = block.p[:, None]
    found += block.failing(p, block.free[p], usage.reserved[p], 0)
    found += block.ledger.linear - OFFLINE * _offline(block, block.s)
    if block.tell is not None:
        found += block.tell.on_primary()
    fits = block.secondary_fits(block.force_s, kept)
    return _where(fits & (not block.leaving), found)


def replace_primary(block: Block) -> Numbers:
    """New pair: t, s."""
    usage, p, s, cols = block.usage, block.p[:, None], block.s[:, None], block.cols
    keep_s = block.keep_s[:, None]
    kept = usage.peer[s, cols] + block.reserve[:, None]
    np.maximum(kept, keep_s, out=kept)
    memory = Memory(block.free[s], usage.amounts[MEMORY_F, s], keep_s, kept, block.force_p)
    fits = block.primary_fits(block.force_p, source=block.s)
    fits &= block.secondary_takes_over()[:, None] & block.stays_mirror(s, memory)
    found = block.spread(block.base((block.p, -block.as_primary)), block.as_primary)
    found += block.reserved((s, kept))
    found += _leaves(block, p)
    found += _arrives(block)
    found += block.failing(s, block.free[s], kept, 0)
    found += block.ledger.linear - (OFFLINE + OFFLINE_PRIMARY) * block.leaving
    if block.tell is not None:
        found += block.tell.on_targets(block.s)
    return _where(fits, found)


def replace_and_failover(block: Block) -> Numbers:
    """New pair: t, p."""
    usage, p, s, cols = block.usage, block.p[:, None], block.s[:, None], block.cols
    kept = usage.peer[p, cols] + block.reserve[:, None]
    np.maximum(kept, usage.reserved[p], out=kept)
    free_p = block.free[p] + block.memory[:, None]
    free_all = usage.amounts[MEMORY_F, p] + block.memory_all[:, None]
    memory = Memory(free_p, free_all, usage.reserved[p], kept, block.force_s)
    fits = block.primary_fits(block.survey.force, source=block.p)
    fits &= block.stays_mirror(p, memory) & (not block.leaving)
    swap = block.as_secondary - block.as_primary
    base = block.base((block.p, swap), (block.s, -block.as_secondary))
    keep_s = block.keep_s[:, None]
    found = block.spread(base, block.as_primary)
    found += block.reserved((p, kept), (s, keep_s))
    found += block.failing(p, free_p, kept, 0)
    found += block.failing(s, block.free[s], keep_s, -1)
    found += _arrives(block)
    found += block.ledger.linear - OFFLINE_PRIMARY * block.leaving
    found -= OFFLINE * _offline(block, block.s)
    if block.tell is not None:
        found += block.tell.on_targets(block.p)
    return _where(fits, found)


def failover_and_replace(block: Block) -> Numbers:
    """New pair: s, t."""
    usage, p, s, cols = block.usage, block.p[:, None], block.s[:, None], block.cols
    kept = block.survey.heard[s, cols] + block.reserve[:, None]
    np.maximum(kept, usage.reserved[cols], out=kept)
    fits = block.secondary_fits(block.force_p, kept) & block.secondary_takes_over()[:, None]
    swap = block.as_primary - block.as_secondary
    base = block.base((block.p, -block.as_primary), (block.s, swap))
    keep_s = block.keep_s[:, None]
    found = block.spread(base, block.as_secondary)
    found += block.reserved((s, keep_s), (cols, kept))
    found += _leaves(block, p)
    found += block.failing(s, block.free[s] - block.memory[:, None], keep_s, 0)
    found += block.failing(cols, block.free[cols], kept, 1)
    found += block.ledger.linear - (OFFLINE + OFFLINE_PRIMARY) * block.leaving
    if block.tell is not None:
        found += block.tell.on_secondary(None)
    return _where(fits, found)


def start_elsewhere(block: Block) -> Numbers:
    """Shared storage: new node t."""
    fits = block.primary_fits(block.force_p, source=block.p)
    found = block.spread(block.base((block.p, -block.as_primary)), block.as_primary)
    found += block.reserved()
    found += _leaves(block, block.p[:, None])
    found += _arrives(block)
    found += block.ledger.linear - (OFFLINE + OFFLINE_PRIMARY) * block.leaving
    if block.tell is not None:
        found += block.tell.on_targets(None)
    return _where(fits, found)


def _leaves(block: Block, p: Rows) -> Numbers:
    """N+1 of a primary that the instance leaves altogether; block x 1."""
    free = block.free[p] + block.memory[:, None]
    return block.failing(p, free, block.usage.reserved[p], -1)


def _arrives(block: Block) -> Numbers:
    """N+1 of the target that becomes primary."""
    cols = block.cols
    free = block.free[cols] - block.memory[:, None]
    return block.failing(cols, free, block.usage.reserved[cols], 1)


def _offline(block: Block, nodes: Rows) -> Numbers:
    """1 where a node is unusable; block x 1."""
    return (~block.usage.cluster.nodes.usable[nodes]).astype(np.float64)[:, None]


def _where(fits: Flags, found: Numbers) -> Numbers:
    return np.where(fits, found, np.inf)


Kind = Callable[[Block], Numbers]
KINDS: dict[int, Kind] = {
    FAILOVER: failover,
    REPLACE_SECONDARY: replace_secondary,
    REPLACE_PRIMARY: replace_primary,
    REPLACE_AND_FAILOVER: replace_and_failover,
    FAILOVER_AND_REPLACE: failover_and_replace,
    ANY: start_elsewhere,
}


def kinds_for(leaving: bool, orphaned: bool, allowed: Allowed) -> list[int]:
    """The kinds for a mirrored instance whose primary, secondary are offline. An offline primary
    has nothing to copy from: the secondary must take over first."""
    failovers = allowed.instance_moves and not orphaned
    found = [FAILOVER] if failovers else []
    if not allowed.disk_moves:
        return found
    if not leaving:
        found.append(REPLACE_SECONDARY)
    if not allowed.instance_moves or (allowed.restricted_migration and not leaving):
        return found
    if not leaving:
        found.append(REPLACE_AND_FAILOVER)
    if failovers:
        found.append(FAILOVER_AND_REPLACE)
        if not allowed.restricted_migration:
            found.append(REPLACE_PRIMARY)
    return found


def judge(survey: Survey, rows: Rows, cols: Rows, allowed: Allowed = EVERYTHING) -> Best:
    """The best move of each of ``rows`` to one of ``cols`` (usable nodes)."""
    best = Best(
        np.full(len(rows), np.inf),
        np.full(len(rows), NOWHERE),
        np.full(len(rows), NOWHERE),
    )
    usage = survey.usage
    usable = usage.cluster.nodes.usable
    p, s = usage.primary[rows], usage.secondary[rows]
    orphans = (s != NOWHERE) & ~usable[s]
    sort = (s == NOWHERE) * 4 + (~usable[p]) * 2 + orphans
    step = max(CELLS // max(len(cols), 1), 8)
    for number in np.unique(sort).tolist():
        chosen = np.flatnonzero(sort == number)
        leaving, orphaned = bool(number & 2), bool(number & 1)
        if number & 4:
            kinds = [ANY] if allowed.instance_moves else []
        else:
            kinds = kinds_for(leaving, orphaned, allowed)
        if not kinds or not len(cols):
            continue
        for start in range(0, len(chosen), step):
            part = chosen[start : start + step]
            block = Block(survey, rows[part], cols, leaving, orphaned)
            for kind in kinds:
                found = KINDS[kind](block)
                if allowed.cost_per_mib and kind not in WITHOUT_COPY:
                    disk = usage.cluster.instances.disk[rows[part]]
                    found += allowed.cost_per_mib * disk[:, None]
                _better(best, part, found, (kind, cols))
    return best


def _better(best: Best, part: Rows, found: Numbers, what: tuple[int, Rows]) -> None:
    """Note where a kind beats those before it."""
    kind, cols = what
    place = found.argmin(axis=1)
    score = found[np.arange(len(part)), place]
    wins = score < best.score[part]
    rows = part[wins]
    best.score[rows] = score[wins]
    best.kind[rows] = kind
    best.target[rows] = NOWHERE if kind == FAILOVER else cols[place[wins]]


def pair_after(usage_pair: tuple[int, int], kind: int, target: int) -> tuple[int, int]:
    """The nodes of an instance after a move."""
    p, s = usage_pair
    return {
        FAILOVER: (s, p),
        REPLACE_SECONDARY: (p, target),
        REPLACE_PRIMARY: (target, s),
        REPLACE_AND_FAILOVER: (target, p),
        FAILOVER_AND_REPLACE: (s, target),
        ANY: (target, NOWHERE),
    }[kind]
