"""Locks: nobody holds against another, all are served in order, nobody waits in a circle."""

from __future__ import annotations

import time

import msgspec
import pytest

from jobqueue.errors import LockRefused
from jobqueue.lock import BIG_LOCK_EXCLUSIVE, BIG_LOCK_SHARED, Level
from jobqueue.locks import ALL, Held, merge
from tests.court import Court, exclusive, shared
from tests.waiting import settled


@pytest.fixture
def court() -> Court:
    """An empty table."""
    return Court()


# -- who may hold together -------------------------------------------------------------------------


def test_shared_holders_share_and_an_exclusive_one_waits_for_all_of_them(court: Court) -> None:
    court.ask("a", shared("n"))
    court.ask("b", shared("n"))
    court.ask("c", exclusive("n"))
    assert court.heard_since() == ["a", "b"]
    assert court.table.waits("c")
    assert not court.table.waits("a")
    court.table.release("a")
    assert court.heard_since() == []
    court.table.release("b")
    assert court.heard_since() == ["c"]


def test_who_comes_later_does_not_overtake_though_it_could_share(court: Court) -> None:
    court.ask("reader", shared("n"))
    court.ask("writer", exclusive("n"))
    court.ask("late reader", shared("n"))
    assert court.heard_since() == ["reader"]
    court.table.release("reader")
    assert court.heard_since() == ["writer"]
    court.table.release("writer")
    assert court.heard_since() == ["late reader"]


def test_the_same_name_on_another_level_is_another_lock(court: Court) -> None:
    court.ask("a", exclusive("n", Level.NODE))
    court.ask("b", exclusive("n", Level.NODE_RES))
    assert court.heard_since() == ["a", "b"]


@pytest.mark.parametrize("name", ["0a1b", "zeta", "[a", "~"])
def test_the_lockset_stands_against_every_name_of_its_level(court: Court, name: str) -> None:
    court.ask("all", exclusive(ALL))
    court.ask("one", shared(name))
    court.ask("elsewhere", exclusive(name, Level.INSTANCE))
    assert court.heard_since() == ["all", "elsewhere"]
    court.table.release("all")
    assert court.heard_since() == ["one"]
    court.ask("all", exclusive(ALL))
    assert court.heard_since() == []
    court.ask("late", exclusive("other"))
    assert court.heard_since() == [], "a lockset that waits is not starved by names"
    court.table.release("one")
    assert court.heard_since() == ["all"]
    court.table.release("all")
    assert court.heard_since() == ["late"]


def test_a_shared_lockset_goes_with_shared_names_only(court: Court) -> None:
    court.ask("verify", shared(ALL))
    court.ask("another", shared(ALL))
    court.ask("reader", shared("n"))
    court.ask("writer", exclusive("m"))
    assert court.heard_since() == ["verify", "another", "reader"]
    court.ask("whole", exclusive(ALL))
    court.table.release("verify")
    court.table.release("another")
    assert court.heard_since() == ["writer"]
    court.table.release("writer")
    assert court.heard_since() == []
    court.table.release("reader")
    assert court.heard_since() == ["whole"]
    court.ask("verify", shared(ALL))
    assert court.heard_since() == []


def test_a_lockset_does_not_overtake_a_name_that_waits(court: Court) -> None:
    court.ask("reader", shared("n"))
    court.ask("writer", exclusive("n"))
    court.ask("verify", shared(ALL))
    assert court.heard_since() == ["reader"]
    court.table.release("reader")
    assert court.heard_since() == ["writer"]
    court.table.release("writer")
    assert court.heard_since() == ["verify"]


def test_a_level_is_granted_whole(court: Court) -> None:
    court.ask("a", exclusive("n1"))
    court.ask("b", exclusive("n1"), exclusive("n2"))
    court.ask("c", exclusive("n2"))
    assert court.heard_since() == ["a"]
    assert court.table.holdings("b") == ()
    court.table.release("a")
    assert court.heard_since() == ["b"]
    court.table.release("b")
    assert court.heard_since() == ["c"]


def test_levels_are_taken_in_order_and_kept_while_waiting(court: Court) -> None:
    court.ask("a", exclusive("n"))
    court.ask("b", exclusive("n"), exclusive("i", Level.INSTANCE), BIG_LOCK_SHARED)
    assert court.heard_since() == ["a"]
    assert court.table.holdings("b") == (BIG_LOCK_SHARED, exclusive("i", Level.INSTANCE))
    court.ask("c", BIG_LOCK_EXCLUSIVE)
    court.table.release("a")
    assert court.heard_since() == ["b"]
    court.table.release("b")
    assert court.heard_since() == ["c"]


