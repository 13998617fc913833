"""Filters of queries, and the order of rows."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterd.queries.answers import resources
from clusterd.queries.evaluate import nice, query
from clusterd.queries.filters import requested_names
from clusterd.queries.sources import Sources
from jobqueue.errors import Refused
from tests.unit.asked import Asked
from tests.unit.driving import now
from tests.unit.small_cluster import (
    SmallCluster,
)

# -- filters and order --------------------------------------------------------------------------


def test_rows_come_in_a_nice_order() -> None:
    assert Asked().names(["=~", "name", "^web"]) == ["web1", "web2", "web10"]


def test_names_that_are_asked_for_come_in_that_order_each_once() -> None:
    wanted = ["|", ["=", "name", "web2"], ["==", "name", "web1.example.com"], ["=", "name", "web2"]]
    assert Asked().names(wanted) == ["web2", "web1"]


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused, match="Instance name nosuch not found") as caught:
        Asked().names(["=", "name", "nosuch"])
    assert caught.value.reason == "unknown_entity"


@pytest.mark.parametrize(
    ("qfilter", "names"),
    [
        (["&", ["=", "pnode", "n2"], ["?", "admin_up"]], ["web10"]),
        (["!", ["=", "pnode", "n1"]], ["dark1", "web10"]),
        (["!=", "pnode", "n1.example.com"], ["dark1", "web10"]),
        (["=[]", "tags", "t1"], ["web1"]),
        (["=[]", "snodes", "n2.example.com"], ["web1"]),
        ([">", "be/vcpus", 1], ["web1"]),
        (["<=", "disk_usage", 0], ["dark1", "down1", "lost1", "off1", "user1", "web2", "web10"]),
        (["=", "status", "ERROR_down"], ["down1"]),
        (["&", ["=", "admin_state", "up"], [">=", "name", "web"]], ["web1", "web10"]),
        (["=", "admin_up", 1], []),
        (["|", ["=", "os", "x"], ["=", "status", "ADMIN_down"]], ["web2"]),
    ],
)
def test_filters(qfilter: Any, names: list[str]) -> None:
    assert Asked().names(qfilter) == names


def test_what_is_not_known_passes_a_comparison() -> None:
    names = Asked().names(["=", "oper_ram", 512])
    assert {"dark1", "web10"} <= set(names)
    assert "web1" not in names


@pytest.mark.parametrize(
    "qfilter",
    [
        [],
        "name",
        {"a": 1},
        ["?"],
        ["?", "nosuch"],
        ["=", "name"],
        ["=", 5, "x"],
        ["&"],
        ["%", "name", "x"],
        ["<", "name", 5],
        ["=~", "name", "("],
        ["=~", "name", "x" * 2000],
        ["=[]", "name", "x"],
        ["!", ["!", []]],
    ],
)
def test_what_is_no_filter_is_refused(qfilter: Any) -> None:
    with pytest.raises(Refused) as caught:
        Asked().names(qfilter)
    assert caught.value.reason == "wrong_input"


def test_a_filter_has_a_depth() -> None:
    deep: Any = ["?", "admin_up"]
    for _ in range(200):
        deep = ["!", deep]
    with pytest.raises(Refused, match="nested"):
        Asked().names(deep)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["name", "|"]),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_filter_or_refused(qfilter: Any) -> None:
    with suppress(Refused):
        now(ASKED.answers.query("instance", ["name"], qfilter))


ASKED = Asked()


@given(st.lists(st.sampled_from(["web1", "web2", "off1", "down1"]), min_size=1))
def test_requested_names_keep_their_order(names: list[str]) -> None:
    qfilter = ["|", *(["=", "name", name] for name in names)]
    assert requested_names(qfilter, "name") == list(dict.fromkeys(names))
    assert ASKED.names(qfilter) == list(dict.fromkeys(names))


def test_a_query_by_name_does_not_walk_over_the_cluster() -> None:
    sources = Sources(SmallCluster().view(), ASKED.queue)
    walked: list[str] = []

    def walk(_sources: Sources) -> tuple[Any, ...]:
        walked.append("all")
        return ()

    watched = msgspec.structs.replace(resources()["instance"], all=walk)
    response = query(watched, sources, ["name"], ["=", "name", "web1.example.com"])
    assert len(response["data"]) == 1
    assert walked == []
    query(watched, sources, ["name"], ["=~", "name", "web1"])
    assert walked == ["all"]


@given(st.lists(st.from_regex(r"[a-z]{0,2}[0-9]{0,3}[a-z]?", fullmatch=True)))
def test_the_nice_order_is_an_order(names: list[str]) -> None:
    ordered = sorted(names, key=nice)
    assert sorted(ordered, key=nice) == ordered
    assert sorted(["n10", "n9", "n1a", "n"], key=nice) == ["n", "n1a", "n9", "n10"]
