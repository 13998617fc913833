"""Moves made one after the other, each only if it is possible in the state that those before it
left."""

from __future__ import annotations

import numpy as np

from clusterd.placement.kinds import KINDS, pair_after
from clusterd.placement.model import NOWHERE, Numbers, Rows
from clusterd.placement.plans import move_value
from clusterd.placement.results import Move
from clusterd.placement.survey import FAILOVER, Block, Survey
from clusterd.placement.usage import Usage


class Steps:
    """A state and the moves that led to it."""

    def __init__(self, usage: Usage, force: bool = False) -> None:
        self.usage = usage
        self.survey = Survey(usage, force)
        self.moves: list[Move] = []
        self.score = self.survey.ledger.score()

    def scores(self, row: int, kind: int, cols: Rows) -> Numbers:
        """Of one move to each of ``cols`` (one entry for a failover); infinite where impossible."""
        usage = self.usage
        usable = usage.cluster.nodes.usable
        p, s = int(usage.primary[row]), int(usage.secondary[row])
        orphaned = s != NOWHERE and not usable[s]
        block = Block(self.survey, np.array([row]), cols, not usable[p], orphaned)
        found: Numbers = KINDS[kind](block)[0]
        return found

    def possible(self, row: int, kind: int, target: int) -> float:
        """The score of one move, infinite if it is impossible."""
        cols = np.array([target if kind != FAILOVER else 0])
        return float(self.scores(row, kind, cols)[0])

    def take(self, row: int, kind: int, target: int, score: float) -> None:
        """Make a possible move."""
        self.moves.append(move_value(self.usage, row, (kind, target), (self.score, score)))
        old = int(self.usage.primary[row]), int(self.usage.secondary[row])
        self._go(row, old, pair_after(old, kind, target))

    def _go(self, row: int, old: tuple[int, int], new: tuple[int, int]) -> None:
        self.usage.move(row, *new)
        touched = np.array([node for node in {*old, *new} if node != NOWHERE])
        self.survey.refresh(touched)
        self.score = self.survey.ledger.score()

    def try_all(self, row: int, wanted: list[tuple[int, int]]) -> bool:
        """Make several moves of one instance, or none if one of them is impossible."""
        start = int(self.usage.primary[row]), int(self.usage.secondary[row])
        made = len(self.moves)
        for kind, target in wanted:
            score = self.possible(row, kind, target)
            if not np.isfinite(score):
                now = int(self.usage.primary[row]), int(self.usage.secondary[row])
                if now != start:
                    self._go(row, now, start)
                del self.moves[made:]
                return False
            self.take(row, kind, target, score)
        return True
