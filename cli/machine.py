"""The machine that a command or daemon runs on, for real: processes, time, names, random numbers.

One of the composing files: what it makes is handed to code that touches nothing itself.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from clusterd.services import Ended, Services
from clusterd.settings import Settings

HOSTNAME_VARIABLE = "CLUSTERD_HOSTNAME"
"""Names this machine differently, so that several nodes can live on one."""


class Machine:
    """Fits ``clusterd.services.Machine`` and ``clusterd.bootstrap.Machine``."""

    def run(self, command: Sequence[str], timeout_s: float) -> Ended:
        """See the protocol."""
        try:
            done = subprocess.run(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            )
        except FileNotFoundError:
            return Ended(127, f"{command[0]}: not found")
        except PermissionError as error:
            return Ended(126, f"{command[0]}: {error.strerror}")
        except subprocess.TimeoutExpired:
            return Ended(124, f"{command[0]} did not end within {timeout_s:.0f} s")
        return Ended(done.returncode, done.stdout.decode(errors="replace"))

    def pause(self, duration_s: float) -> None:
        """See the protocol."""
        time.sleep(duration_s)

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def steady(self) -> float:
        """Seconds of a clock that nobody sets; it goes on while the machine sleeps."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def hostname(self) -> str:
        """The full name of this machine, as far as it knows it."""
        name = os.environ.get(HOSTNAME_VARIABLE) or socket.gethostname()
        if "." in name:
            return name
        try:
            found = socket.getaddrinfo(name, None, flags=socket.AI_CANONNAME)
        except socket.gaierror:
            return name
        full = found[0][3]
        return full if full.startswith(f"{name}.") else name

    def resolve(self, name: str, family: socket.AddressFamily) -> str | None:
        """The first address of a name, or None."""
        try:
            found = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            return None
        return str(found[0][4][0]) if found else None

    def answers(self, address: str, port: int, timeout_s: float) -> bool:
        """True when something takes connections there."""
        try:
            socket.create_connection((address, port), timeout_s).close()
        except OSError:
            return False
        return True

    def uuid(self) -> str:
        """A new random uuid."""
        return str(uuid.uuid4())

    def token(self, length_bytes: int) -> str:
        """Hexadecimal secret."""
        return secrets.token_hex(length_bytes)

    def below(self, bound: int) -> int:
        """A number in [0, bound)."""
        return secrets.randbelow(bound)


def programs() -> Path:
    """Where the daemons' programs lie: beside the running one."""
    return Path(sys.prefix) / "bin"


def services(settings: Settings) -> Services:
    """The daemons of this machine."""
    return Services(settings, programs(), Machine())
