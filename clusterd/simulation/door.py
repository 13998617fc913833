"""The door of a simulated master, for commands that run as they do on the real one.

A call lets virtual time pass until it is answered; nothing else moves it. When the time that a
command may take is over, its call is given up: the job goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from clusterd.doorway import methods
from clusterd.doorway.client import Door, DoorLost, DoorSilent
from clusterd.doorway.protocol import END, decode_reply, encode_error, encode_failure, encode_reply
from clusterd.doorway.waiting import Waiting
from clusterd.errors import DoorAway
from clusterd.simulation.cluster import SimulatedCluster

OPERATOR = "uid:0"
NAME_BYTES = 16


class StillWaits(DoorSilent):
    """A command was not answered in the time that it was given."""

    code = "still_waits"


class SimulatedDoor(Door):
    """``patience_s``: virtual seconds until a command is given up, from ``begin`` on."""

    def __init__(self, cluster: SimulatedCluster, patience_s: float) -> None:
        super().__init__(Path("/simulated"))
        self._cluster = cluster
        self._patience_s = patience_s
        self._until = 0.0

    def begin(self) -> None:
        """A command begins."""
        self._until = self._cluster.clock.seconds() + self._patience_s

    def draw_name(self) -> str:
        """A name for a request, each once."""
        return self._cluster.random.token(NAME_BYTES)

    def call(self, method: str, *args: Any) -> Any:
        """See ``Door``."""
        if not self._cluster.serves:
            raise DoorAway("the master daemon is not there")
        desk = self._cluster.master.desk()
        waiting = Waiting(desk)
        caller = methods.Caller(desk=desk, waiting=waiting, submitter=OPERATOR)
        answer: list[Any] = []
        asked = Deferred.fromCoroutine(methods.call(caller, method, list(args)))
        asked.addBoth(answer.append)
        left_s = self._until - self._cluster.clock.seconds()
        try:
            self._cluster.clock.run_until(lambda: bool(answer) or not self._cluster.serves, left_s)
        finally:
            waiting.close()
        if not answer:
            asked.addErrback(lambda failure: None)
            asked.cancel()
        if not self._cluster.serves:
            raise DoorLost("the master daemon hung up")
        if self._cluster.clock.seconds() >= self._until:
            raise StillWaits(f"still not done after {self._patience_s:.0f} s")
        return decode_reply(_encoded(answer).removesuffix(END))


def _encoded(answer: Sequence[Any]) -> bytes:
    """As it would cross the socket."""
    (found,) = answer
    if not isinstance(found, Failure):
        return encode_reply(found)
    error = found.value
    encoded = encode_error(error) if isinstance(error, Exception) else None
    return encode_failure(encoded or ["GenericError", [f"{type(error).__name__}: {error}"]])
