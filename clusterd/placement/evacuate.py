"""Get instances away: from a node, as relocation of one, or to other groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clusterd.placement import suit
from clusterd.placement.allocate import require_nodes, unconnected
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import ALLOC_POLICIES
from clusterd.placement.job_sets import job_sets
from clusterd.placement.model import NOWHERE, Cluster, Flags, Numbers
from clusterd.placement.options import EvacuationMode, Options
from clusterd.placement.pairs import Scores
from clusterd.placement.results import Evacuation, NodeVerdict, Refusal
from clusterd.placement.steps import Steps
from clusterd.placement.survey import ANY, FAILOVER, REPLACE_SECONDARY
from clusterd.placement.usage import MEMORY, Usage

TRIES = 32
"""Best pairs whose way there is tried."""


class Outcome(NamedTuple):
    """Of one instance."""

    why_not: str
    """Empty: it found a place."""
    verdicts: tuple[NodeVerdict, ...] = ()


class Evacuator:
    """Instances leave one after the other; ``barred`` nodes are no targets."""

    def __init__(self, cluster: Cluster, options: Options, barred: Flags) -> None:
        self.cluster, self.options = cluster, options
        self.steps = Steps(Usage(cluster), options.ignore_soft_errors)
        self.usage, self.nodes = self.steps.usage, cluster.nodes
        self.open: Flags = cluster.nodes.usable & ~barred
        if options.restrict_to is not None:
            self.open &= np.isin(cluster.nodes.names, options.restrict_to)
        self.before = self.steps.score
        self.placed: list[tuple[str, str, tuple[str, ...]]] = []
        self.failed: list[tuple[str, str]] = []
        self.verdicts: dict[str, tuple[NodeVerdict, ...]] = {}

    def leave(self, row: int, mode: EvacuationMode, groups: Sequence[int]) -> None:
        """Let one instance leave, into one of ``groups``."""
        name = self.cluster.instances.names[row]
        among: Flags = self.open & np.isin(self.nodes.group, groups)
        home = int(self.usage.primary[row]), int(self.usage.secondary[row])
        among[[node for node in home if node != NOWHERE]] = False
        done = self._leave(row, mode, among)
        if self.options.verdicts:
            self.verdicts[name] = done.verdicts
        if done.why_not:
            self.failed.append((name, done.why_not))
            return
        nodes = [int(self.usage.primary[row]), int(self.usage.secondary[row])]
        group = self.cluster.facts.groups[int(self.nodes.group[nodes[0]])].uuid
        names = tuple(self.nodes.names[node] for node in nodes if node != NOWHERE)
        self.placed.append((name, group, names))

    def stay(self, row: int, apart: dict[int, Refusal]) -> None:
        """One instance finds no group that could take it."""
        name = self.cluster.instances.names[row]
        why = "; ".join(one.text for one in apart.values())
        self.failed.append((name, why))
        self.told(row, apart)

    def told(self, row: int, apart: dict[int, Refusal]) -> None:
        """Nodes of groups that were not considered get their verdict, too."""
        name = self.cluster.instances.names[row]
        verdicts = tuple(
            NodeVerdict(
                node=self.nodes.names[node],
                group=self._group(node),
                verdict="refused",
                refusals=(apart[int(self.nodes.group[node])],),
            )
            for node in np.flatnonzero(np.isin(self.nodes.group, sorted(apart))).tolist()
        )
        if self.options.verdicts and verdicts:
            self.verdicts[name] = self.verdicts.get(name, ()) + verdicts

    def _leave(self, row: int, mode: EvacuationMode, among: Flags) -> Outcome:
        instances = self.cluster.instances
        template = self.cluster.facts.instances[row].template
        if instances.forthcoming[row]:
            return Outcome("it does not exist yet")
        if instances.mirrored[row] and mode == "primary-only":
            return self._fail_over(row)
        if instances.mirrored[row]:
            one = mode == "secondary-only"
            return self._one(row, REPLACE_SECONDARY, among) if one else self._both(row, among)
        if mode == "secondary-only":
            return Outcome(f"an instance of template {template} has no secondary node")
        if not instances.shared[row] and template != "diskless":
            return Outcome(f"instances of template {template} cannot be relocated")
        return self._one(row, ANY, among)

    def _fail_over(self, row: int) -> Outcome:
        node = int(self.usage.secondary[row])
        name, group = self.nodes.names[node], self._group(node)
        score = self.steps.possible(row, FAILOVER, NOWHERE)
        if np.isfinite(score) and self.nodes.usable[node]:
            self.steps.take(row, FAILOVER, NOWHERE, score)
            chosen = NodeVerdict(
                node=name, group=group, verdict="chosen", role="primary", score=score
            )
            return Outcome("", (chosen,))
        whys = self._why(row, primary=True)(node)
        refused = NodeVerdict(node=name, group=group, verdict="refused", refusals=whys)
        said = "; ".join(one.text for one in whys)
        return Outcome(f"its secondary {name} cannot take over: {said}", (refused,))

    def _one(self, row: int, kind: int, among: Flags) -> Outcome:
        cols = np.flatnonzero(among)
        scores = np.full(len(self.nodes.names), np.inf)
        if len(cols):
            scores[cols] = self.steps.scores(row, kind, cols)
        best = int(scores.argmin())
        found = bool(np.isfinite(scores[best]))
        role = "primary" if kind == ANY else "secondary"
        told = self._tell(row, scores, among, role) if self.options.verdicts else ()
        if found:
            self.steps.take(row, kind, best, float(scores[best]))
            return Outcome("", told)
        return Outcome(f"no node can be its {role}", told)

    def _both(self, row: int, among: Flags) -> Outcome:
        """New primary and secondary: become its mirror, take over, get another mirror."""
        item, usage = self.usage.item(row), self.usage
        home = int(usage.primary[row]), int(usage.secondary[row])
        usage.put(item, *home, -1)
        strict = not self.options.ignore_soft_errors
        count = len(self.nodes.names)
        p = np.flatnonzero(suit.allowed(suit.as_primary(usage, item, strict), count) & among)
        s = np.flatnonzero(suit.allowed(suit.as_secondary(usage, item), count) & among)
        pairs = np.full((len(p), len(s)), np.inf)
        if pairs.size:
            scores = Scores(usage, item)
            pairs = scores.pairs(p, s)
            kept = scores.kept(p, s)
            pairs[(usage.amounts[MEMORY, s] <= kept) & ~usage.failing[s]] = np.inf
            pairs[(p[:, None] == s) | (self.nodes.group[p][:, None] != self.nodes.group[s])] = (
                np.inf
            )
        best = np.full(count, np.inf)
        if pairs.size:
            best[p] = pairs.min(axis=1)
            best[s] = np.minimum(best[s], pairs.min(axis=0))
        usage.put(item, *home, 1)
        told = self._tell(row, best, among, "primary") if self.options.verdicts else ()
        first = [] if self.nodes.usable[home[0]] else [(FAILOVER, NOWHERE)]
        flat = np.argsort(pairs, axis=None, kind="stable")[:TRIES]
        for cell in flat.tolist():
            if not np.isfinite(pairs.flat[cell]):
                break
            new = int(p[cell // len(s)]), int(s[cell % len(s)])
            way = [(REPLACE_SECONDARY, new[0]), (FAILOVER, NOWHERE), (REPLACE_SECONDARY, new[1])]
            if self.steps.try_all(row, first + way):
                return Outcome("", _chosen(told, [self.nodes.names[node] for node in new]))
        return Outcome("no pair of nodes can hold it", told)

    def _tell(self, row: int, scores: Numbers, among: Flags, role: str) -> tuple[NodeVerdict, ...]:
        home = {int(self.usage.primary[row]), int(self.usage.secondary[row])}
        group = self.nodes.group[int(self.usage.primary[row])]
        shown = np.flatnonzero(among | (self.nodes.group == group))
        why = self._why(row, role == "primary")
        best = int(scores.argmin())
        answers = []
        for node in shown.tolist():
            name, where = self.nodes.names[node], self._group(node)
            if np.isfinite(scores[node]):
                chosen = node == best
                answers.append(
                    NodeVerdict(
                        node=name,
                        group=where,
                        verdict="chosen" if chosen else "fits",
                        role="secondary" if chosen and role == "secondary" else "",
                        score=float(scores[node]),
                    )
                )
                continue
            reasons = (
                (Refusal("own_node", "it is one of its present nodes"),)
                if node in home
                else why(node)
                if among[node]
                else (self._closed(node),)
            )
            answers.append(NodeVerdict(node=name, group=where, verdict="refused", refusals=reasons))
        return tuple(answers)

    def _why(self, row: int, primary: bool) -> Why:
        """Judge the limits as if the instance were gone."""
        usage, item = self.usage, self.usage.item(row)
        home = int(usage.primary[row]), int(usage.secondary[row])
        usage.put(item, *home, -1)
        tests = (
            suit.as_primary(usage, item, not self.options.ignore_soft_errors)
            if primary
            else suit.as_secondary(usage, item)
        )
        texts = Why(tests, usage.peer[:, home[0]] + item.reserve)
        usage.put(item, *home, 1)
        return texts

    def _group(self, node: int) -> str:
        return self.cluster.facts.groups[int(self.nodes.group[node])].name

    def _closed(self, node: int) -> Refusal:
        fact = self.cluster.facts.nodes[node]
        if fact.offline or not self.nodes.usable[node]:
            return Refusal("drained", "drained") if fact.drained else Refusal("offline", "offline")
        return Refusal("restricted", "being evacuated, or not among the nodes that were allowed")

    def answer(self) -> Evacuation:
        """All of it."""
        moves = tuple(self.steps.moves)
        return Evacuation(
            moves=moves,
            placed=tuple(self.placed),
            failed=tuple(self.failed),
            job_sets=job_sets(moves),
            verdicts=self.verdicts,
            score_before=self.before,
            score_after=self.steps.score,
        )


class Why:
    """The limits that a node oversteps; if none of itself, the memory it would have to keep."""

    def __init__(self, tests: list[suit.Test], kept: Numbers) -> None:
        self.tests, self.kept = tests, kept

    def __call__(self, node: int) -> tuple[Refusal, ...]:
        return suit.refusals(self.tests, node, "") or (
            Refusal(
                "n1",
                f"not N+1: {self.kept[node]:.0f} MiB to keep for one primary, or a step on the way"
                " is impossible",
            ),
        )


def _chosen(told: tuple[NodeVerdict, ...], names: list[str]) -> tuple[NodeVerdict, ...]:
    """The verdicts with the pair that was taken."""
    answers = []
    for one in told:
        if one.node in names:
            answers.append(
                NodeVerdict(
                    node=one.node,
                    group=one.group,
                    verdict="chosen",
                    role="primary" if one.node == names[0] else "secondary",
                    score=one.score,
                )
            )
        elif one.verdict == "chosen":
            answers.append(
                NodeVerdict(node=one.node, group=one.group, verdict="fits", score=one.score)
            )
        else:
            answers.append(one)
    return tuple(answers)


def evacuate(
    cluster: Cluster,
    instances: Sequence[str],
    mode: EvacuationMode,
    options: Options | None = None,
) -> Evacuation:
    """New places for the instances in their own groups, away from the nodes that they leave (their
    primaries, secondaries or both, by ``mode``). Raises BadRequest."""
    options = options or Options()
    require_nodes(cluster, options)
    rows = _rows(cluster, instances)
    p, s = cluster.instances.primary[rows], cluster.instances.secondary[rows]
    barred = np.zeros(len(cluster.nodes.names) + 1, dtype=np.bool_)
    if mode in ("primary-only", "all"):
        barred[p] = True
    if mode in ("secondary-only", "all"):
        barred[s] = True
    evacuator = Evacuator(cluster, options, barred[:-1])
    for row in rows:
        evacuator.leave(row, mode, [int(cluster.nodes.group[cluster.instances.primary[row]])])
    return evacuator.answer()


def _rows(cluster: Cluster, instances: Sequence[str]) -> list[int]:
    """Their numbers; raises BadRequest for one that is unknown or named twice."""
    rows = [cluster.instance(name) for name in instances]
    twice = [name for name, count in Counter(instances).items() if count > 1]
    if twice:
        raise BadRequest(f"Instance {twice[0]} is named twice")
    return rows


def relocate(
    cluster: Cluster, instance: str, relocate_from: Sequence[str], options: Options | None = None
) -> Evacuation:
    """A new secondary for a mirrored instance, a new node for one on shared storage, instead of
    the one that it leaves. Raises BadRequest."""
    row = cluster.instance(instance)
    mirrored = bool(cluster.instances.mirrored[row])
    node = cluster.instances.secondary[row] if mirrored else cluster.instances.primary[row]
    present = cluster.nodes.names[int(node)]
    if list(relocate_from) != [present]:
        asked = ", ".join(relocate_from) or "nowhere"
        raise BadRequest(f"Instance {instance} can be relocated from {present}, not from {asked}")
    return evacuate(cluster, [instance], "secondary-only" if mirrored else "primary-only", options)


def change_group(
    cluster: Cluster,
    instances: Sequence[str],
    target_groups: Sequence[str] = (),
    options: Options | None = None,
) -> Evacuation:
    """Places in other groups: the given ones, or any that none of the instances is in. Raises
    BadRequest."""
    options = options or Options()
    require_nodes(cluster, options)
    rows = _rows(cluster, instances)
    own = {int(cluster.nodes.group[cluster.instances.primary[row]]) for row in rows}
    asked = [cluster.group_number(name) for name in target_groups]
    groups = [
        number
        for number, group in enumerate(cluster.facts.groups)
        if number not in own and (number in asked if asked else group.alloc_policy != "unallocable")
    ]
    if not groups:
        raise BadRequest("There is no other group to go to")
    evacuator = Evacuator(cluster, options, np.zeros(len(cluster.nodes.names), dtype=np.bool_))
    for row in rows:
        _change_group(evacuator, row, groups)
    return evacuator.answer()


def _change_group(evacuator: Evacuator, row: int, groups: list[int]) -> None:
    """Into the first of the groups by their policies that is connected to its networks."""
    facts = evacuator.cluster.facts
    wired = facts.instances[row].networks
    apart = {one: why for one in groups if (why := unconnected(facts, facts.groups[one], wired))}
    left = [one for one in groups if one not in apart]
    if not left:
        evacuator.stay(row, apart)
        return
    for policy in ALLOC_POLICIES:
        some = [one for one in left if facts.groups[one].alloc_policy == policy]
        failed = len(evacuator.failed)
        if some:
            evacuator.leave(row, "all", some)
            if len(evacuator.failed) == failed:
                break
            if policy != _last_policy(evacuator.cluster, left):
                evacuator.failed.pop()
    evacuator.told(row, apart)


def _last_policy(cluster: Cluster, groups: list[int]) -> str:
    """The worst allocation policy among the groups."""
    return max((cluster.facts.groups[one].alloc_policy for one in groups), key=ALLOC_POLICIES.index)
