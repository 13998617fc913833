"""Tags of every kind of object: set, listed, searched, removed; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from clusterd.opcodes.tags_del import TagsDel
from clusterd.opcodes.tags_get import TagsGet
from clusterd.opcodes.tags_search import TagsSearch
from clusterd.opcodes.tags_set import TagsSet
from clusterd.simulation.scenario import create
from clusterd.tags import MAX_TAG_CHARACTERS, MAX_TAGS, Kind
from tests.stories.deeds import Deeds

OWNERS: dict[Kind, str | None] = {
    "cluster": None,
    "instance": "web1",
    "node": "node1",
    "nodegroup": "default",
}


@pytest.fixture
def deeds(tmp_path: Path) -> Deeds:
    return Deeds(tmp_path)


def test_every_kind_of_object_has_tags(deeds: Deeds) -> None:
    deeds.done(create("diskless", start=False))
    for kind, name in OWNERS.items():
        deeds.done(TagsSet(kind=kind, name=name, tags=("site:b", "a", f"k:{kind}")))
        deeds.done(TagsSet(kind=kind, name=name, tags=("a", "c+d")))
        assert deeds.done(TagsGet(kind=kind, name=name)) == ["a", "c+d", f"k:{kind}", "site:b"]
    assert deeds.done(TagsSearch(pattern="^k:")) == [
        ["/cluster", "k:cluster"],
        ["/instances/web1", "k:instance"],
        ["/nodes/node1", "k:node"],
        ["/nodegroup/default", "k:nodegroup"],
    ]
    deeds.done(TagsDel(kind="node", name="node1", tags=("a", "site:b")))
    assert deeds.configuration.node("node1").tags == ("c+d", "k:node")
    assert deeds.done(TagsSearch(pattern="nothing")) == []


def test_tags_that_are_there_already_change_nothing(deeds: Deeds) -> None:
    deeds.done(TagsSet(kind="node", name="node1", tags=("a",)))
    before = deeds.configuration.node("node1").serial_no
    deeds.done(TagsSet(kind="node", name="node1", tags=("a",)))
    assert deeds.configuration.node("node1").serial_no == before


def test_what_is_refused(deeds: Deeds) -> None:
    def cluster(*tags: str) -> TagsSet:
        return TagsSet(kind="cluster", tags=tags)

    for tag in ("", "a b", "a\n", "a,b", "x" * (MAX_TAG_CHARACTERS + 1)):
        deeds.refused(cluster("good", tag), "wrong_input", "Invalid tag")
    deeds.refused(cluster(), "wrong_input", "No tags")
    deeds.refused(TagsSet(kind="node", tags=("a",)), "wrong_input", "node")
    deeds.refused(TagsSet(kind="network", name="x", tags=("a",)), "unknown_entity", "'x'")
    deeds.refused(TagsDel(kind="cluster", tags=("x", "y")), "unknown_entity", "x, y")
    deeds.refused(TagsGet(kind="instance", name="web9"), "unknown_entity", "web9")
    deeds.refused(TagsSearch(pattern="(["), "wrong_input", "([")
    deeds.done(cluster(*(f"t{number}" for number in range(MAX_TAGS))))
    deeds.refused(cluster("one-more"), "wrong_input", str(MAX_TAGS))
    deeds.done(cluster("t0"))
