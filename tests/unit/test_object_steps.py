"""Steps on groups, networks and tags: done twice, undone from never, done and gone."""

from __future__ import annotations

from typing import Any

import pytest

from clusterd.model import Group, Network
from clusterd.steps import objects
from clusterd.steps.tags import ChangeTags
from jobqueue.errors import Refused
from jobqueue.step import Step
from tests.unit.driving import now
from tests.unit.small_cluster import SmallCluster

NEW: list[Group | Network] = [
    Group(uuid="", name="rack9", alloc_policy="last_resort"),
    Network(uuid="", name="net9", network="198.51.100.0/24"),
]


class Numbers:
    """The only random source."""

    def uuid(self) -> str:
        return "drawn-uuid"


class Bench:
    """A small cluster and the context of a step on it."""

    def __init__(self) -> None:
        self._cluster = SmallCluster()
        self.configuration = self._cluster.configuration
        self.world = self
        self.random = Numbers()
        self.job_id = 1

    def now(self) -> float:
        return 5.0

    def does(self, step: Step) -> Any:
        outcome = now(step.do(self))
        self._cluster.commit(outcome.writes)
        return outcome.output

    def undoes(self, step: Step) -> None:
        self._cluster.commit(now(step.undo(self)).writes)


@pytest.mark.parametrize("draft", NEW, ids=["group", "network"])
def test_an_object_is_added_and_taken_back(draft: Group | Network) -> None:
    bench = Bench()
    step = objects.add(draft)
    bench.undoes(step)
    assert bench.does(step) == "drawn-uuid"
    found = bench.configuration.find(step.kind, draft.name)
    assert found is not None
    assert (found.uuid, found.ctime, found.mtime) == ("drawn-uuid", 5.0, 5.0)
    with pytest.raises(Refused, match="already"):
        bench.does(step)
    bench.undoes(step)
    bench.undoes(step)
    assert bench.configuration.find(step.kind, draft.name) is None


def test_fields_are_recorded_and_set_back() -> None:
    bench = Bench()
    group = bench.configuration.group("rack2")
    step = objects.record(group, name="row2", networks={"net-uuid": {"mode": "bridged"}})
    for _ in range(2):
        bench.does(step)
        assert bench.configuration.group("row2").networks == {"net-uuid": {"mode": "bridged"}}
    for _ in range(2):
        bench.undoes(step)
        assert bench.configuration.group("rack2").networks == {}
    bench.does(objects.forget(bench.configuration.group("rack2")))
    bench.does(step)
    bench.undoes(step)
    assert bench.configuration.find_group("row2") is None


def test_an_object_is_forgotten_and_put_back() -> None:
    bench = Bench()
    network = bench.configuration.network("net1")
    step = objects.forget(network)
    bench.undoes(step)
    assert bench.configuration.network("net1") == network
    for _ in range(2):
        bench.does(step)
        assert bench.configuration.find_network("net1") is None
    for _ in range(2):
        bench.undoes(step)
        assert bench.configuration.network("net1") == network


def test_tags_change_and_change_back() -> None:
    bench = Bench()
    before = bench.configuration.node("n1.example.com").tags
    step = ChangeTags(kind="node", owner="n1-uuid", add=("b", "a"))
    for _ in range(2):
        bench.does(step)
        assert bench.configuration.node("n1.example.com").tags == ("a", "b")
    for _ in range(2):
        bench.undoes(step)
        assert bench.configuration.node("n1.example.com").tags == before
    cluster = ChangeTags(kind="cluster", owner=None, remove=("b",), add=("c",))
    bench.does(cluster)
    assert bench.configuration.cluster.tags == ("a", "c")
    bench.undoes(cluster)
    assert bench.configuration.cluster.tags == ("a", "b")
    bench.undoes(ChangeTags(kind="node", owner="gone-uuid", add=("a",)))
