"""Waiting for the end of an outgoing migration: all who wait are told at once, none for longer
than it has patience."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hypervisors.guest import MigrationStatus
from hypervisors.kvm import Outgoing

DONE = MigrationStatus(state="completed")


def waits(outgoing: Outgoing, clock: Clock, longest_s: float | None = None) -> Deferred[None]:
    return Deferred.fromCoroutine(outgoing.over(clock, longest_s))


def test_all_are_told_at_once_and_no_alarm_is_left() -> None:
    clock, outgoing = Clock(), Outgoing("n2")
    waiting = [waits(outgoing, clock), waits(outgoing, clock, 5.0), waits(outgoing, clock, 9.0)]
    clock.advance(1.0)
    assert not any(one.called for one in waiting)
    outgoing.end(DONE)
    assert all(one.called for one in waiting)
    assert outgoing.result == DONE
    assert not clock.getDelayedCalls()


def test_patience_ends_before_the_migration() -> None:
    clock, outgoing = Clock(), Outgoing("n2")
    short, long = waits(outgoing, clock, 0.5), waits(outgoing, clock, 2.0)
    clock.advance(0.5)
    assert (short.called, long.called) == (True, False)
    outgoing.end(DONE)
    assert long.called


def test_one_that_has_ended_is_not_waited_for() -> None:
    clock, outgoing = Clock(), Outgoing("n2")
    outgoing.end(DONE)
    assert waits(outgoing, clock).called
