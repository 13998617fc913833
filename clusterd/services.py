"""Start, stop and look at the daemons of this machine.

Decided here: who starts them. Where systemd runs and knows their units it does, and brings them up
after a reboot; elsewhere, and below a prefix, each program detaches itself. Either way the pid
file's lock says whether a daemon runs, and starting returns when the daemon serves.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from clusterd.errors import ClusterError
from clusterd.pidfile import holder
from clusterd.settings import DAEMONS, Settings

SYSTEMD = Path("/run/systemd/system")
"""Is there where systemd runs."""

POLL_S = 0.05
KILL_AFTER_S = 5.0
"""How long a killed process may take to disappear."""


class ServiceFailed(ClusterError):
    """A daemon does not start or stop."""

    code = "service_failed"


class Ended(msgspec.Struct, frozen=True):
    """How a program ended."""

    code: int
    output: str

    @property
    def last_words(self) -> str:
        """The end of what it said, for a message."""
        return " / ".join(self.output.strip().splitlines()[-3:])[:500] or f"exit code {self.code}"


class Machine(Protocol):
    """What is needed of the machine that we are on."""

    def run(self, command: Sequence[str], timeout_s: float) -> Ended:
        """Run a program to its end; code 127 when there is no such program, 124 after the time."""

    def pause(self, duration_s: float) -> None:
        """Let time pass."""


class Services:
    """The daemons of one machine (one prefix)."""

    def __init__(
        self, settings: Settings, programs: Path, machine: Machine, systemd: Path = SYSTEMD
    ) -> None:
        self._settings = settings
        self._systemd = systemd
        self._programs = programs
        self._machine = machine

    def run(self, daemon: str, *options: str, timeout_s: float) -> Ended:
        """Have a daemon's program do something else than serve."""
        return self._machine.run([str(self._programs / daemon), *options], timeout_s)

    def status(self, daemon: str) -> int | None:
        """The pid of a daemon that runs, or None."""
        return holder(self._settings.pid_path(daemon))

    def start(self, daemon: str) -> None:
        """Start it and wait until it serves. Runs already: success. Raises ServiceFailed."""
        if self.status(daemon) is not None:
            return
        start_s = self._settings.timeouts.start_s
        if self.by_systemd(daemon):
            command = ["systemctl", "enable", "--now", f"{daemon}.service"]
        else:
            command = [str(self._programs / daemon)]
        ended = self._machine.run(command, start_s)
        if ended.code:
            why = ended.last_words.removeprefix(f"{daemon} cannot start: ")
            raise ServiceFailed(
                f"{daemon} cannot start: {why}; see {self._settings.log_path(daemon)}",
                subject=daemon,
            )

    def stop(self, daemon: str) -> None:
        """End it and wait until it is gone. Does not run: success. Raises ServiceFailed."""
        if self.by_systemd(daemon):
            unit = f"{daemon}.service"
            ended = self._machine.run(
                ["systemctl", "disable", "--now", unit], self._settings.timeouts.stop_s
            )
            if ended.code:
                raise ServiceFailed(
                    f"{daemon} cannot be stopped: {ended.last_words}", subject=daemon
                )
        # one that was started by hand is not systemd's
        if not self._end(daemon, signal.SIGTERM, self._settings.timeouts.stop_s) and not self._end(
            daemon, signal.SIGKILL, KILL_AFTER_S
        ):
            raise ServiceFailed(
                f"{daemon} (process {self.status(daemon)}) cannot be killed", subject=daemon
            )

    def start_all(self, told: Callable[[str], None] = lambda daemon: None) -> None:
        """In the order in which they need each other."""
        for daemon in self._settings.daemons:
            self.start(daemon)
            told(daemon)

    def stop_all(self) -> None:
        """The other way round."""
        for daemon in reversed(DAEMONS):
            self.stop(daemon)

    def _end(self, daemon: str, number: signal.Signals, wait_s: float) -> bool:
        """Signal whoever runs and wait; True when nobody runs."""
        pid = self.status(daemon)
        if pid is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        for _ in range(int(wait_s / POLL_S)):
            if self.status(daemon) != pid:
                break
            self._machine.pause(POLL_S)
        return self.status(daemon) is None

    def by_systemd(self, daemon: str) -> bool:
        """True when systemd starts and stops it here."""
        if self._settings.root or not self._systemd.is_dir():
            return False
        return self._machine.run(["systemctl", "cat", f"{daemon}.service"], 10.0).code == 0
