"""What a daemon makes of a clock that is set while it runs."""

from __future__ import annotations

import pytest
from twisted.internet.epollreactor import EPollReactor

from cli.even_time import SLEWED, EvenTime

HOUR_S = 3600.0


class Clocks:
    """Of a machine: one that is set, and one that is not."""

    def __init__(self) -> None:
        self.wall_s = 1_000_000.0
        self.steady_s = 50.0

    def pass_(self, duration_s: float) -> None:
        self.wall_s += duration_s
        self.steady_s += duration_s

    def even(self) -> EvenTime:
        return EvenTime(lambda: self.wall_s, lambda: self.steady_s)


@pytest.mark.parametrize("jump_s", [-HOUR_S, HOUR_S])
def test_a_clock_that_jumps_is_approached_and_never_jumped_after(jump_s: float) -> None:
    clocks = Clocks()
    even = clocks.even()
    clocks.wall_s += jump_s
    before = even.seconds()
    assert before == 1_000_000.0
    for _ in range(1000):
        clocks.pass_(1.0)
        now = even.seconds()
        assert now - before + 1e-6 >= 1 - SLEWED
        assert now - before - 1e-6 <= 1 + SLEWED
        before = now
    assert abs(clocks.wall_s - before) == pytest.approx(HOUR_S - 1000 * SLEWED)
    clocks.pass_(HOUR_S / SLEWED)
    assert even.seconds() == clocks.wall_s


@pytest.mark.parametrize("jump_s", [-2.0, -0.003, 0.003, 2.0])
def test_it_never_goes_back_and_arrives(jump_s: float) -> None:
    clocks = Clocks()
    even = clocks.even()
    before = even.seconds()
    clocks.wall_s += jump_s
    for _ in range(8000):
        clocks.pass_(0.007)
        now = even.seconds()
        assert now >= before
        before = now
    assert even.seconds() == pytest.approx(clocks.wall_s, abs=0.006)


def test_without_jumps_it_is_the_time_of_day() -> None:
    clocks = Clocks()
    even = clocks.even()
    for step_s in (0.001, 0.25, 3.0, 86400.0):
        clocks.pass_(step_s)
        assert even.seconds() == pytest.approx(clocks.wall_s, abs=1e-6)


def test_what_a_reactor_waits_for_comes_when_the_clock_is_set_back() -> None:
    reactor = EPollReactor()
    clocks = Clocks()
    reactor.seconds = clocks.even().seconds  # type: ignore[method-assign]
    heard: list[float] = []
    reactor.callLater(10.0, lambda: heard.append(reactor.seconds()))
    clocks.wall_s -= HOUR_S
    clocks.pass_(9.0)
    reactor.runUntilCurrent()
    assert heard == []
    clocks.pass_(3.0)
    reactor.runUntilCurrent()
    assert len(heard) == 1
