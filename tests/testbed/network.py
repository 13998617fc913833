"""The network of a testbed: one namespace with a bridge, one tap for each node host.

The namespace belongs to the testbed alone, so everything that runs in it may be ended with it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from tests.testbed.settings import Settings
from tests.testbed.shell import Completed, TestbedError, run


class Network:
    """Makes and removes the namespace; every verb can be repeated."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = settings.namespace

    def exists(self) -> bool:
        """True if the namespace is there."""
        names = run(["ip", "netns", "list"]).stdout.splitlines()
        return self._name in [line.split()[0] for line in names if line.strip()]

    def ensure(self) -> None:
        """The namespace has its bridge, and the bridge the outside address."""
        if not self.exists():
            run(["ip", "netns", "add", self._name])
        self.ip("link", "set", "lo", "up")
        if not self._has("br0"):
            self.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0")
            self.ip("addr", "add", f"{self._settings.host_address}/24", "dev", "br0")
        self.ip("link", "set", "br0", "up")

    def ensure_tap(self, number: int) -> str:
        """The tap of node host ``number`` is on the bridge; answers its name."""
        tap = f"t{number}"
        if not self._has(tap):
            self.ip("tuntap", "add", tap, "mode", "tap")
        self.ip("link", "set", tap, "master", "br0")
        self.ip("link", "set", tap, "up")
        return tap

    def link(self, number: int, *, up: bool) -> None:
        """Plug in or pull out the cable of node host ``number``.

        The tap leaves the bridge and stays up: a machine whose tap went down never reads it again.
        """
        self.ip("link", "set", f"t{number}", *(["master", "br0"] if up else ["nomaster"]))

    def inside(self, argv: Sequence[str]) -> list[str]:
        """``argv`` as a command that runs in the namespace."""
        return ["ip", "netns", "exec", self._name, *argv]

    def ip(self, *argv: str) -> Completed:
        """Run ``ip`` on the namespace."""
        return run(["ip", "-n", self._name, *argv])

    def remove(self) -> None:
        """No process runs in the namespace and it is gone, with its bridge and taps."""
        if not self.exists():
            return
        deadline = time.monotonic() + 10.0
        while left := self._processes():
            if time.monotonic() > deadline:
                raise TestbedError(f"processes {left} in namespace {self._name} do not end")
            for pid in left:
                _kill(pid)
            time.sleep(0.05)
        run(["ip", "netns", "del", self._name])

    def _processes(self) -> list[int]:
        pids = run(["ip", "netns", "pids", self._name]).stdout.split()
        return [int(pid) for pid in pids if int(pid) != os.getpid()]

    def _has(self, device: str) -> bool:
        return run(["ip", "-n", self._name, "link", "show", device], check=False).ok


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
