"""Saying how far a stream has come: often at first, then seldom, as a job's log keeps each line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clusterd.node.stream_frames import Gauge
from clusterd.world import Clock

TELL_S, LONGEST_TELL_S = 10.0, 600.0
MIB = 1024 * 1024


class Telling:
    """Says now and then how far a stream has come."""

    def __init__(self, gauge: Gauge, clock: Clock, say: Callable[[str], None]) -> None:
        self._gauge, self._clock, self._say = gauge, clock, say
        self._timer: Any = None
        self._began_s = clock.seconds()
        self._pause_s = TELL_S

    def begin(self) -> None:
        """From now on."""
        self._timer = self._clock.callLater(self._pause_s, self._tell)
        # each is a line of the job's log, and a copy may take days
        self._pause_s = min(2 * self._pause_s, LONGEST_TELL_S)

    def end(self) -> None:
        """No more."""
        if self._timer.active():
            self._timer.cancel()

    def _tell(self) -> None:
        passed_s = self._clock.seconds() - self._began_s
        self._say(progress(self._gauge.done_bytes, self._gauge.wanted_bytes, passed_s))
        self.begin()


def progress(done_bytes: int, wanted_bytes: int, passed_s: float) -> str:
    """``120 of 1024 MiB sent, 12 MiB/s, about 0:01:15 left``"""
    speed = done_bytes / MIB / max(passed_s, 0.001)
    text = f"{done_bytes // MIB}"
    if wanted_bytes:
        text += f" of {wanted_bytes // MIB}"
    text += f" MiB sent, {speed:.0f} MiB/s"
    if wanted_bytes > done_bytes > 0:
        left = int(passed_s * (wanted_bytes - done_bytes) / done_bytes)
        text += f", about {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
    return text
