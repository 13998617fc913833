"""Virtual time: in which order what is called, what the dead and the cancelled leave, and what can
be forgotten."""

from __future__ import annotations

from clusterd.simulation.clock import START_S, Clock, ProcessClock


def test_calls_are_made_in_the_order_of_their_times_and_of_asking() -> None:
    clock, made = Clock(), []
    for name, delay_s in (("late", 2.0), ("first", 1.0), ("second", 1.0), ("at once", -3.0)):
        clock.callLater(delay_s, made.append, name)
    assert clock.run_until(lambda: len(made) == 3, 10.0)
    assert (made, clock.now, clock.made) == (["at once", "first", "second"], START_S + 1.0, 3)
    clock.run(10.0)
    assert (made[3:], clock.now) == (["late"], START_S + 11.0)


def test_one_step_is_one_call() -> None:
    clock, made = Clock(), []
    clock.callLater(1.0, lambda: made.append(clock.callLater(0.0, made.append, "inner")))
    clock.step()
    assert len(made) == 1
    clock.step()
    assert made[1:] == ["inner"]


def test_nothing_happens_where_the_dead_or_nobody_would_act() -> None:
    clock, made, seen = Clock(), [], []
    clock.after_each = lambda: seen.append(clock.now - START_S)
    living, dying = ProcessClock(clock), ProcessClock(clock)
    dying.callLater(1.0, made.append, "dead")
    living.callLater(2.0, made.append, "cancelled").cancel()
    last = living.callLater(3.0, made.append, "living")
    dying.dead = True
    assert clock.run_until(lambda: bool(made), 10.0)
    assert (made, seen) == (["living"], [3.0])
    assert not last.active()


def test_what_will_not_be_made_can_be_forgotten() -> None:
    def left(*, tidy: bool) -> list[str]:
        clock, made = Clock(), []
        dying = ProcessClock(clock)
        calls = [clock.callLater(delay_s, made.append, f"{delay_s}") for delay_s in (3.0, 1.0, 2.0)]
        calls += [dying.callLater(1.0, made.append, "dead")]
        calls[1].cancel()
        dying.dead = True
        if tidy:
            clock.tidy()
        clock.run(10.0)
        return made

    assert left(tidy=True) == left(tidy=False) == ["2.0", "3.0"]
