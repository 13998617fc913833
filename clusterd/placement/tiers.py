"""From large to small: which size is tried when no further instance of one fits.

The way is ``hspace``'s: what most placements are refused for is made smaller by one unit, and as
many as fit are placed, and so on down to the smallest unit. Units that change nothing are skipped.
If that places nothing, each other resource alone is made smaller until one fits, first where the
way ended, then back up.

``hspace`` ends there. Unless its very answer is asked for (``as_hspace``), we go on: each size that
any policy allows is tried before the end, and so are two resources at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, overload

import msgspec

from clusterd.placement.causes import KINDS, MENDED_BY, counted
from clusterd.placement.facts import Spec

UNITS = {"memory_mib": 64, "disk_mib": 256, "vcpus": 1, "spindles": 1}
"""The steps in which sizes are reduced, and the smallest sizes."""


class Room(Protocol):
    """What is filled; see ``capacity.Filling``."""

    cluster: Any
    options: Any
    keep_going: Callable[[], bool]
    placements: list[Any]

    def fill(self, spec: Spec, limit: int | None) -> Counter[str]: ...
    def look(self, spec: Spec) -> Any: ...


class _Stop(NamedTuple):
    """A size of which no more fit."""

    spec: Spec
    kinds: list[str]
    """Of failures, the most frequent first."""
    failures: Counter[str]
    placed: int
    left: int | None
    """Of the limit, below this size."""


class Tiers:
    """The way through the sizes of one filling."""

    def __init__(self, room: Room) -> None:
        self.room = room

    def all_of(self, specs: tuple[Spec, ...]) -> Counter[str]:
        """Each of these sizes and what is below; what refused the last one."""
        failures: Counter[str] = Counter()
        limit = self.room.options.limit
        for spec in specs:
            if limit is not None and self.room.placements and not self._left():
                break
            failures = self.below(spec)
            if not self.room.options.as_hspace:
                failures = self._to_the_last(spec, failures)
        return failures

    def below(self, spec: Spec) -> Counter[str]:
        """This size, then smaller ones; answers what refused the last."""
        room, way = self.room, list[_Stop]()
        left = None if room.options.limit is None else self._left()
        size: Spec | None = spec
        while size is not None:
            failures = room.fill(size, left)
            if not room.keep_going():
                return failures
            placed = len(room.placements)
            size, left = self._next(way, _Stop(size, _kinds(failures), failures, placed, left))
            while size is None and way:
                last = way.pop()
                if len(room.placements) > last.placed:
                    return failures
                failures, left = last.failures, last.left
                size = self._fitting_any(last)
        return failures

    def _next(self, way: list[_Stop], here: _Stop) -> tuple[Spec | None, int | None]:
        """The next smaller size that is not refused as this one, and its limit. ``way`` is given
        the sizes to come back to: this one, and the last of those that are refused as it is."""
        left = here.left
        if left is not None:
            # a limited hspace takes all that it placed so far off what is left, with each unit
            taken = here.placed if self.room.options.as_hspace else 0
            if left <= taken or not (self.room.options.as_hspace or self._left()):
                return None, None
            left = left - taken if self.room.options.as_hspace else self._left()
        way.append(here._replace(left=left))
        sizes, at = self._smaller(here)
        units = len(sizes) if at is None else at
        if left is not None and self.room.options.as_hspace and here.placed:
            most = (left - 1) // here.placed
            if most < units:
                units, at = most, None
            left -= units * here.placed
        if units:
            way.append(here._replace(spec=sizes[units - 1], left=left))
        return (None if at is None else sizes[at]), left

    def _smaller(self, stop: _Stop) -> tuple[Sequence[Spec], int | None]:
        """The smaller sizes on the way of the most frequent failure, and the place of the first
        that is not refused as this one."""
        field = MENDED_BY.get(stop.kinds[0])
        sizes: Sequence[Spec] = _sizes(stop.spec, field)[1:] if field is not None else ()
        before = self._caused(stop.spec, stop.kinds[0])
        changed = _first(sizes, lambda one: self._caused(one, stop.kinds[0]) != before)
        return sizes, changed

    def _left(self) -> int:
        return int(self.room.options.limit) - len(self.room.placements)

    def _caused(self, spec: Spec, kind: str) -> int:
        return counted(self.room.look(spec).failures)[kind]

    def _fitting_any(self, stop: _Stop) -> Spec | None:
        for kind in stop.kinds:
            fitting = self._fitting(stop.spec, kind)
            if fitting is not None:
                return fitting
        return None

    def _fitting(self, spec: Spec, kind: str) -> Spec | None:
        """The first smaller size that fits, while some are refused for ``kind``: all sizes between
        are refused, so the first may be sought by halving. The least is not tried, as there."""
        field = MENDED_BY.get(kind)
        if field is None:
            return None
        least = max(self._least(field), 2 * UNITS[field])
        sizes = _sizes(spec, field, least)

        def ends(one: Spec) -> bool:
            look = self.room.look(one)
            return look.found is not None or not counted(look.failures)[kind]

        if not sizes or ends(sizes[0]):
            return None
        at = _first(sizes, ends)
        return None if at is None or self.room.look(sizes[at]).found is None else sizes[at]

    def _to_the_last(self, spec: Spec, failures: Counter[str]) -> Counter[str]:
        """What ``hspace`` does not try: the policies' least sizes, two of them at once."""
        limit = self.room.options.limit
        while self.room.keep_going() and (limit is None or self._left()):
            smaller = self._least_change(spec)
            if smaller is None:
                break
            failures = self.below(smaller)
        return failures

    def _least_change(self, spec: Spec) -> Spec | None:
        """The size that fits and differs in one resource; or in two, one of them at its least."""
        for field in UNITS:
            if (one := self._largest(spec, field)) is not None:
                return one
        for field in UNITS:
            least = min(self._least(field), getattr(spec, field))
            small = msgspec.structs.replace(spec, **{field: least})
            for other in UNITS:
                found = self._largest(small, other)
                if other != field and found is not None:
                    return found
        return None

    def _least(self, field: str) -> int:
        """What any policy asks for at least."""
        cluster = self.room.cluster
        groups = range(len(cluster.facts.groups))
        ranges = [low for one in groups for low, _ in cluster.policy(one).ranges]
        return max(UNITS[field], min(int(getattr(low, field)) for low in ranges))

    def _largest(self, spec: Spec, field: str) -> Spec | None:
        """The largest smaller size that fits, down to the policies' least."""
        sizes = _sizes(spec, field, self._least(field))[1:]

        def fits(one: Spec) -> bool:
            return self.room.look(one).found is not None

        if not sizes or not fits(sizes[-1]):
            return None
        at = _first(sizes, fits)
        return None if at is None else sizes[at]


