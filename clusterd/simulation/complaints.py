"""What the code itself calls a fault: log events that no trouble of the world may cause.

In a simulation the log is not shown; these events are kept and make a trial fail.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from twisted.logger import LogEvent, LogLevel, globalLogPublisher

FAULTS_OF_OURS = frozenset(
    {
        "deciding failed",
        "result failed",
        "call failed unexpectedly",
        "looking at the node failed",
        "store watcher raised",
        "background work failed",
    }
)


class Complaints:
    """Collects them while ``listening``."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @contextmanager
    def listening(self) -> Iterator[Complaints]:
        """Quietens the log and hears it; the log's configuration is as before afterwards."""
        before = structlog.get_config()
        errors = structlog.make_filtering_bound_logger(logging.ERROR)
        structlog.configure(
            processors=[self._structured],
            wrapper_class=errors,
            logger_factory=lambda *names: None,  # nothing is written
        )
        publisher: Any = globalLogPublisher
        publisher.addObserver(self._plain)
        try:
            yield self
        finally:
            publisher.removeObserver(self._plain)
            structlog.configure(**before)

    def _structured(self, _log: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
        if event.get("event") in FAULTS_OF_OURS:
            error = event.get("exc_info")
            self._note(f"{event['event']}: {type(error).__name__}: {error}")
        raise structlog.DropEvent

    def _plain(self, event: LogEvent) -> None:
        """Twisted's own: errors in Deferreds that nobody took."""
        if event["log_level"] is LogLevel.critical and event.get("log_failure") is not None:
            self._note(f"unhandled: {event['log_failure'].getTraceback()}")

    def _note(self, text: str) -> None:
        if text not in self.heard:
            self.heard.append(text)
