"""The score is htools', and the same whether it is summed up or followed from move to move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterd.placement import kinds, model, score
from clusterd.placement.model import NOWHERE
from clusterd.placement.survey import ANY, Block, Survey
from clusterd.placement.text_format import parse
from clusterd.placement.usage import Usage
from tests.bench.clusters import Skew, generate
from tests.unit.placement_clusters import any_cluster
from tests.unit.test_placement_text import FIXTURE

ALL_OF_IT = settings(max_examples=60, deadline=None)


def test_the_fixture_scores_as_htools_says() -> None:
    assert score.total(model.build(parse(FIXTURE))) == pytest.approx(0.00139811, abs=1e-8)


def test_the_components_are_those_of_hinfo() -> None:
    cluster = model.build(generate(20, 200, "mild"))
    found = score.components(cluster)
    assert list(found) == list(score.WEIGHTS)
    assert score.weighed(found) == pytest.approx(score.total(cluster))


RECORDED: dict[Skew, float] = {"mild": 49.64967945, "hot": 237.98366689, "even": 9.83040797}


@pytest.mark.parametrize("skew", sorted(RECORDED))
def test_the_score_is_what_hinfo_3_0_2_said_of_the_same_cluster(skew: Skew) -> None:
    assert score.total(model.build(generate(20, 200, skew))) == pytest.approx(
        RECORDED[skew], abs=1e-6
    )


@ALL_OF_IT
@given(st.integers(0, 100000))
def test_every_move_scores_as_the_moved_cluster_does(number: int) -> None:
    usage = Usage(model.build(any_cluster(number)))
    survey = Survey(usage)
    usable = usage.cluster.nodes.usable
    cols = np.flatnonzero(usable)
    assert survey.ledger.score() == pytest.approx(survey.ledger.full_score(), abs=1e-9)
    for row in np.flatnonzero(usage.cluster.instances.movable)[:6].tolist():
        p, s = int(usage.primary[row]), int(usage.secondary[row])
        leaving, orphaned = not usable[p], s != NOWHERE and not usable[s]
        block = Block(survey, np.array([row]), cols, leaving, orphaned)
        wanted = [ANY] if s == NOWHERE else kinds.kinds_for(leaving, orphaned, kinds.EVERYTHING)
        for kind in wanted:
            found = kinds.KINDS[kind](block)[0]
            for place in np.flatnonzero(np.isfinite(found)).tolist():
                moved = usage.copy()
                moved.move(row, *kinds.pair_after((p, s), kind, int(cols[place])))
                full = score.weighed(score.components_of(moved))
                assert found[place] == pytest.approx(full, abs=1e-6)


@ALL_OF_IT
@given(st.integers(0, 100000), st.lists(st.tuples(st.integers(0), st.integers(0))))
def test_nothing_drifts_over_many_moves(number: int, jumps: list[tuple[int, int]]) -> None:
    usage = Usage(model.build(any_cluster(number)))
    first = usage.copy()
    rows = np.flatnonzero(usage.cluster.instances.movable)
    survey = Survey(usage)
    nodes = len(usage.cluster.nodes.names)
    for one, other in jumps if len(rows) else []:
        row = int(rows[one % len(rows)])
        p, s = int(usage.primary[row]), int(usage.secondary[row])
        free = [node for node in range(nodes) if node not in (p, s)]
        pair = (s, p) if s != NOWHERE else (p, s)
        if free and s == NOWHERE:
            pair = (free[other % len(free)], s)
        elif free:
            pair = (s, free[other % len(free)])
        usage.move(row, *pair)
        survey.refresh(np.array([node for node in (p, s, *pair) if node != NOWHERE]))
    assert survey.ledger.score() == pytest.approx(survey.ledger.full_score(), abs=1e-7)
    for row in rows.tolist():
        usage.move(row, int(first.primary[row]), int(first.secondary[row]))
    assert np.allclose(usage.amounts, first.amounts)
    assert np.allclose(usage.peer, first.peer)
    assert np.allclose(usage.tags, first.tags)
    assert np.allclose(usage.unmet, first.unmet)