def _kinds(failures: Counter[str]) -> list[str]:
    """Kinds of failure, the most frequent first (of equals the last of htools' order)."""
    counts = counted(failures)
    return sorted(KINDS, key=lambda kind: (-counts[kind], -KINDS.index(kind)))


class _Sizes(Sequence[Spec]):
    """One size and smaller ones of a resource, each made when it is looked at: there may be
    more than fit into memory."""

    def __init__(self, spec: Spec, field: str, values: range) -> None:
        self.spec, self.field, self.values = spec, field, values

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, at: int) -> Spec: ...
    @overload
    def __getitem__(self, at: slice) -> _Sizes: ...
    def __getitem__(self, at: int | slice) -> Spec | _Sizes:
        if isinstance(at, slice):
            return _Sizes(self.spec, self.field, self.values[at])
        return msgspec.structs.replace(self.spec, **{self.field: self.values[at]})


def _sizes(spec: Spec, field: str, least: int | None = None) -> _Sizes:
    """The size and all smaller ones down to ``least``, by default the unit."""
    unit, size = UNITS[field], int(getattr(spec, field))
    last = min(size, unit) if least is None else least
    return _Sizes(spec, field, range(size, last - 1, -unit))


def _first(sizes: Sequence[Spec], holds: Callable[[Spec], bool]) -> int | None:
    """The place of the first for which it holds; it then holds for all that follow."""
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(sizes[middle]) else (middle + 1, high)
    return low if low < len(sizes) else None
