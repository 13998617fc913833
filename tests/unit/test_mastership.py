"""Who may act as master: every order of events, stopped anywhere, at any time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from clusterd.master.candidacy import Candidacy, Tenancy
from clusterd.master.mastership import Claimant, Grant, LoneLeadership, Mastership, Sight, Wish
from clusterd.master.standing import (
    HOLDS,
    TABLE,
    Act,
    Heard,
    Place,
    Standing,
    Timing,
    check,
    may_act,
    may_answer,
    turn,
)
from jobqueue.errors import Refused
from jobqueue.store.memory import MemoryStore
from tests.unit.driving import now

TIMING = Timing()
EVENTS = st.lists(st.tuples(st.sampled_from(Heard), st.floats(0.0, 3.0)), max_size=40)


def test_every_standing_has_a_row_and_every_event_is_heard_somewhere() -> None:
    assert set(TABLE) == set(Standing)
    assert {heard for row in TABLE.values() for heard in row} == set(Heard)


@pytest.mark.parametrize("standing", sorted(HOLDS))
def test_whatever_ends_a_term_drops_before_anything_else(standing: Standing) -> None:
    for heard, row in TABLE[standing].items():
        if row.to not in HOLDS:
            assert row.acts[:2] == (Act.DROP, Act.PUT_DOWN), heard


def test_a_term_is_only_given_back_when_everything_is_put_down() -> None:
    for standing, row in TABLE.items():
        for heard, cell in row.items():
            if Act.RELEASE in cell.acts and standing in (Standing.FALLING, Standing.LEAVING):
                assert heard is Heard.DOWN


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_the_invariant_holds_between_any_two_events(events: list[tuple[Heard, float]]) -> None:
    place, at, proven = Place(), 100.0, -math.inf
    for heard, passes_s in events:
        at += passes_s
        before = place.standing
        place, _acts = turn(place, heard, at, TIMING)
        granted = heard is Heard.WON and before is Standing.CLAIMING
        if granted or (heard is Heard.RENEWED and before in HOLDS):
            proven = at
        check(place, at)
        # stopped here: nothing is heard any more, and time goes on
        for later in (at, at + TIMING.lasts_s - 0.01, at + TIMING.term_s):
            check(place, later)
            if may_act(place, later):
                assert later < proven + TIMING.term_s - TIMING.margin_s + 1e-6
        assert not may_answer(place, at) or place.standing is Standing.MASTER


def test_who_was_frozen_may_not_act_when_it_goes_on() -> None:
    place = Place(standing=Standing.MASTER, until=10.0)
    assert may_act(place, 9.9)
    assert not may_act(place, 10.0)
    assert not may_answer(place, 10.0)


class Shelf:
    """One lease of a pretended store, with a clock of its own."""

    def __init__(self, clock: Clock, term_s: float) -> None:
        self.clock = clock
        self.term_s = term_s
        self.held: Grant | None = None
        self.ends = 0.0
        self.epoch = 0
        self.wish: Wish | None = None
        self.silent: set[str] = set()
        """Nodes whose requests are not answered."""
        self.takes_s = 0.0
        """Until a request is answered."""
        self.told: list[object] = []

    def standing(self) -> Grant | None:
        return self.held if self.held is not None and self.clock.seconds() < self.ends else None


class View:
    """The leadership as one candidate asks for it."""

    def __init__(self, shelf: Shelf, node: str) -> None:
        self.shelf = shelf
        self.node = node

    async def _answered(self) -> None:
        if self.node in self.shelf.silent:
            await Deferred()
        if self.shelf.takes_s:
            answer: Deferred[None] = Deferred()
            self.shelf.clock.callLater(self.shelf.takes_s, answer.callback, None)
            await answer

    async def claim(self, who: Claimant, at: float) -> Grant | None:
        await self._answered()
        if self.shelf.standing() is not None:
            return None
        self.shelf.epoch += 1
        mastership = Mastership(node=who.node, epoch=self.shelf.epoch, since=at)
        self.shelf.held = Grant(mastership, self.shelf.epoch)
        self.shelf.ends = self.shelf.clock.seconds() + self.shelf.term_s
        return self.shelf.held

    async def renew(self, grant: Grant) -> bool:
        await self._answered()
        if self.shelf.standing() is not grant:
            return False
        self.shelf.ends = self.shelf.clock.seconds() + self.shelf.term_s
        return True

    async def release(self, grant: Grant) -> None:
        await self._answered()
        if self.shelf.held is grant:
            self.shelf.held = None

    async def look(self) -> Sight:
        await self._answered()
        found = self.shelf.standing()
        return Sight(found.mastership if found else None, self.shelf.wish)

    async def want(self, wish: Wish) -> None:
        self.shelf.wish = wish

    def watch(self, told):  # type: ignore[no-untyped-def]
        return lambda: None


class Life:
    """A reign that notes what is asked of it; it rises slowly."""

    def __init__(self, clock: Clock, said: list[str], grant: Grant) -> None:
        self.clock = clock
        self.said = said
        self.name = f"{grant.mastership.node}#{grant.mastership.epoch}"

    async def rise(self) -> None:
        self.said.append(f"{self.name} rises")
        waiting: Deferred[None] = Deferred()
        self.clock.callLater(0.2, waiting.callback, None)
        await waiting

    def serve(self) -> None:
        self.said.append(f"{self.name} serves")

    def drop(self, why: str) -> None:
        self.said.append(f"{self.name} drops")

    async def put_down(self) -> None:
        self.said.append(f"{self.name} is put down")


class Court:
    """Candidates of one shelf."""

    def __init__(self, *nodes: str) -> None:
        self.clock = Clock()
        self.shelf = Shelf(self.clock, TIMING.term_s)
        self.said: list[str] = []
        self.candidates = {node: self._candidate(node) for node in nodes}
        for candidate in self.candidates.values():
            candidate.start()

    def _candidate(self, node: str) -> Candidacy:
        def begin(grant: Grant, _tenancy: Tenancy) -> Life:
            return Life(self.clock, self.said, grant)

        return Candidacy(
            Claimant(node), View(self.shelf, node), begin, self.clock, self.clock.seconds, TIMING
        )

    def run(self, for_s: float) -> None:
        for _ in range(int(for_s * 20)):
            self.clock.advance(0.05)
            assert sum(one.may_write() for one in self.candidates.values()) <= 1

    def masters(self) -> list[str]:
        return [name for name, one in self.candidates.items() if one.may_answer()]


def test_one_of_many_is_master_and_stays_it() -> None:
    court = Court("n1", "n2", "n3")
    court.run(30.0)
    assert court.masters() == ["n1"]
    assert court.said == ["n1#1 rises", "n1#1 serves"]
    assert court.candidates["n2"].master is not None
    assert "please connect to node 'n1'" in str(court.candidates["n2"].not_master())


def test_a_master_that_cannot_renew_stops_before_another_begins() -> None:
    court = Court("n1", "n2")
    court.run(5.0)
    court.shelf.silent.add("n1")
    court.run(12.0)
    assert court.masters() == ["n2"]
    assert court.said[2:5] == ["n1#1 drops", "n1#1 is put down", "n2#2 rises"]


def test_a_store_that_always_takes_long_renews_in_time() -> None:
    court = Court("n1", "n2")
    court.run(5.0)
    court.shelf.takes_s = TIMING.lasts_s - TIMING.renew_s - 0.2
    court.run(60.0)
    assert court.masters() == ["n1"]
    assert court.said == ["n1#1 rises", "n1#1 serves"]


def test_what_was_asked_for_a_term_that_is_over_does_not_count() -> None:
    """Its answers come when the master has stepped down, or is master anew."""
    court = Court("n1")
    court.run(5.0)
    court.shelf.takes_s = 2.0
    court.run(2.0)
    court.candidates["n1"].step_down("a test")
    assert not court.candidates["n1"].may_write()
    court.run(4.0)
    assert not court.candidates["n1"].may_write()
    court.run(10.0)
    assert court.masters() == ["n1"]
    assert court.said[-2:] == ["n1#2 rises", "n1#2 serves"]


def test_an_operator_chooses_the_next_master() -> None:
    court = Court("n1", "n2", "n3")
    court.run(5.0)
    now(court.candidates["n3"].ask_for_it())
    court.run(5.0)
    assert court.masters() == ["n3"]
    court.run(30.0)
    assert court.masters() == ["n3"], "the wish is for one master only"


def test_a_wish_for_one_that_is_not_there_keeps_nobody_away_for_long() -> None:
    court = Court("n1", "n2")
    court.run(5.0)
    court.shelf.wish = Wish(node="n9", epoch=1)
    court.run(30.0)
    assert len(court.masters()) == 1


def test_who_steps_down_lets_others_come_first_and_comes_back_when_there_is_none() -> None:
    court = Court("n1")
    court.run(3.0)
    court.candidates["n1"].step_down("a test")
    assert court.masters() == []
    court.run(10.0)
    assert court.masters() == ["n1"]
    assert court.said[-1] == "n1#2 serves"


def test_an_orderly_end_gives_the_mastership_back() -> None:
    court = Court("n1", "n2")
    court.run(3.0)
    now(court.candidates["n1"].stop())
    court.run(2.0)
    assert court.masters() == ["n2"]


def test_ending_while_rising_leaves_nothing() -> None:
    court = Court("n1")
    assert court.said == ["n1#1 rises"]
    now(court.candidates["n1"].stop())
    court.run(5.0)
    assert court.said == ["n1#1 rises", "n1#1 drops", "n1#1 is put down"]
    assert court.shelf.held is None


def test_the_only_process_of_a_store_is_master_without_end() -> None:
    clock = Clock()
    store = MemoryStore()
    said: list[str] = []
    timing = Timing(term_s=math.inf)
    lone = LoneLeadership(store)
    one = Candidacy(
        Claimant("n1"),
        lone,
        lambda grant, _tenancy: Life(clock, said, grant),
        clock,
        clock.seconds,
        timing,
    )
    one.start()
    clock.advance(0.3)
    clock.advance(1e9)
    assert one.may_answer()
    with pytest.raises(Refused, match="gnt-cluster restore"):
        now(lone.want(Wish(node="n2", epoch=1)))
