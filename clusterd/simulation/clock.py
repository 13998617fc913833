"""A pretended clock: a heap of calls, moved by whoever runs the simulation.

Twisted's ``task.Clock`` sorts all calls on each new one and jumps over calls that its calls make;
thousands of virtual hours need neither.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Any, Protocol

START_S = 1_800_000_000.0
"""Where virtual time begins, seconds since the epoch."""


class Process(Protocol):
    """Whoever asks to be called."""

    dead: bool


class _Undying:
    def __init__(self) -> None:
        self.dead = False


UNDYING: Process = _Undying()
NO_WORDS: dict[str, Any] = {}
"""For calls without named arguments."""


class DelayedCall:
    """What ``callLater`` answers."""

    def __init__(
        self, time: float, process: Process, function: Callable[..., Any], args: Any, kw: Any
    ) -> None:
        self.cancelled = False
        self.called = False
        self.time = time
        self.shown_time = time
        self.process = process
        self.function = function
        self.args = args
        self.kw = kw or NO_WORDS

    def cancel(self) -> None:
        """Do not call."""
        self.cancelled = True

    def active(self) -> bool:
        """True while it will be called."""
        return not (self.cancelled or self.called)

    def getTime(self) -> float:
        """When, by the clock of whoever asked for it."""
        return self.shown_time


class Clock:
    """Virtual time. Calls at one moment happen in the order in which they were asked for."""

    def __init__(self, start: float = START_S) -> None:
        self.now = start
        """Seconds since the epoch."""
        self._heap: list[tuple[float, int, DelayedCall]] = []
        self._order = 0
        self.made = 0
        """How many calls."""
        self.after_each: Callable[[], None] = lambda: None
        """Called after each call: whoever wants to see everything that happens."""

    def seconds(self) -> float:
        """Now, seconds since the epoch."""
        return self.now

    def callLater(self, delay: float, callable: Any, *args: Any, **kw: Any) -> DelayedCall:
        """Call when ``delay`` seconds have passed."""
        return self.put(delay, UNDYING, callable, args, kw)

    def put(
        self, delay: float, process: Process, function: Callable[..., Any], args: Any, kw: Any
    ) -> DelayedCall:
        """Call when ``delay`` seconds have passed, if ``process`` is not dead then."""
        time = self.now + delay if delay > 0.0 else self.now
        return self.put_at(time, process, function, args, kw)

    def put_at(
        self, time: float, process: Process, function: Callable[..., Any], args: Any, kw: Any
    ) -> DelayedCall:
        """Call at ``time``, which is not past, if ``process`` is not dead then."""
        call = DelayedCall(time, process, function, args, kw)
        self._order += 1
        heapq.heappush(self._heap, (time, self._order, call))
        return call

    def step(self) -> None:
        """Go to the next call, of which there is one, and make it."""
        before = self.made
        self.run_until(lambda: self.made > before, math.inf)

    def run_until(self, done: Callable[[], bool], for_s: float) -> bool:
        """Make calls until ``done`` or until ``for_s`` virtual seconds have passed; was it done?"""
        deadline, heap = self.now + for_s, self._heap
        while not done():
            while heap and ((call := heap[0][2]).cancelled or call.process.dead):
                heapq.heappop(heap)
            if not heap or call.time > deadline:
                self.now = deadline
                return done()
            heapq.heappop(heap)
            self.now = call.time  # never before now: nothing is asked for in the past
            self.made += 1
            call.called = True
            call.function(*call.args, **call.kw)
            self.after_each()
        return True

    def tidy(self) -> None:
        """Forget calls that will not be made; who holds them sees no difference."""
        self._heap[:] = [one for one in self._heap if not (one[2].cancelled or one[2].process.dead)]
        heapq.heapify(self._heap)

    def run(self, for_s: float) -> None:
        """Let time pass."""
        self.run_until(lambda: False, for_s)


class Skewed(Protocol):
    """A host with a clock."""

    skew_s: float
    """How much it is ahead."""


class _Punctual:
    skew_s = 0.0


PUNCTUAL: Skewed = _Punctual()


class ProcessClock:
    """The clock as one process sees it: once the process is dead, its calls are never made.

    Without this a dead master's timers would go on acting. The clock of its host may be ahead of
    the others'; durations pass alike everywhere.
    """

    def __init__(self, clock: Clock, host: Skewed = PUNCTUAL) -> None:
        self._clock = clock
        self._host = host
        self.dead = False

    def seconds(self) -> float:
        """Now, as its host sees it."""
        return self._clock.now + self._host.skew_s

    def callLater(self, delay: float, callable: Any, *args: Any, **kw: Any) -> DelayedCall:
        """Call later, if the process still lives then. ``getTime`` is by the host's clock."""
        call = self._clock.put(delay, self, callable, args, kw)
        call.shown_time = call.time + self._host.skew_s
        return call
