"""From large to small: which size is tried when no further instance of one fits.

The way is ``hspace``'s: the resource that refused most placements is made smaller until fewer are
refused for it (not until one fits: the next may be refused for another resource), and as many as
fit are placed, and so on. If that way places nothing, each other resource alone is made smaller
until one fits.

``hspace`` ends there, and never tries the smallest unit of a resource. Unless its very answer is
asked for (``as_hspace``), we go on: each size that any policy allows is tried before the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from clusterd.placement.causes import KINDS, MENDED_BY, counted
from clusterd.placement.facts import Spec

UNITS = {"memory_mib": 64, "disk_mib": 256, "vcpus": 1, "spindles": 1}
"""The steps in which sizes are reduced, and the smallest sizes."""
LOOK_AHEAD = 50
"""Of more sizes than these, the first look is not at the middle one. What is looked for need not
be found by another order of looks: sizes below the policy's refuse as the largest did."""


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
    fields: list[str | None]
    failures: Counter[str]
    placed: int


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
        room, way, limit = self.room, [], self.room.options.limit
        begin = len(room.placements)
        size: Spec | None = spec
        while size is not None:
            failures = room.fill(size, None if limit is None else self._left())
            if self._ended(limit, begin) or not room.keep_going():
                return failures
            fields = _fields(failures)
            way.append(_Stop(size, fields, failures, len(room.placements)))
            size = None if fields[0] is None else self._fewer_refused(size, fields[0])
            while size is None and way:
                last = way.pop()
                if len(room.placements) > last.placed:
                    return failures
                failures = last.failures
                size = self._fitting_any(last)
        return failures

    def _ended(self, limit: int | None, begin: int) -> bool:
        """Whether a limit leaves nothing to do. A limited hspace ends with the first size of which
        any fits."""
        if limit is None:
            return False
        if self.room.options.as_hspace:
            return len(self.room.placements) > begin
        return self._left() == 0

    def _left(self) -> int:
        return int(self.room.options.limit) - len(self.room.placements)

    def _fitting_any(self, stop: _Stop) -> Spec | None:
        for field in stop.fields[1:]:
            fitting = None if field is None else self._fitting(stop.spec, field)
            if fitting is not None:
                return fitting
        return None

    def _fewer_refused(self, spec: Spec, field: str) -> Spec | None:
        """The first smaller size for which another count is refused for ``field``."""
        before = _caused(self.room.look(spec).failures, field)
        return _first(
            _sizes(spec, field), lambda one: _caused(self.room.look(one).failures, field) != before
        )

    def _fitting(self, spec: Spec, field: str) -> Spec | None:
        """The first smaller size that fits, while some are refused for ``field``: all sizes between
        are refused, so the first may be sought by halving."""
        least = self._least(field)
        sizes = [one for one in _sizes(spec, field) if getattr(one, field) >= least]
        kind = next(kind for kind, mended in MENDED_BY.items() if mended == field)

        def ends(one: Spec) -> bool:
            look = self.room.look(one)
            return look.found is not None or not counted(look.failures)[kind]

        if not sizes or ends(sizes[0]):
            return None
        first = _first(sizes, ends)
        return first if first is not None and self.room.look(first).found is not None else None

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
        size, unit = int(getattr(spec, field)), UNITS[field]
        steps = range(1, (size - self._least(field)) // unit + 1)
        sizes = [msgspec.structs.replace(spec, **{field: size - step * unit}) for step in steps]

        def fits(one: Spec) -> bool:
            return self.room.look(one).found is not None

        return _first(sizes, fits) if sizes and fits(sizes[-1]) else None


def _fields(failures: Counter[str]) -> list[str | None]:
    """Sizes to reduce, by the kind of failure, the most frequent first (of equals the last of
    htools' order); None: no size helps."""
    counts = counted(failures)
    kinds = sorted(KINDS, key=lambda kind: (-counts[kind], -KINDS.index(kind)))
    return list(dict.fromkeys(MENDED_BY.get(kind) for kind in kinds))


def _caused(failures: Counter[str], field: str) -> int:
    return sum(count for kind, count in counted(failures).items() if MENDED_BY.get(kind) == field)


def _sizes(spec: Spec, field: str) -> list[Spec]:
    """The size and all smaller ones but the least."""
    unit, size = UNITS[field], int(getattr(spec, field))
    return [
        msgspec.structs.replace(spec, **{field: value})
        for value in range(size, 2 * unit - 1, -unit)
    ]


def _first(sizes: list[Spec], holds: Callable[[Spec], bool]) -> Spec | None:
    """The first for which it holds; it then holds for all that follow."""
    found: Spec | None = None
    while sizes:
        at = LOOK_AHEAD if len(sizes) > LOOK_AHEAD else len(sizes) // 2
        if holds(sizes[at]):
            found, sizes = sizes[at], sizes[:at]
        else:
            sizes = sizes[at + 1 :]
    return found