# -- merging ---------------------------------------------------------------------------------------


def test_merging_sorts_and_keeps_the_stricter_wish() -> None:
    wishes = [shared("b"), exclusive("a"), exclusive("b"), shared("a"), BIG_LOCK_SHARED]
    assert merge(wishes) == (BIG_LOCK_SHARED, exclusive("a"), exclusive("b"))
    assert merge([shared("a"), shared(ALL), shared("z")]) == (shared(ALL),)
    assert merge([shared("a"), shared(ALL), exclusive("z")]) == (exclusive(ALL),)
    assert merge([shared(ALL), exclusive("i", Level.INSTANCE)]) == (
        exclusive("i", Level.INSTANCE),
        shared(ALL),
    )
    assert merge([]) == ()


# -- order -----------------------------------------------------------------------------------------


def test_priority_decides_then_who_came_first(court: Court) -> None:
    court.ask("holder", exclusive("n"))
    court.ask("low", exclusive("n"), priority=10)
    court.ask("first", exclusive("n"))
    court.ask("second", exclusive("n"))
    court.ask("high", exclusive("n"), priority=-10)
    order = ["holder", "high", "first", "second", "low"]
    for owner in order:
        court.table.release(owner)
    assert court.heard_since() == order


def test_a_new_priority_moves_the_waiter_and_lets_nobody_slip_through(court: Court) -> None:
    court.ask("holder", shared("n"))
    court.ask("writer", exclusive("n"))
    court.ask("reader", shared("n"))
    court.table.reprioritise("writer", -10)
    assert court.heard_since() == ["holder"]
    court.table.reprioritise("writer", 10)
    assert court.heard_since() == ["reader"]
    court.table.reprioritise("holder", -20)
    court.table.reprioritise("nobody", -20)
    assert court.heard_since() == []


def test_a_new_priority_holds_for_the_levels_still_to_come(court: Court) -> None:
    court.ask("x", exclusive("i", Level.INSTANCE))
    court.ask("y", exclusive("n"))
    court.ask("urgent", exclusive("i", Level.INSTANCE), exclusive("n"))
    court.ask("early", exclusive("n"), priority=-5)
    court.table.reprioritise("urgent", -10)
    court.table.release("x")
    court.table.release("y")
    assert court.heard_since() == ["x", "y", "urgent"]


# -- giving up, coming back ------------------------------------------------------------------------


def test_a_cancelled_waiter_gives_back_what_it_holds(court: Court) -> None:
    court.ask("holder", exclusive("n"))
    court.ask("victim", exclusive("i", Level.INSTANCE), exclusive("n"))
    court.ask("next", exclusive("i", Level.INSTANCE))
    court.ask("behind", shared("n"))
    court.heard_since()
    court.asking["victim"].cancel()
    assert court.heard_since() == ["next", "victim CancelledError"]
    court.table.release("holder")
    assert court.heard_since() == ["behind"]
    assert court.table.holdings("victim") == ()


def test_a_waiter_that_is_released_hears_of_it(court: Court) -> None:
    court.ask("holder", shared("n"))
    court.ask("victim", exclusive("n"))
    court.ask("behind", shared("n"))
    court.heard_since()
    court.table.release("victim")
    assert sorted(court.heard_since()) == ["behind", "victim CancelledError"]
    court.ask("victim", exclusive("n"))
    assert court.table.waits("victim")


def test_a_forgotten_waiter_gives_back_what_it_holds(court: Court) -> None:
    court.ask("holder", exclusive("n"))
    coroutine = court.table.acquire("gone", (exclusive("i", Level.INSTANCE), exclusive("n")))
    coroutine.send(None)
    assert court.table.holdings("gone") == (exclusive("i", Level.INSTANCE),)
    coroutine.close()
    assert court.table.holdings("gone") == ()
    assert not court.table.waits("gone")


def test_releasing_others_from_within_a_grant_is_safe(court: Court) -> None:
    court.ask("holder", exclusive("n"))
    court.ask("killer", shared("n"))
    court.asking["killer"].addCallback(lambda _: court.table.release("victim"))
    court.ask("victim", shared("n"))
    court.ask("other", shared("n"))
    court.table.release("holder")
    assert court.heard_since() == ["holder", "killer", "victim CancelledError", "other"]
    assert court.table.rows()[0].owners == ("killer", "other")


