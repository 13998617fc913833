"""Balance a group: which moves lower its score, in an order that never oversteps a limit."""

from __future__ import annotations

import numpy as np

from clusterd.placement.job_sets import job_sets
from clusterd.placement.kinds import Allowed
from clusterd.placement.model import Cluster, Flags, group_of
from clusterd.placement.options import BalanceOptions
from clusterd.placement.part import only_group
from clusterd.placement.plans import move_value
from clusterd.placement.results import BalancePlan, Ended, KeepGoing, Move, forever
from clusterd.placement.score import components_of, weighed
from clusterd.placement.search import Search
from clusterd.placement.survey import Survey
from clusterd.placement.usage import Usage


def balance(
    cluster: Cluster, options: BalanceOptions | None = None, keep_going: KeepGoing = forever
) -> BalancePlan:
    """The moves; ``keep_going`` is asked before each. Raises BadRequest."""
    options = options or BalanceOptions()
    number, group = group_of(cluster, options.group)
    usage = Usage(only_group(cluster, number))
    before = components_of(usage)
    movable = np.flatnonzero(_movable(cluster, usage, options))
    allowed = Allowed(
        options.disk_moves,
        options.instance_moves,
        options.restricted_migration,
        options.cost_per_gib / 1024,
    )
    survey = Survey(usage, options.ignore_soft_errors)
    search = Search(survey, movable, np.flatnonzero(usage.cluster.nodes.usable), allowed)
    moves: list[Move] = []
    ended = _improve(search, options, keep_going, moves)
    after = components_of(usage)
    return BalancePlan(
        group=group.name,
        moves=tuple(moves),
        job_sets=job_sets(moves),
        score_before=weighed(before),
        score_after=weighed(after),
        components_before=before,
        components_after=after,
        copied_mib=sum(one.copied_mib for one in moves),
        ended=ended,
    )


def _improve(
    search: Search, options: BalanceOptions, keep_going: KeepGoing, moves: list[Move]
) -> Ended:
    """Take the best move until something ends it."""
    while search.score > options.min_score:
        if options.max_moves is not None and len(moves) >= options.max_moves:
            return "max_moves"
        if not keep_going():
            return "time"
        place = search.best()
        if place is None:
            return "no_gain"
        gain = float(search.gain[place])
        if search.score <= options.min_gain_limit and gain < options.min_gain:
            return "no_gain"
        step = int(search.kind[place]), int(search.target[place])
        scores = search.score, search.score - gain - search.cost(place)
        moves.append(move_value(search.usage, int(search.rows[place]), step, scores))
        search.take(place, options.evac_mode)
    return "good_enough"


def _movable(cluster: Cluster, usage: Usage, options: BalanceOptions) -> Flags:
    one = usage.cluster.instances
    found: Flags = one.movable.copy()
    for name in (*options.select, *options.exclude):
        cluster.instance(name)
    if options.select:
        found &= np.isin(one.names, options.select)
    if options.exclude:
        found &= ~np.isin(one.names, options.exclude)
    if options.evac_mode:
        usable = usage.cluster.nodes.usable
        found &= ~usable[one.primary] | ((one.secondary >= 0) & ~usable[one.secondary])
    return found
