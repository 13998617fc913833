"""Locks under any order of events: the table beside a plain list of who asked for what."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from jobqueue.errors import LockRefused
from jobqueue.lock import Level, Lock
from jobqueue.locks import ALL, merge
from tests.court import Court, exclusive
from tests.waiting import settled

OWNERS = st.sampled_from([f"job{n}" for n in range(7)])
NAMES = st.sampled_from([ALL, "0", "a", "b"])
LEVELS = st.sampled_from([Level.INSTANCE, Level.NODE])
LOCKS = st.lists(st.builds(Lock, LEVELS, NAMES, st.booleans()), min_size=1, max_size=4)
PRIORITIES = st.sampled_from([-10, 0, 10])


def collide(one: Lock, two: Lock) -> bool:
    """The rule of the table, as short as it can be said."""
    same = one.level is two.level and (one.name == two.name or ALL in (one.name, two.name))
    return same and not (one.shared and two.shared)


def covers(one: Lock, two: Lock) -> bool:
    """True when who holds ``one`` has all that ``two`` would give."""
    same = one.level is two.level and one.name in (two.name, ALL)
    return same and one.shared <= two.shared


class AnyOrder(RuleBasedStateMachine):
    """A table under any events beside a plain list of who asked for what, in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.court = Court()
        self.table = self.court.table
        self.wants: dict[str, tuple[Lock, ...]] = {}
        self.orders: dict[str, tuple[int, int]] = {}
        self.tickets = 0

    @rule(owner=OWNERS, locks=LOCKS, priority=PRIORITIES)
    def ask(self, owner: str, locks: list[Lock], priority: int) -> None:
        if owner in self.wants:
            return
        ahead = self._wishes_before((priority, self.tickets))
        self.wants[owner] = merge(locks)
        self.orders[owner] = (priority, self.tickets)
        self.tickets += 1
        self.court.ask(owner, *locks, priority=priority)
        for lock in self.table.holdings(owner):
            assert not any(collide(lock, wish) for _, wish in ahead), f"{owner} overtook"

    @rule(owner=OWNERS, locks=LOCKS)
    def ask_again(self, owner: str, locks: list[Lock]) -> None:
        """Whoever waits is refused; whoever holds has it, or it is refused unless it is above."""
        if owner not in self.wants:
            return
        before = self.table.rows()
        held = self.wants[owner]
        new = [lock for lock in merge(locks) if not any(covers(mine, lock) for mine in held)]
        if owner in self.court.asking or (new and new[0].level <= held[-1].level):
            with pytest.raises(LockRefused):
                settled(self.table.acquire(owner, tuple(locks)))
        elif not new:
            settled(self.table.acquire(owner, tuple(locks)))
        assert self.table.rows() == before

    @rule(owner=OWNERS)
    def release(self, owner: str) -> None:
        self.table.release(owner)
        self.wants.pop(owner, None)

    @precondition(lambda self: self.court.asking)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(sorted(self.court.asking)))
        self.court.asking[owner].cancel()
        del self.wants[owner]

    @rule(owner=OWNERS, priority=PRIORITIES)
    def reprioritise(self, owner: str, priority: int) -> None:
        self.table.reprioritise(owner, priority)
        if owner in self.orders:
            self.orders[owner] = (priority, self.orders[owner][1])

    @rule(owner=OWNERS, locks=LOCKS)
    def seize(self, owner: str, locks: list[Lock]) -> None:
        if owner in self.wants:
            return
        against = any(collide(mine, held) for mine in merge(locks) for _, held in self._holdings())
        if against:
            with pytest.raises(LockRefused):
                self.table.seize(owner, tuple(locks))
        else:
            self.table.seize(owner, tuple(locks))
            self.wants[owner] = merge(locks)

    @invariant()
    def nobody_holds_against_another(self) -> None:
        for (owner, one), (other, two) in combinations(self._holdings(), 2):
            assert owner == other or not collide(one, two), (owner, one, other, two)

    @invariant()
    def who_does_not_wait_holds_all_that_it_wanted(self) -> None:
        for owner, wanted in self.wants.items():
            holdings = self.table.holdings(owner)
            assert self.table.waits(owner) == (owner in self.court.asking)
            if self.table.waits(owner):
                level = self._level(owner)
                assert holdings == tuple(lock for lock in wanted if lock.level < level)
            else:
                assert holdings == wanted
        assert {owner for owner, _ in self._holdings()} <= set(self.wants)

    @invariant()
    def who_waits_has_a_reason(self) -> None:
        for owner in self.court.asking:
            assert self._stands_against(owner), f"{owner} waits for nothing"

    @invariant()
    def who_waits_does_not_wait_in_a_circle(self) -> None:
        waits_for = {owner: self._stands_against(owner) for owner in self.court.asking}
        while waits_for:
            moving = [owner for owner, against in waits_for.items() if not against & set(waits_for)]
            assert moving, f"a circle: {waits_for}"
            for owner in moving:
                del waits_for[owner]

    def teardown(self) -> None:
        """Holders that end let everybody through, the better orders first where they collide."""
        for _ in range(100):
            done = [owner for owner in sorted(self.wants) if owner not in self.court.asking]
            if not done:
                break
            self.release(done[0])
            self.nobody_holds_against_another()
        assert self.wants == {}
        assert self.table.rows() == ()

    def _holdings(self) -> list[tuple[str, Lock]]:
        owners = sorted(self.wants)
        return [(owner, lock) for owner in owners for lock in self.table.holdings(owner)]

    def _level(self, owner: str) -> Level:
        """The level that a waiting owner waits on: the first of which it holds nothing."""
        held = {lock.level for lock in self.table.holdings(owner)}
        return min(lock.level for lock in self.wants[owner] if lock.level not in held)

    def _wishes_before(self, order: tuple[int, int]) -> list[tuple[str, Lock]]:
        """What those wait for who are served before ``order``."""
        return [
            (other, lock)
            for other in self.court.asking
            if self.orders[other] < order
            for lock in self.wants[other]
            if lock.level is self._level(other)
        ]

    def _stands_against(self, owner: str) -> set[str]:
        """Holders, and waiters ahead, that collide with what ``owner`` waits for."""
        mine = [lock for lock in self.wants[owner] if lock.level is self._level(owner)]
        others = [(other, lock) for other, lock in self._holdings() if other != owner]
        others += self._wishes_before(self.orders[owner])
        return {other for other, lock in others for wish in mine if collide(wish, lock)}


AnyOrder.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase


@given(st.lists(st.tuples(st.booleans(), PRIORITIES), min_size=1, max_size=12))
def test_one_lock_is_served_in_order_of_priority_and_coming(
    wishes: list[tuple[bool, int]],
) -> None:
    court = Court()
    court.ask("holder", exclusive("n"))
    for number, (is_shared, priority) in enumerate(wishes):
        court.ask(str(number), Lock(Level.NODE, "n", is_shared), priority=priority)
    court.table.release("holder")
    for owner in court.heard:
        court.table.release(owner)
    expected = sorted(range(len(wishes)), key=lambda number: (wishes[number][1], number))
    assert court.heard == ["holder", *map(str, expected)]
