"""How long a decision waits for a node whose link was lost a moment ago."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from clusterd.master.lulls import LULL_S, Lulls


def over(lulls: Lulls, *nodes: str) -> Deferred[None]:
    return Deferred.fromCoroutine(lulls.over(nodes))


def test_nobody_waits_for_a_link_that_stands() -> None:
    lulls = Lulls(Clock())
    lulls.begin("n2")
    assert over(lulls, "n1").called
    assert not over(lulls, "n1", "n2").called


def test_who_waits_goes_on_when_all_are_back() -> None:
    lulls = Lulls(Clock())
    lulls.begin("n1")
    lulls.begin("n2")
    waiting = over(lulls, "n1", "n2", "n1")
    lulls.end("n1")
    assert not waiting.called
    lulls.end("n2")
    assert waiting.called
    assert not lulls.any


def test_who_waits_goes_on_after_a_while_and_nobody_waits_after_that() -> None:
    clock = Clock()
    lulls = Lulls(clock)
    lulls.begin("n1")
    clock.advance(LULL_S - 1)
    waiting = over(lulls, "n1")
    assert not waiting.called
    clock.advance(1)
    assert waiting.called
    assert over(lulls, "n1").called
    assert not lulls.any


def test_a_link_that_falls_again_begins_anew() -> None:
    clock = Clock()
    lulls = Lulls(clock)
    lulls.begin("n1")
    clock.advance(LULL_S - 1)
    lulls.end("n1")
    lulls.begin("n1")
    waiting = over(lulls, "n1")
    clock.advance(LULL_S - 1)
    assert not waiting.called
    clock.advance(1)
    assert waiting.called


def test_what_ended_leaves_no_timer() -> None:
    clock = Clock()
    lulls = Lulls(clock)
    lulls.begin("n1")
    lulls.end("n1")
    assert clock.getDelayedCalls() == []
