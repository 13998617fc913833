"""Where a daemon's events go: one JSON object a line, in its own file, and on standard error.

Decided here: form and places. A full disk or a journal that went away must not stop a daemon, so
what cannot be written is dropped. The file is opened again on demand (log rotation).
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogBeginner

Event = MutableMapping[str, Any]
MAX_TEXT = 20_000
"""Characters of one value; a traceback fits, a guest's disk does not."""


class LogFile:
    """An append-only file; each line is one write, so threads and processes do not mix lines."""

    def __init__(self, path: Path | None, descriptor: int | None) -> None:
        self._path = path
        self._also = descriptor
        self._file: int | None = None
        self.reopen()

    def reopen(self) -> None:
        """Close and open it by name; a directory that is missing is made."""
        if self._path is None:
            return
        old = self._file
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, flags, 0o640)
        except OSError:
            if old is None:
                raise
            return
        if old is not None:
            os.close(old)

    def msg(self, line: str) -> None:
        """Write one line everywhere."""
        data = line.encode(errors="replace") + b"\n"
        for descriptor in (self._file, self._also):
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    os.write(descriptor, data)

    log = debug = info = warn = warning = error = critical = fatal = exception = failure = msg

    def owned_by(self, user: int, group: int) -> None:
        """Hand the file to whom the daemon is about to become."""
        if self._file is not None:
            os.fchown(self._file, user, group)


def begin(daemon: str, node: str, file: LogFile, *, debug: bool) -> None:
    """Route structlog, Twisted and Python's logging to ``file``."""

    def named(logger: object, method: str, event: Event) -> Event:
        return {"daemon": daemon, "node": node, **event}

    level = logging.DEBUG if debug else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            named,
            _shortened,
            structlog.processors.JSONRenderer(default=repr),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *args: file,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Python()], level=logging.WARNING, force=True)
    # Twisted wants its log begun only once in a process
    observers: list[Any] = [_twisted]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)


def _shortened(logger: object, method: str, event: Event) -> Event:
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_TEXT:
            event[key] = value[:MAX_TEXT] + "..."
    return event


def _twisted(event: LogEvent) -> None:
    level = event.get("log_level", LogLevel.info)
    if level < LogLevel.warn and not event.get("isError"):
        return
    failure = event.get("log_failure")
    told = {} if failure is None else {"exception": failure.getTraceback()}
    method = "error" if failure is not None or level >= LogLevel.error else "warning"
    getattr(structlog.get_logger(), method)("twisted", text=formatEvent(event), **told)


class _Python(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Pass on what libraries tell."""
        method = "error" if record.levelno >= logging.ERROR else "warning"
        getattr(structlog.get_logger(), method)(
            "library", library=record.name, text=record.getMessage()
        )
