"""What is seen while a job runs: plain lines, and for a person who watches a line that moves.

Decided here: nothing of the moving line reaches standard output, so that what programs read is the
same with and without it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from cli.command import Session

if TYPE_CHECKING:
    import rich.progress

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s?%")
_LAST_LINE_MAX = 60


class Progress(Protocol):
    """Told what happens to a job."""

    def line(self, text: str) -> None:
        """A line of the log."""

    def notice(self, text: str) -> None:
        """Something about the waiting itself."""

    def status(self, status: str) -> None:
        """The job's status changed."""


class PlainProgress:
    """Lines only."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def line(self, text: str) -> None:
        """To standard output."""
        self._session.out(text)

    def notice(self, text: str) -> None:
        """To standard error."""
        self._session.err(text)

    def status(self, status: str) -> None:
        """Not shown."""


class LiveProgress:
    """Lines, and below them job, status, the last line's percentage and the time it takes."""

    def __init__(self, session: Session, job: int, display: rich.progress.Progress) -> None:
        self._session = session
        self._job = job
        self._display = display
        self._status = "submitted"
        self._last = ""
        self._task = display.add_task(self._words(), total=None)

    def line(self, text: str) -> None:
        """Above the moving line; a percentage in it fills the bar."""
        self._display.stop()
        self._session.out(text)
        self._last = text[25:].strip()
        found = _PERCENT.search(text)
        self._display.update(
            self._task,
            description=self._words(),
            total=100 if found else None,
            completed=float(found.group(1)) if found else 0,
        )
        self._display.start()

    def notice(self, text: str) -> None:
        """Above the moving line."""
        self._display.stop()
        self._session.err(text)
        self._display.start()

    def status(self, status: str) -> None:
        """In the moving line."""
        self._status = status
        self._display.update(self._task, description=self._words())

    def _words(self) -> str:
        # a bracket would be taken for markup
        last = self._last[:_LAST_LINE_MAX].replace("[", r"\[")
        return f"job {self._job} {self._status} {last}".rstrip()


@contextlib.contextmanager
def progress_for(session: Session, job: int) -> Iterator[Progress]:
    """What fits the session; the moving line is gone afterwards."""
    if not session.live:
        yield PlainProgress(session)
        return
    # rich is imported only for a person who watches: it costs more than all the rest
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Display

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
    )
    display = Display(*columns, console=Console(stderr=True), transient=True)
    progress = LiveProgress(session, job, display)
    display.start()
    try:
        yield progress
    finally:
        display.stop()
