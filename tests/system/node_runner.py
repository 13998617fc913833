"""Runs on a node host: carries out commands that come as JSON lines, with the product's own code.

One process that stays costs a tenth of a new login for each command.
"""

from __future__ import annotations

import sys

import msgspec

from storage.commands import read_blocking, run_blocking
from storage.errors import CommandTimedOut
from storage.interface import USUAL, Output, Surroundings

TIMED_OUT = -1000


class Order(msgspec.Struct):
    """One command, or one file to read when ``argv`` is empty."""

    argv: tuple[str, ...] = ()
    path: str = ""
    timeout_s: float = 60.0
    stdin: str | None = None
    around: Surroundings = USUAL


def obey(order: Order) -> Output:
    """What came of it."""
    if not order.argv:
        return Output(code=0, stdout=read_blocking(order.path), stderr="")
    try:
        return run_blocking(order.argv, order.timeout_s, order.stdin, order.around)
    except CommandTimedOut as error:
        return Output(code=TIMED_OUT, stdout="", stderr=str(error))


def main() -> None:
    """Until the other end goes."""
    for line in sys.stdin.buffer:
        answer = msgspec.json.encode(obey(msgspec.json.decode(line, type=Order)))
        sys.stdout.buffer.write(answer + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
