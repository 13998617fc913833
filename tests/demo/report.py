"""How the demo shows its steps: what runs, for how long, the last thing said, what was proved."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

FACT_INDENT = "     "


class DemoFailed(Exception):
    """A claim of the demo was not true, or a command failed; the message is the reason."""


class Report:
    """One line a step while it runs, a finished line and its facts afterwards.

    On a terminal the running line moves; elsewhere only finished lines are written.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self._clock = clock
        self._began = clock()
        self._step_began = self._began
        self._number = 0
        self._title = ""
        self._said = ""
        self._facts: list[str] = []

    def __rich__(self) -> Table:
        """The running line, drawn again some times a second."""
        line = Table.grid(padding=(0, 1))
        spent = Text(f"{self._clock() - self._step_began:5.1f} s", style="cyan")
        width = max(self.console.width - len(self._title) - 20, 10)
        said = Text(self._said[:width], style="dim", no_wrap=True)
        line.add_row(f"{self._number:2}.", Spinner("dots"), self._title, spent, said)
        return line

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show ``title`` while the body runs, and how it ended."""
        self._number += 1
        self._title, self._said, self._facts = title, "", []
        self._step_began = self._clock()
        ended = False
        try:
            if self.console.is_terminal:
                with Live(self, console=self.console, refresh_per_second=8, transient=True):
                    yield
            else:
                yield
            ended = True
        finally:
            self._finish("[green]ok[/]" if ended else "[red]failed[/]")

    def say(self, line: str) -> None:
        """What the running command just said."""
        if line.strip():
            self._said = line.strip()

    def fact(self, line: str) -> None:
        """Something that was read back from the machine; shown under the step."""
        self._facts.append(line)

    def total_s(self) -> float:
        """Seconds since the demo began."""
        return self._clock() - self._began

    def _finish(self, verdict: str) -> None:
        spent = self._clock() - self._step_began
        self.console.print(f"{self._number:2}. {self._title}  {verdict} [cyan]{spent:.1f} s[/]")
        for line in self._facts:
            self.console.print(f"{FACT_INDENT}{line}", highlight=False, markup=False)
