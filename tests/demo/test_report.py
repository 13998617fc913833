"""What the demo shows."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.demo.report import DemoFailed, Report


class Ticking:
    """A clock that goes on by a second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def shown(*, terminal: bool) -> tuple[Report, io.StringIO]:
    """A report and what it writes."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, color_system=None)
    return Report(console, Ticking()), text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_step_ends_with_its_verdict_its_time_and_its_facts(terminal: bool) -> None:
    report, text = shown(terminal=terminal)
    with report.step("gnt-cluster init"):
        report.say("Thu: * checking [n1]")
        report.fact("master n1.tb [sure]")
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert lines[-1] == "     master n1.tb [sure]"
    assert "1. gnt-cluster init  ok" in lines[-2]
    assert lines[-2].endswith(" s")


def test_a_failed_step_says_so_and_the_failure_goes_on() -> None:
    report, text = shown(terminal=False)
    with pytest.raises(DemoFailed, match="the mirror is"), report.step("look"):
        raise DemoFailed("the mirror is Inconsistent")
    assert "1. look  failed" in text.getvalue()


def test_the_running_line_shows_the_title_and_the_last_thing_said() -> None:
    report, _ = shown(terminal=True)
    with report.step("migrate"):
        report.say("  memory: 40% [3 MiB left]  ")
        report.say("   ")
        with report.console.capture() as captured:
            report.console.print(report)
    assert "migrate" in captured.get()
    assert "memory: 40% [3 MiB left]" in captured.get()
