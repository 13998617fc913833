"""Regular expressions of people find what they should, and never hold up the master."""

from __future__ import annotations

from typing import Any

import pytest

from clusterd.opcodes.tags_search import TagsSearch, check
from jobqueue.errors import Refused
from jobqueue.expressions import expression
from jobqueue.filters import Rule, meets
from tests.unit.asked import Asked
from tests.unit.door_house import House, sleep
from tests.unit.small_cluster import SmallCluster

SLOW = r"(a|aa)+\Z(?<!a)"
TEXT = "a" * 60
"""On it the expression tries for ever."""


def test_what_is_found() -> None:
    assert expression("^web[0-9]+")("web12.example.com")
    assert not expression("^web$")("web12.example.com")
    assert expression("(?i)WEB")("web1")


@pytest.mark.parametrize("wrong", ["(", "[z-a]", "x{3,2}", "a" * 1001, 5, None])
def test_what_is_no_regular_expression_is_refused(wrong: Any) -> None:
    with pytest.raises(Refused, match="regular expression"):
        expression(wrong)


def test_one_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(Refused, match="takes too long on 'aaaa"):
        expression(SLOW)(TEXT)


def test_a_search_for_tags_is_refused_with_it() -> None:
    asked = Asked()
    asked.cluster.commit(
        asked.cluster.configuration.changed(asked.cluster.configuration.cluster, 1.0, tags=(TEXT,))
    )
    with pytest.raises(Refused, match="takes too long"):
        check(TagsSearch(pattern=SLOW), asked.cluster.view())
    check(TagsSearch(pattern="a"), SmallCluster().view())


def test_a_job_filter_with_it_meets_no_job() -> None:
    house = House()
    house.ask("SubmitJob", [sleep(reason=[["gnt:user", TEXT, 1]])])
    job = house.queue.job(1)
    assert job is not None
    rule = Rule(uuid="r", watermark=0, priority=0, predicates=(), action="REJECT")
    assert meets(rule, job)
    for pattern, met in ((SLOW, False), ("^a+$", True)):
        of_reason = (["reason", ["=~", "reason", pattern]],)
        assert (
            meets(
                Rule(uuid="r", watermark=0, priority=0, predicates=of_reason, action="REJECT"), job
            )
            is met
        )
