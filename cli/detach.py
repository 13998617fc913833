"""Become a daemon where no systemd makes one: two forks, and the starter waits until it serves.

The starter ends with 0 once the daemon said that it is ready, and with the daemon's own sentence
and 1 when it could not become so: nobody has to guess from a log whether a start worked.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

READY = b"\x00"
Tell = Callable[[str, int], None]
"""Called once by the daemon: ("", 0) when it serves, else what went wrong and the exit code."""


def detach(body: Callable[[Tell], int], wait_s: float, name: str) -> int:
    """Run ``body`` in a process of its own that has no terminal; the starter's exit code."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        if os.fork():
            os._exit(0)  # so that the daemon can never get a terminal again
        _be_daemon(body, writer)
    os.close(writer)
    os.waitpid(child, 0)
    said = _read_within(reader, wait_s)
    if said == READY:
        return 0
    if not said:
        said = b"\x01" + f"{name} ended before it served; see its log".encode()
    print(said[1:].decode(errors="replace"), file=sys.stderr)
    return said[0]


def _be_daemon(body: Callable[[Tell], int], writer: int) -> None:
    code = 1
    try:
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        if null > 2:
            os.close(null)

        def tell(problem: str, exit_code: int) -> None:
            os.write(writer, bytes([exit_code]) + problem.encode(errors="replace"))
            os.close(writer)

        code = body(tell)
    finally:
        os._exit(code)


def _read_within(reader: int, wait_s: float) -> bytes:
    said = b""
    while True:
        if not select.select([reader], [], [], wait_s)[0]:
            return b"\x01it does not serve after %.0f s; see its log" % wait_s
        piece = os.read(reader, 4096)
        if not piece:
            os.close(reader)
            return said
        said += piece
