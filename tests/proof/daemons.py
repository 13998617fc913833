"""Daemons of a machine below a prefix: killed, and started as its init would."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

from clusterd.doorway.client import Door
from clusterd.pidfile import holder
from clusterd.settings import DAEMONS, Settings
from jobqueue.store.interface import Store
from tests.proof.load import Load

MASTER, STORE = "clusterd-master", "clusterd-store"
DOOR_S = 30.0

Judge = Callable[[Store], Coroutine[Any, Any, list[str]]]
"""What is wrong in a store."""


class Machine(Protocol):
    """A prefix with settings, in which commands can be given."""

    own: Settings

    def run(self, *words: str, code: int | None = 0) -> str:
        """A command; what it says."""


class Household(Protocol):
    """A cluster that lives through drills."""

    files: Path
    """Where their disks are."""

    @property
    def nodes(self) -> Sequence[str]:
        """Where instances may be made."""

    @property
    def door(self) -> Door:
        """Whoever is master answers."""

    def strike(self, draw: random.Random) -> str:
        """Something dies, as drawn; its name. What init starts again at once, is started."""

    def await_answer(self, load: Load) -> None:
        """Until a question was answered that was asked from now on."""

    def mend(self) -> None:
        """What died for good is back."""

    def judged(self, judge: Judge) -> list[str]:
        """The masters are stopped, and this is asked of the store that they leave."""


def pid(machine: Machine, daemon: str) -> int | None:
    """Of a daemon that runs."""
    return holder(machine.own.pid_path(daemon))


def signalled(machine: Machine, daemon: str, number: signal.Signals) -> None:
    """A signal to a daemon; none there is as good."""
    found = pid(machine, daemon)
    if found is not None:
        os.kill(found, number)


def kill(machine: Machine, daemon: str) -> None:
    """kill -9, and wait until it is gone; none there is as good."""
    found = pid(machine, daemon)
    if found is None:
        return
    os.kill(found, signal.SIGKILL)
    while pid(machine, daemon) == found:
        time.sleep(0.01)


def start(machine: Machine, daemon: str) -> None:
    """As init does when a daemon died: again, until it serves."""
    for _ in range(600):
        if pid(machine, daemon) is not None:
            return
        machine.run(daemon, code=None)
        time.sleep(0.1)
    raise AssertionError(f"{daemon} does not start any more")


def end(machine: Machine) -> None:
    """All daemons, at once, frozen ones too."""
    for daemon in DAEMONS:
        signalled(machine, daemon, signal.SIGKILL)
