"""What tags do to moves: exclusion tags that are taken, and the metrics that count tags.

Most instances have no such tags, so these are loops over those that have, beside the arithmetic
over all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterd.placement.model import NOWHERE, Flags, Numbers, Rows
from clusterd.placement.score import WEIGHTS

if TYPE_CHECKING:
    from clusterd.placement.survey import Survey

CONFLICT = WEIGHTS["pri_tags_score"]
TOGETHER = WEIGHTS["location_exclusion_score"]


class Words:
    """The tags of a block of instances against a block of target nodes."""

    def __init__(self, survey: Survey, rows: Rows, cols: Rows) -> None:
        self.usage, self.rows, self.cols = survey.usage, rows, cols
        self.places = survey.places
        self.p, self.s = self.usage.primary[rows], self.usage.secondary[rows]
        self.worded = np.flatnonzero(survey.worded[rows]).tolist()
        self.nodes = self.usage.cluster.nodes

    def _tags(self, place: int) -> list[int]:
        return list(self.usage.cluster.instances.exclusion[self.rows[place]])

    def taken_on_targets(self) -> Flags:
        """Where another primary has one of its exclusion tags; block x nodes."""
        found = np.zeros((len(self.rows), len(self.cols)), dtype=np.bool_)
        for place in self.worded:
            tags = self._tags(place)
            if tags:
                found[place] = (self.usage.tags[tags][:, self.cols] > 0).any(axis=0)
        return found

    def taken_on_secondary(self) -> Flags:
        """The same for the present secondary; block."""
        found = np.zeros(len(self.rows), dtype=np.bool_)
        for place in self.worded:
            tags = self._tags(place)
            found[place] = bool(tags and (self.usage.tags[tags, self.s[place]] > 0).any())
        return found

    def on_targets(self, other: Rows | None) -> Numbers:
        """How the counting metrics change when the target becomes primary and ``other`` (block)
        is the secondary; block x nodes."""
        found = self._primary(self.cols)
        if self.places and other is not None:
            found += self._together(self.cols, other)
        return found

    def on_secondary(self, other: Rows | None) -> Numbers:
        """The same when the present secondary becomes primary: ``other`` (block) the secondary, or
        None for each target; block x 1 or block x nodes."""
        found = np.zeros((len(self.rows), 1))
        for place in self.worded:
            node = np.array([self.s[place]])
            found[place] = self._wording(place, node)
        if not self.places:
            return found
        if other is None:
            shared = self._shared(self.s[:, None], self.cols)
        else:
            shared = self._shared(self.s, other)[:, None]
        return found + shared * self._counts(self.s)[:, None] - self._now()[:, None]

    def on_primary(self) -> Numbers:
        """The same when the primary stays and the target becomes secondary; block x nodes."""
        if not self.places:
            return np.zeros((len(self.rows), 1))
        shared = self._shared(self.p[:, None], self.cols)
        return shared * self._counts(self.p)[:, None] - self._now()[:, None]

    def _primary(self, cols: Rows) -> Numbers:
        found = np.zeros((len(self.rows), len(cols)))
        for place in self.worded:
            found[place] = self._wording(place, cols)
        return found

    def _together(self, cols: Rows, other: Rows) -> Numbers:
        shared = np.zeros((len(self.rows), len(cols)))
        mirrored = other != NOWHERE
        shared[mirrored] = self._shared(other[mirrored][:, None], cols)
        return shared * self._counts(cols) - self._now()[:, None]

    def _shared(self, one: Rows, other: Rows) -> Numbers:
        if not self.nodes.locations.shape[1]:
            return np.zeros(np.broadcast_shapes(one.shape, other.shape))
        found: Numbers = self.usage.shared_places[one, other]
        return found

    def _counts(self, nodes: Rows) -> Numbers:
        return self.nodes.usable[nodes].astype(np.float64)

    def _now(self) -> Numbers:
        """Shared labels of the present pair."""
        found = np.zeros(len(self.rows))
        mirrored = self.s != NOWHERE
        found[mirrored] = self._shared(self.p[mirrored], self.s[mirrored])
        return found * self._counts(self.p)

    def _wording(self, place: int, nodes: Rows) -> Numbers:
        """Exclusion and wishes of one instance that moves its primary to each of ``nodes``."""
        usage, p, tags = self.usage, self.p[place], self._tags(place)
        usable = self.nodes.usable
        found = np.zeros(len(nodes))
        if tags:
            leaving = (usage.tags[tags, p] > 1).sum() if usable[p] else 0
            coming = (usage.tags[tags][:, nodes] > 0).sum(axis=0) * usable[nodes]
            found += CONFLICT * np.where(nodes == p, 0, coming - leaving)
            if self.nodes.locations.shape[1]:
                found += TOGETHER * self._spread(tags, int(p), nodes)
        wanted = usage.cluster.instances.desired[self.rows[place]]
        if wanted:
            known = [label for label in wanted if label >= 0]
            met = self.nodes.locations[nodes][:, known].sum(axis=1)
            now = self.nodes.locations[p, known].sum()
            found += (len(wanted) - met) * usable[nodes] - (len(wanted) - now) * usable[p]
        return found

    def _spread(self, tags: list[int], p: int, nodes: Rows) -> Numbers:
        """Labels that a move of the primary takes a tag out of, or doubles it in."""
        places, spread = self.nodes.locations, self.usage.spread[tags]
        mine = places[p] & self.nodes.usable[p]
        theirs = places[nodes] & self.nodes.usable[nodes][:, None]
        left = (spread > 1).sum(axis=0) * mine
        entered = (spread > 0).sum(axis=0)
        found: Numbers = (theirs & ~mine) @ entered - (left * ~theirs).sum(axis=1)
        return found
