"""What the demo's guest says on its console and on its disk. Pure: text in, facts out.

The guest (clusterd/share/guest) prints ``BOOTED ... boot=B last=N ...`` once and then ``TICK N up``
for ever, and writes ``TICK N boot=B`` to one place of its disk at each tick, forced out.
"""

from __future__ import annotations

import itertools
import re

import msgspec

COUNTER_OFFSET = 528384
"""Bytes from the start of the disk to the counter."""
COUNTER_SIZE = 4096
COUNTER_BLOCK = COUNTER_OFFSET // COUNTER_SIZE

_TICK = re.compile(r"^TICK (\d+) [\d.]+\s*$", re.MULTILINE)
_BOOTED = re.compile(r"^BOOTED .*\bboot=(\d+) last=(\d+)\b.*$", re.MULTILINE)
_COUNTER = re.compile(r"^TICK (\d+) boot=(\d+)\s*$")


class Boot(msgspec.Struct, frozen=True):
    """One start of the guest: its number and the count that it found on its disk."""

    number: int
    last: int


class Counter(msgspec.Struct, frozen=True, order=True):
    """What the guest wrote to its disk."""

    tick: int
    boot: int


def ticks(console: str) -> list[int]:
    """The numbers that were counted on the console, in order; a line cut short is none."""
    return [int(found) for found in _TICK.findall(console)]


def boots(console: str) -> list[Boot]:
    """The starts of the guest on the console, in order."""
    return [Boot(int(number), int(last)) for number, last in _BOOTED.findall(console)]


def counter(block: str) -> Counter | None:
    """The counter in its block of the disk, or None if the guest never wrote there."""
    found = _COUNTER.match(block.strip("\0").strip())
    return Counter(int(found[1]), int(found[2])) if found else None


def gap(counted: list[int]) -> str:
    """Where ``counted`` is not one number after the other, or an empty string."""
    for before, after in itertools.pairwise(counted):
        if after != before + 1:
            return f"after {before} came {after}"
    return ""