def test_who_asks_for_what_it_holds_has_it(court: Court) -> None:
    court.ask("a", exclusive("n"), shared("m"), shared(ALL, Level.INSTANCE))
    court.ask("rival", exclusive("n"))
    court.ask("a", shared("n"), shared("m"), shared("i", Level.INSTANCE))
    court.ask("a", shared("n"), exclusive("x", Level.NETWORK))
    assert court.heard_since() == ["a", "a", "a"]
    assert court.table.holdings("a") == (
        shared(ALL, Level.INSTANCE),
        shared("m"),
        exclusive("n"),
        exclusive("x", Level.NETWORK),
    )


def test_asking_out_of_order_is_refused_and_changes_nothing(court: Court) -> None:
    court.ask("a", shared("n"))
    held = court.table.rows()
    for wrong in (exclusive("n"), shared("z"), exclusive("i", Level.INSTANCE), shared(ALL)):
        court.ask("a", exclusive("x", Level.NETWORK), wrong)
        assert court.heard_since()[-1] == "a LockRefused"
        assert court.table.rows() == held
    court.ask("b", exclusive("n"))
    with pytest.raises(LockRefused, match="once at a time"):
        settled(court.table.acquire("b", (shared("q"),)))
    assert court.table.waits("b")


def test_seized_locks_are_held_at_once_and_only_when_nobody_stands_against(court: Court) -> None:
    mine = (exclusive("i", Level.INSTANCE), shared("n"))
    court.table.seize("resumed", mine)
    assert court.table.holdings("resumed") == mine
    court.table.seize("also", (shared("n"),))
    before = court.table.rows()
    for wrong in (exclusive("n"), exclusive(ALL), shared(ALL, Level.INSTANCE)):
        with pytest.raises(LockRefused, match="held by another owner"):
            court.table.seize("late", (exclusive("free", Level.CLUSTER), wrong))
    with pytest.raises(LockRefused, match="resumed"):
        court.table.seize("resumed", (exclusive("more"),))
    assert court.table.rows() == before
    court.ask("waits", exclusive("n"))
    court.table.release("resumed")
    court.table.release("also")
    assert court.heard_since() == ["waits"]


def test_rows_say_who_holds_and_who_is_next(court: Court) -> None:
    court.ask("1", BIG_LOCK_SHARED, shared("n"))
    court.ask("2", BIG_LOCK_SHARED, exclusive("n"))
    court.ask("3", shared("n"), priority=-1)
    court.ask("4", shared("n"))
    court.ask("5", exclusive(ALL))
    rows = tuple(
        msgspec.structs.replace(row, held_s=(), waiting_s=()) for row in court.table.rows()
    )
    assert rows == (
        Held(name="cluster/BGL", mode="shared", owners=("1", "2"), pending=()),
        Held(name="node/[lockset]", mode=None, owners=(), pending=(("exclusive", "5"),)),
        Held(
            name="node/n",
            mode="shared",
            owners=("1", "3"),
            pending=(("exclusive", "2"), ("shared", "4")),
        ),
    )
    for owner in "12345":
        court.table.release(owner)
    assert court.table.rows() == ()


# -- many ------------------------------------------------------------------------------------------

CROWD = 2000
ENOUGH_S = 5.0
"""About fifty times what it takes; a table that compares all with all takes minutes."""


def test_a_crowd_on_many_locks_is_served_quickly() -> None:
    court = Court()
    began = time.monotonic()
    for number in range(CROWD):
        locks = (
            BIG_LOCK_SHARED,
            exclusive(f"i{number}", Level.INSTANCE),
            shared(f"n{number % 50}"),
        )
        court.ask(f"holder{number}", *locks)
        court.ask(f"waiter{number}", *locks)
    court.ask("verify", BIG_LOCK_SHARED, shared(ALL, Level.INSTANCE), shared(ALL))
    assert len(court.heard) == CROWD
    for number in range(CROWD):
        court.table.release(f"holder{number}")
    assert len(court.heard) == 2 * CROWD
    for number in range(CROWD):
        court.table.release(f"waiter{number}")
    assert court.heard[-1] == "verify"
    assert time.monotonic() - began < ENOUGH_S


def test_a_crowd_on_one_lock_is_served_quickly() -> None:
    court = Court()
    began = time.monotonic()
    for number in range(CROWD):
        court.ask(str(number), exclusive("n") if number % 2 else shared("n"))
    for number in range(CROWD):
        court.table.release(str(number))
    assert court.heard == [str(number) for number in range(CROWD)]
    assert time.monotonic() - began < ENOUGH_S
