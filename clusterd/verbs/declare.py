"""How a function becomes a call that a node can be asked. The rest is read off its signature.

The first parameter is the ``Host``; one called ``say`` is given a function for lines of progress;
all others travel. Errors of the verb are ``ClusterError`` with a code of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

F = TypeVar("F", bound=Callable[..., object])

READ_DEADLINE_S = 60.0
LOOK_DEADLINE_S = 150.0
"""Of storage: two programs to the end of their own time, so that the job hears which of them hung
rather than that its node did not answer."""
CHANGE_DEADLINE_S = 900.0
"""As Ganeti's normal class of calls: creating a large volume on slow disks takes minutes."""
DAY_S = 86400.0
"""What Ganeti gives OS scripts."""


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What a signature does not say."""

    reads: bool = False
    """Changes nothing: runs beside others and is not remembered."""
    subject: str = ""
    """Kind of the thing on which only one such call works at a time; empty: any number."""
    named_by: tuple[str, ...] = ()
    """Parameter, and fields of it, that name the thing; none: there is one on a node."""
    observed: bool = False
    """What it changes is part of an observation, so the node is looked at soon after it."""
    deadline_s: float = CHANGE_DEADLINE_S


def verb(
    *,
    reads: bool = False,
    subject: str = "",
    named_by: tuple[str, ...] = (),
    observed: bool = False,
    deadline_s: float | None = None,
) -> Callable[[F], F]:
    """Mark a coroutine function as a verb."""
    usual = READ_DEADLINE_S if reads else CHANGE_DEADLINE_S
    declared = Declared(
        reads=reads,
        subject=subject,
        named_by=named_by,
        observed=observed,
        deadline_s=usual if deadline_s is None else deadline_s,
    )

    def mark(function: F) -> F:
        function.declared = declared  # type: ignore[attr-defined]
        return function

    return mark
