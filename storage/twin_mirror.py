"""How two copies of an in-memory mirror meet. Pure; follows DRBD's rules on generations.

A copy remembers the generation of its data, the one since which its peer lacks changes (``base``),
and older ones. Equal generations are equal data; a copy whose base is the other's generation has
all that the other has and more; two with the same base were written separately.
"""

from __future__ import annotations

import enum

import msgspec

FRESH = ""
"""Generation of a copy that never was up to date."""
HISTORY_MAX = 2
"""As many old generations as DRBD keeps."""


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """One side's stored data. ``content`` names the last write that it has."""

    current: str = FRESH
    base: str = ""
    history: tuple[str, ...] = ()
    good: bool = False
    """False while never synchronised or half synchronised."""
    changed: bool = False
    """Written since ``base``."""
    content: str = ""
    begun: bool = False
    """Some of the peer's data were copied over it, not yet all."""

    def alone(self, generation: str) -> Copy:
        """The copy once its peer cannot follow it any more."""
        base = self.base or self.current
        return msgspec.structs.replace(self, current=generation, base=base)

    def as_source(self) -> Copy:
        """The copy once its peer has all of it."""
        old = (self.base, *self.history) if self.base else self.history
        return msgspec.structs.replace(
            self, base="", history=old[:HISTORY_MAX], changed=False, good=True, begun=False
        )


class Meeting(enum.Enum):
    """What comes of two copies that can see each other."""

    EQUAL = enum.auto()
    """Connected, both good, nothing to copy."""
    IDLE = enum.auto()
    """Neither has good data: connected, nothing to copy."""
    FIRST = enum.auto()
    """The first is copied to the second."""
    SECOND = enum.auto()
    REFUSED = enum.auto()
    """Split brain, strangers, or a primary that would have to give up its data."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """A copy with what its node wants."""

    copy: Copy
    primary: bool = False
    gives_up: bool = False
    """Changes made during a split may be discarded here."""


def meet(first: Side, second: Side) -> Meeting:
    """What comes of it. Invariant: the good data of a primary are never replaced."""
    outcome = _compare(first.copy, second.copy)
    if outcome is None:
        outcome = _split(first, second)
    if outcome is Meeting.FIRST and second.primary and not second.copy.begun:
        return Meeting.REFUSED
    if outcome is Meeting.SECOND and first.primary and not first.copy.begun:
        return Meeting.REFUSED
    return outcome


def _compare(first: Copy, second: Copy) -> Meeting | None:
    """By generations alone; None when both were written separately."""
    if first.current == second.current or FRESH in (first.current, second.current):
        if first.good is second.good:
            return Meeting.EQUAL if first.good else Meeting.IDLE
        return Meeting.FIRST if first.good else Meeting.SECOND
    if second.current in (first.base, *first.history):
        return Meeting.FIRST
    if first.current in (second.base, *second.history):
        return Meeting.SECOND
    if first.base and first.base == second.base:
        return None
    return Meeting.REFUSED


def _split(first: Side, second: Side) -> Meeting:
    """A side gives way if it was told to, or by itself if it has no change and is secondary."""
    if first.gives_up != second.gives_up:
        return Meeting.SECOND if first.gives_up else Meeting.FIRST
    if first.primary and second.primary:
        return Meeting.REFUSED
    if not second.copy.changed and not second.primary:
        return Meeting.FIRST
    if not first.copy.changed and not first.primary:
        return Meeting.SECOND
    return Meeting.REFUSED
