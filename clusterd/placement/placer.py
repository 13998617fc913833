"""The best place of one new instance in a state, and why each other node is none."""

from __future__ import annotations

from collections import Counter
from typing import Literal, NamedTuple

import numpy as np

from clusterd.placement import suit
from clusterd.placement.emptying import Emptying
from clusterd.placement.model import NOWHERE, Cluster, Flags, Numbers, Rows
from clusterd.placement.options import Options
from clusterd.placement.pairs import Scores
from clusterd.placement.redundancy import Redundancy
from clusterd.placement.results import NodeVerdict, Refusal
from clusterd.placement.suit import Test
from clusterd.placement.usage import MEMORY, Item, Usage

Role = Literal["primary", "secondary", ""]
FEW = 64
"""Best places that are looked into one by one when each may leave another node stuck."""


class Found(NamedTuple):
    """The best place in one group."""

    nodes: tuple[int, ...]
    """Empty: none."""
    score: float
    successes: int
    failures: Counter[str]
    best: Numbers
    """Score of the best place by node (in either role), infinite where there is none."""
    primary_tests: list[Test]
    secondary_tests: list[Test]
    n1: Flags
    """Nodes that fit, but no place on them leaves every node evacuable."""


class Placer:
    """Places items one after the other into a state of its own."""

    def __init__(self, cluster: Cluster, options: Options, usage: Usage | None = None) -> None:
        self.cluster, self.options = cluster, options
        self.usage = usage or Usage(cluster)
        self.nodes = cluster.nodes
        self.allowed: Flags = cluster.nodes.usable.copy()
        self.scores: Scores | None = None
        self.pairs: tuple[Rows, Rows, Numbers] | None = None
        """Primaries, secondaries and scores of the last pair that was sought."""
        self.added: list[tuple[Item, int]] = []
        """Items that were put here, and on which node as primary."""
        self.emptying: Emptying | None = None
        if options.restrict_to is not None:
            self.allowed &= np.isin(cluster.nodes.names, options.restrict_to)

    def find(self, item: Item, among: Flags) -> Found:
        """The best place on the nodes ``among``."""
        strict = not self.options.ignore_soft_errors
        primary = suit.as_primary(self.usage, item, strict)
        here = np.flatnonzero(among & self.allowed)
        if item.secondary.any():
            return self._pair(item, here, primary, suit.as_secondary(self.usage, item))
        return self._single(item, here, primary)

    def _scores(self, item: Item) -> Scores:
        """Kept from one item to the next while it is the same."""
        if self.scores is not None and self.scores.item is item:
            self.scores.again()
        else:
            self.scores = Scores(self.usage, item)
        return self.scores

    def _single(self, item: Item, here: Rows, tests: list[Test]) -> Found:
        fits = suit.allowed(tests, len(self.nodes.names))[here]
        scores = np.full(len(self.nodes.names), np.inf)
        scores[here[fits]] = self._scores(item).singles()[here[fits]]
        chosen, passing = np.flatnonzero(np.isfinite(scores)), scores.copy()
        redundancy = self._redundancy()
        if redundancy is not None:
            passing[~redundancy.with_primary(item)] = np.inf
        place = self._first(item, passing[:, None], redundancy)
        counted = _first_reasons(tests, here)
        node = () if place is None else (place[0],)
        score = float(scores[place[0]]) if place is not None else float("inf")
        dropped = int((scores[chosen] < score).sum())
        counted["global_n1"] += dropped
        stuck = np.isfinite(scores) & (~np.isfinite(passing) | (place is None))
        return Found(node, score, len(chosen) - dropped, +counted, scores, tests, [], stuck)

    def _pair(self, item: Item, here: Rows, tests: list[Test], second: list[Test]) -> Found:
        count = len(self.nodes.names)
        first_fits, second_fits = suit.allowed(tests, count), suit.allowed(second, count)
        p, s = here[first_fits[here]], here[second_fits[here]]
        counted: Counter[str] = Counter()
        for reason, number in _first_reasons(tests, here).items():
            counted[reason] += number * (len(here) - 1)
        for reason, number in _first_reasons(second, here).items():
            counted[reason] += number * len(p)
        for reason, number in _first_reasons(second, p).items():
            counted[reason] -= number
        best, stuck = np.full(count, np.inf), np.zeros(count, dtype=np.bool_)
        if not len(p) or not len(s):
            return Found((), np.inf, 0, counted, best, tests, second, stuck)
        scores = self._scores(item)
        found = scores.pairs(p, s)
        kept = scores.kept(p, s) if scores.last_kept is None else scores.last_kept
        failing = (self.usage.amounts[MEMORY, s] <= kept) & ~self.usage.failing[s]
        own = p[:, None] == s
        found[failing | own] = np.inf
        counted["n1"] += int((failing & ~own).sum())
        successes = int(np.isfinite(found).sum())
        best[p] = found.min(axis=1)
        best[s] = np.minimum(best[s], found.min(axis=0))
        redundancy = self._redundancy()
        if redundancy is not None:
            passes = redundancy.with_primary(item)[p][:, None]
            passes = passes & redundancy.with_secondary(item)[p][:, s]
            dropped = self._dropped(found, passes)
            counted["global_n1"] += dropped
            successes -= dropped
            found[~passes] = np.inf
            passing = np.full(count, np.inf)
            passing[p] = found.min(axis=1)
            passing[s] = np.minimum(passing[s], found.min(axis=0))
            stuck = np.isfinite(best) & ~np.isfinite(passing)
        self.pairs = p, s, found
        place = self._first(item, found, redundancy, p)
        if place is None:
            counted["global_n1"] += successes
            return Found((), np.inf, 0, +counted, best, tests, second, stuck)
        nodes = int(p[place[0]]), int(s[place[1]])
        score = float(found[place])
        return Found(nodes, score, successes, +counted, best, tests, second, stuck)

    def _dropped(self, scores: Numbers, passes: Flags) -> int:
        """As htools counts: for each primary, the places that are better than the best one which
        leaves every node evacuable."""
        first = np.where(passes, scores, np.inf).min(axis=1, keepdims=True)
        return int((np.isfinite(scores) & ~passes & (scores < first)).sum())

    def apart(self, first: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
        """Up to ``count`` further pairs, best first, of which none shares a node with another:
        taking one leaves the limits of the others as they were."""
        places: list[tuple[int, ...]] = []
        if self.pairs is None:
            return places
        p, s, scores = self.pairs
        taken = list(first)
        while len(places) < count:
            scores[np.isin(p, taken)] = np.inf
            scores[:, np.isin(s, taken)] = np.inf
            cell = int(scores.argmin())
            if not np.isfinite(scores.flat[cell]):
                break
            taken = [int(p[cell // len(s)]), int(s[cell % len(s)])]
            places.append(tuple(taken))
        return places

    def _redundancy(self) -> Redundancy | None:
        if not self.options.capacity_checks:
            return None
        if self.options.as_htools and self.emptying is None:
            self.emptying = Emptying(self.cluster)
        return Redundancy(
            self.usage,
            self.options.accept_existing_errors,
            unchecked=self.options.unchecked_groups,
            added=self.added,
            emptying=self.emptying,
        )

    def _first(
        self, item: Item, scores: Numbers, redundancy: Redundancy | None, rows: Rows | None = None
    ) -> tuple[int, int] | None:
        """The best cell, of equals the last as htools takes it; where instances without mirrors
        count, the best that lets them restart."""
        place = scores.size - 1 - int(scores.ravel()[::-1].argmin())
        width = scores.shape[1]
        if not np.isfinite(scores.flat[place]):
            return None
        mirrored = bool(item.secondary.any())
        if redundancy is None or (mirrored and not redundancy.alone.any()):
            return place // width, place % width
        few = min(FEW, scores.size) - 1
        some = np.argpartition(scores, few, axis=None)[: few + 1]
        for cell in some[np.argsort(scores.flat[some], kind="stable")].tolist():
            if not np.isfinite(scores.flat[cell]):
                return None
            at = (int(cell) // width, int(cell) % width)
            node = int(at[0] if rows is None else rows[at[0]])
            if redundancy.restart((item, node)):
                return at
        return None

    def put(self, item: Item, nodes: tuple[int, ...]) -> None:
        """Let the item be there from now on."""
        self.usage.put(item, nodes[0], nodes[1] if len(nodes) > 1 else NOWHERE, 1)
        self.added.append((item, nodes[0]))

    def mark(self) -> tuple[Usage, int]:
        """The state as it is, to come back to."""
        return self.usage.copy(), len(self.added)

    def back(self, mark: tuple[Usage, int]) -> None:
        """To the state that was marked."""
        self.usage, self.scores, self.pairs = mark[0], None, None
        del self.added[mark[1] :]

    def evacuable(self) -> bool:
        """Whether every node could be emptied now."""
        redundancy = self._redundancy()
        return redundancy is None or (redundancy.mirrors() and redundancy.restart())

    def verdicts(self, found: Found, among: Flags) -> list[NodeVerdict]:
        """For each node of ``among``."""
        groups = self.cluster.facts.groups
        answers = []
        for node in np.flatnonzero(among).tolist():
            name, group = self.nodes.names[node], groups[int(self.nodes.group[node])].name
            reasons = self._refusals(found, node)
            if reasons:
                answers.append(
                    NodeVerdict(node=name, group=group, verdict="refused", refusals=reasons)
                )
            elif node in found.nodes:
                role: Role = "primary" if node == found.nodes[0] else "secondary"
                answers.append(
                    NodeVerdict(
                        node=name, group=group, verdict="chosen", role=role, score=found.score
                    )
                )
            else:
                score = float(found.best[node])
                answers.append(NodeVerdict(node=name, group=group, verdict="fits", score=score))
        return answers

    def _refusals(self, found: Found, node: int) -> tuple[Refusal, ...]:
        if not self.allowed[node]:
            return (self.not_considered(node),)
        if np.isfinite(found.best[node]):
            if not found.n1[node] or node in found.nodes:
                return ()
            return (
                Refusal("global_n1", "the failure of some node could no longer be made up for"),
            )
        mirrored = bool(found.secondary_tests)
        reasons = suit.refusals(found.primary_tests, node, "primary" if mirrored else "")
        reasons += suit.refusals(found.secondary_tests, node, "secondary")
        return reasons or (Refusal("alone", "it fits, but with no other node beside it"),)

    def not_considered(self, node: int) -> Refusal:
        """Why a node was left out from the start."""
        fact = self.cluster.facts.nodes[node]
        if fact.offline:
            return Refusal("offline", "offline")
        if fact.drained:
            return Refusal("drained", "drained")
        if not fact.vm_capable:
            return Refusal("not_vm_capable", "not able to run instances")
        if not self.nodes.usable[node]:
            return Refusal("offline", "taken as offline")
        return Refusal("restricted", "not among the nodes that were allowed")


def _first_reasons(tests: list[Test], here: Rows) -> Counter[str]:
    """How many nodes each limit refuses first."""
    open_still = np.ones(len(here), dtype=np.bool_)
    counted: Counter[str] = Counter()
    for one in tests:
        refused = one.refused[here] & open_still
        counted[one.reason] += int(refused.sum())
        open_still &= ~refused
    return +counted
