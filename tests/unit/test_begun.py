"""Coroutines that are begun at once and mostly end at once."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from clusterd.begun import answered, begin, rest


class Work:
    """Writes down how far it came."""

    def __init__(self, *waits: Deferred[str]) -> None:
        self.waits = waits
        self.passed: list[str] = []

    async def do(self) -> None:
        self.passed.append("begun")
        for wait in self.waits:
            try:
                self.passed.append(await wait)
            except ValueError as error:
                self.passed.append(f"bore {error}")
        self.passed.append("ended")


def test_what_does_not_wait_has_ended() -> None:
    work = Work()
    begin(work.do())
    assert work.passed == ["begun", "ended"]


def test_what_waits_goes_on_with_what_it_waited_for() -> None:
    first, second, third = Deferred[str](), Deferred[str](), Deferred[str]()
    third.callback("third")
    work = Work(first, second, third)
    begin(work.do())
    assert work.passed == ["begun"]
    first.callback("first")
    assert work.passed == ["begun", "first"]
    second.errback(ValueError("second"))
    assert work.passed == ["begun", "first", "bore second", "third", "ended"]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_whoever_asks_gets_the_answer_or_what_was_raised(waits: bool, fails: bool) -> None:
    gate, heard = Deferred[str](), list[object]()

    async def think() -> str:
        if waits:
            await gate
        if fails:
            raise ValueError("no idea")
        return "so it is"

    answered(think(), heard.append, lambda failure: heard.append(str(failure.value)))
    assert heard == ([] if waits else ["no idea" if fails else "so it is"])
    gate.callback("")
    assert heard == ["no idea" if fails else "so it is"]


@pytest.mark.parametrize("ended_before", [False, True])
def test_what_nobody_waits_for_any_more_ends_quietly(ended_before: bool) -> None:
    """As when a node that thinks is let go of: whatever goes first."""
    work = Work(Deferred())
    asking = work.do()
    thinking = rest(asking, asking.send(None))
    thinking.send(None)
    if ended_before:
        asking.close()
    thinking.close()
    assert asking.cr_frame is None
