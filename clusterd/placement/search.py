"""The next best move, again and again, judging anew only what the last moves changed.

``gain`` of each instance is what its best move would bring when it was last judged. After a move,
instances on the touched nodes are judged against all nodes, the others against the touched nodes
only. Since every move shifts the spread of the whole cluster a little, a remembered gain is only
a claim: the instances with the greatest claims are judged anew until the best is one that was.
When no claim is left, all are judged once more.
"""

from __future__ import annotations

import numpy as np

from clusterd.placement.kinds import WITHOUT_COPY, Allowed, judge, pair_after
from clusterd.placement.model import NOWHERE, Flags, Numbers, Rows
from clusterd.placement.survey import Survey

SMALL = 1 << 13
"""Below this many instances times nodes all moves are judged after each move."""
LEAST_GAIN = 1e-8
"""The square root of a variance that should be 0 may be this far off."""
FIRST_CLAIMS = 8
"""Claims that are looked into at once; doubled each time that they were too great."""


class Search:
    """See the module. ``rows`` may move, onto ``cols``."""

    def __init__(self, survey: Survey, rows: Rows, cols: Rows, allowed: Allowed) -> None:
        self.survey, self.usage = survey, survey.usage
        self.rows, self.cols, self.allowed = rows, cols, allowed
        self.score = survey.ledger.score()
        self.gain: Numbers = np.full(len(rows), -np.inf)
        self.kind: Rows = np.full(len(rows), NOWHERE)
        self.target: Rows = np.full(len(rows), NOWHERE)
        self.fresh: Flags = np.zeros(len(rows), dtype=np.bool_)
        self.settled: Flags = np.zeros(len(rows), dtype=np.bool_)
        """Those that are not to move any more."""
        self.all_fresh = False
        """Claims may have become too small, too: before the end all are judged once more."""
        self.everything: bool = not allowed.disk_moves or len(rows) * len(cols) <= SMALL
        self.judge_all()

    def judge_all(self) -> None:
        """Every instance against every node."""
        self._judge(np.arange(len(self.rows)))
        self.all_fresh = True

    def _judge(self, places: Rows) -> None:
        best = judge(self.survey, self.rows[places], self.cols, self.allowed)
        self.gain[places] = np.where(self.settled[places], -np.inf, self.score - best.score)
        self.kind[places], self.target[places] = best.kind, best.target
        self.fresh[places] = True

    def best(self) -> int | None:
        """The place (in ``rows``) of the best move; None when no move gains anything."""
        if not len(self.rows):
            return None
        claims = FIRST_CLAIMS
        while True:
            place = int(self.gain.argmax())
            if not self.gain[place] > LEAST_GAIN:
                if self.all_fresh:
                    return None
                self.judge_all()
                continue
            if self.fresh[place]:
                return place
            some = np.argpartition(-self.gain, min(claims, len(self.rows) - 1))[:claims]
            self._judge(some[~self.fresh[some]])
            claims *= 2

    def cost(self, place: int) -> float:
        """What the gain of ``place`` was lessened by."""
        if int(self.kind[place]) in WITHOUT_COPY:
            return 0.0
        disk = self.usage.cluster.instances.disk[self.rows[place]]
        return float(self.allowed.cost_per_mib * disk)

    def take(self, place: int, leaves: bool = False) -> None:
        """Make the move of ``place``; ``leaves``: only instances on unusable nodes are to move."""
        number = int(self.rows[place])
        old = int(self.usage.primary[number]), int(self.usage.secondary[number])
        new = pair_after(old, int(self.kind[place]), int(self.target[place]))
        before = self.score
        self.usage.move(number, *new)
        usable = self.usage.cluster.nodes.usable
        if leaves and all(usable[node] for node in new if node != NOWHERE):
            self.settled[place] = True
        self.changed([*old, *new])
        if self.score >= before:
            self.settled[place], self.gain[place] = True, -np.inf

    def changed(self, nodes: list[int]) -> None:
        """Instances came or went on ``nodes``."""
        touched = np.unique([node for node in nodes if node != NOWHERE])
        self.survey.refresh(touched)
        self.score = self.survey.ledger.score()
        if self.everything:
            self.judge_all()
            return
        p, s = self.usage.primary[self.rows], self.usage.secondary[self.rows]
        near = np.isin(p, touched) | np.isin(s, touched)
        self.fresh[:] = False
        self.all_fresh = False
        self._judge(np.flatnonzero(near))
        self._judge_targets(np.flatnonzero(~near), np.intersect1d(touched, self.cols))

    def _judge_targets(self, places: Rows, cols: Rows) -> None:
        """The others may now do better on the touched nodes than their claims say."""
        best = judge(self.survey, self.rows[places], cols, self.allowed)
        gain = self.score - best.score
        wins = (gain > self.gain[places]) & ~self.settled[places]
        won = places[wins]
        self.gain[won] = gain[wins]
        self.kind[won], self.target[won] = best.kind[wins], best.target[wins]
