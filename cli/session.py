"""The outside of a command: streams, terminal, clock, environment and the master's door.

Decided here: how a question is asked (on the terminal, never on standard input; without a terminal
the answer is no) and when progress may be drawn. One object of this class is made, in ``main``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TextIO

from clusterd.doorway.client import Door, door_path

_YES = frozenset({"y", "yes"})
_NO = frozenset({"", "n", "no"})
_QUESTIONS_MAX = 5

UNASKED = (
    "Nothing was done, as there is no terminal to ask on: {question}\n"
    "See --help for what answers yes"
)

NAME_BYTES = 16
"""As many as a uuid has; ``uuid`` itself takes long to import."""


class RealSession:
    """This process."""

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        out: TextIO | None = None,
        err: TextIO | None = None,
        terminal: str = "/dev/tty",
    ) -> None:
        self.environment = os.environ if environment is None else environment
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._terminal = terminal
        self._door: Door | None = None

    @property
    def live(self) -> bool:
        """A person watches both streams."""
        return self._out.isatty() and self._err.isatty()

    @property
    def door(self) -> Door:
        """The master's door; connected by its first call."""
        if self._door is None:
            self._door = Door(door_path(self.environment))
        return self._door

    def out(self, text: str) -> None:
        """A line on standard output, at once: programs read it while a job runs."""
        print(text, file=self._out, flush=True)

    def err(self, text: str) -> None:
        """A line on standard error."""
        self._out.flush()
        print(text, file=self._err, flush=True)

    def ask(self, question: str) -> bool:
        """y, n or ? on the terminal; no terminal, no answer or an odd one is no. Without a terminal
        the question is told as an error: nobody else would know why nothing was done."""
        try:
            # opened twice: a terminal cannot seek, so Python has no text stream for both ways
            with (
                open(self._terminal, encoding="utf-8") as keyboard,
                open(self._terminal, "w", encoding="utf-8") as screen,
            ):
                for _ in range(_QUESTIONS_MAX):
                    print(f"{question}\ny/[n]/?: ", end="", file=screen, flush=True)
                    answer = keyboard.readline().strip().lower()
                    if answer in _YES:
                        return True
                    if answer in _NO:
                        return False
                    print("y: do it; n: do not", file=screen)
        except OSError:
            self.err(UNASKED.format(question=question))
            return False
        return False

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns()

    def draw_name(self) -> str:
        """A name for a request that no other request has."""
        return os.urandom(NAME_BYTES).hex()

    def pause(self, duration_s: float) -> None:
        """Let time pass."""
        time.sleep(duration_s)

    def read_input(self) -> str:
        """All of standard input."""
        return sys.stdin.read()

    def replace_process(self, argv: list[str]) -> int:
        """Become another program."""
        self._out.flush()
        self._err.flush()
        os.execvp(argv[0], argv)

    def close(self) -> None:
        """Hang up."""
        if self._door is not None:
            self._door.close()
