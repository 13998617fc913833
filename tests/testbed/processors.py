"""Which processor a node host runs on.

User-Mode Linux lets its kernel and a program, two processes, take turns at each system call. On one
processor a turn is a switch between them; over two it wakes the other one up each time. With ptrace
that makes a system call three to four times and a fork twice as slow, with seccomp everything takes
some percent more. So each node host stays on one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

MARK = b"\0umid="
"""What the command line of a node host's kernel holds."""


def quietest() -> int:
    """The processor, of those that this process may use, that has the fewest node hosts."""
    return emptiest(os.sched_getaffinity(0), _taken())


def emptiest(usable: Iterable[int], taken: Iterable[int]) -> int:
    """The first of ``usable`` that occurs least often in ``taken``."""
    counted = Counter(taken)
    return min(sorted(usable), key=lambda processor: counted[processor])


def _taken() -> list[int]:
    """The processor of each node host on this machine, whoever's it is."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        try:
            leads = os.getpgid(pid) == pid
            if leads and MARK in (entry / "cmdline").read_bytes():
                found += os.sched_getaffinity(pid)
        except (ProcessLookupError, FileNotFoundError):
            continue
    return found
