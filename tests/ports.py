"""Ports of loopback for daemons that a test starts, perhaps much later.

A port that the kernel gives out may be given to somebody's connection before the daemon takes it,
so these lie below the kernel's range, and each process that tests has a row of its own.
"""

from __future__ import annotations

import itertools
import os
import socket

FIRST, ROWS, ROW = 16_000, 160, 100
_COUNT = itertools.count()


def free_port() -> int:
    """A port of loopback that nothing listens on and that nobody else here was given."""
    row = FIRST + os.getpid() % ROWS * ROW
    for number in itertools.islice(_COUNT, ROW):
        port = row + number % ROW
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError(f"all ports from {row} to {row + ROW - 1} are in use")
