"""Waiting, for drivers. Apart from their interface, which commands load that never wait."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from hypervisors.interface import Clock


def passed(clock: Clock, seconds: float) -> Deferred[None]:
    """So much time has passed."""
    over: Deferred[None] = Deferred()
    clock.callLater(seconds, over.callback, None)
    return over
