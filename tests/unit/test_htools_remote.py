"""A cluster as the remote API tells it, taken for placement."""

from __future__ import annotations

from typing import Any

import pytest

from cli.htools import hscan, remote
from clusterd.placement import model
from clusterd.placement.errors import BadRequest
from clusterd.placement.score import total
from clusterd.placement.validity import require_valid
from tests.unit.placement_clusters import any_cluster
from tests.unit.rapi_house import RapiHouse


@pytest.fixture(scope="module")
def answers() -> list[Any]:
    house = RapiHouse()
    paths = ("/2/info", "/2/tags", "/2/groups?bulk=1", "/2/nodes?bulk=1", "/2/instances?bulk=1")
    return [house.ask("GET", path).body for path in paths]


def test_our_own_api_tells_a_cluster_that_placement_takes(answers: list[Any]) -> None:
    info, tags, groups, nodes, instances = answers
    facts = remote.facts_from(info, tags, groups, nodes, instances)
    require_valid(facts)
    by_name = {one.name: one for one in facts.instances}
    web1 = by_name["web1.example.com"]
    assert (web1.primary, web1.secondary) == ("n1.example.com", "n2.example.com")
    assert web1.template == "drbd"
    node = next(one for one in facts.nodes if one.name == "n1.example.com")
    assert (node.memory_total_mib, node.master) == (4096, True)
    assert next(one for one in facts.nodes if one.name == "n3.example.com").offline


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("cluster", "https://cluster:5080"),
        ("cluster:5081", "https://cluster:5081"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ],
)
def test_where_an_api_is(address: str, url: str) -> None:
    assert remote.url_of(address) == url


def test_an_api_that_is_not_there() -> None:
    with pytest.raises(BadRequest, match=r"Cannot read http://127\.0\.0\.1:1/2/info"):
        remote.facts("http://127.0.0.1:1")


def test_a_scanned_cluster_is_a_line_and_a_file() -> None:
    facts = any_cluster(3)
    told = hscan.line("c1", 6, facts)
    assert told.startswith("c1     ")
    name, nodes, instances, *rest = told.split()
    assert (name, nodes, instances) == ("c1", str(len(facts.nodes)), str(len(facts.instances)))
    assert len(rest) == 7
    assert rest[-1] == f"{total(model.build(facts)):.8f}"
    assert len(hscan.head(6).split()) == 10
    assert hscan.file_of("/tmp/x", "https://c1:5080").name == "https:__c1:5080.data"
