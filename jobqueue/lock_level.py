"""The locks of one level: who holds which names, who is next for them. Pure bookkeeping.

Decided here: when a claim may be granted. A claim names all that its owner wants of the level and
is granted whole: nobody holds a part of a level while waiting for another part of it. That keeps
``[lockset]`` (which stands against each name) out of every circle of waiting.

Invariants: a name has any number of shared holders or one exclusive holder, the lockset counting
as each name; no waiting claim is free to be granted; a granted claim never frees another one, since
it stands against the same claims as holder as it did waiting ahead of them. The cost of a change
depends on the lines of the names concerned, not on the number of locks or waiters of the level.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping

ALL = "[lockset]"
"""The name that stands for each lock of a level, future ones included."""

Order = tuple[float, int]
"""(turn, ticket): smaller is served first; see ``jobqueue.ageing`` for the turn."""


class Claim:
    """What one owner wants of one level: names, each shared or not. Orders are unique."""

    def __init__(self, owner: str, wants: Mapping[str, bool], order: Order) -> None:
        self.owner = owner
        self.wants = wants
        self.order = order

    @property
    def shared(self) -> bool:
        """True when nothing is wanted exclusively."""
        return all(self.wants.values())


class _Line:
    """Claims in the order in which they are served."""

    def __init__(self) -> None:
        self.everybody: list[Claim] = []
        self._exclusive: list[Order] = []

    def add(self, claim: Claim, shared: bool) -> None:
        bisect.insort(self.everybody, claim, key=_order)
        if not shared:
            bisect.insort(self._exclusive, claim.order)

    def remove(self, claim: Claim, shared: bool) -> None:
        del self.everybody[bisect.bisect_left(self.everybody, claim.order, key=_order)]
        if not shared:
            del self._exclusive[bisect.bisect_left(self._exclusive, claim.order)]

    def stands_against(self, order: Order, shared: bool) -> bool:
        """True when a claim ahead of ``order`` cannot share with it."""
        if shared:
            return bool(self._exclusive) and self._exclusive[0] < order
        return bool(self.everybody) and self.everybody[0].order < order


class LockLevel:
    """The holders and the waiting claims of one level."""

    def __init__(self) -> None:
        self.holders: dict[str, dict[str, bool]] = {}
        self._exclusively_held = 0
        self._lines: dict[str, _Line] = {}
        self._whole_line = _Line()
        """Each waiting claim once; exclusive when any of its names is."""

    def names(self) -> set[str]:
        """All names that somebody holds or waits for."""
        return set(self.holders) | set(self._lines)

    def known(self, name: str) -> bool:
        """True when somebody holds or waits for ``name``."""
        return name in self.holders or name in self._lines

    def against(self, claim: Claim) -> set[str]:
        """Whom a waiting claim waits for: holders, and claims ahead of it."""
        found: set[str] = set()
        for name, shared in claim.wants.items():
            names = [*self.holders, *self._lines] if name == ALL else [name, ALL]
            for one in names:
                holders = self.holders.get(one, {})
                found.update(owner for owner, also in holders.items() if not (shared and also))
                found.update(
                    other.owner
                    for other in self.line(one)
                    if other.order < claim.order and not (shared and other.wants[one])
                )
        return found

    def line(self, name: str) -> list[Claim]:
        """Who waits for ``name``, next one first."""
        line = self._lines.get(name)
        return list(line.everybody) if line else []

    def can_share(self, name: str, shared: bool) -> bool:
        """True when no holder stands against a new holder of ``name``."""
        if name == ALL:
            return self._exclusively_held == 0 if shared else not self.holders
        return _fits(self.holders.get(name), shared) and _fits(self.holders.get(ALL), shared)

    def hold(self, owner: str, wants: Mapping[str, bool]) -> None:
        """Make ``owner``, who holds nothing of this level, a holder."""
        for name, shared in wants.items():
            self.holders.setdefault(name, {})[owner] = shared
            self._exclusively_held += not shared

    def let_go(self, owner: str, names: Iterable[str]) -> list[Claim]:
        """``owner`` gives ``names`` back; answers the claims that are granted thereby."""
        names = list(names)
        for name in names:
            owners = self.holders[name]
            self._exclusively_held -= not owners.pop(owner)
            if not owners:
                del self.holders[name]
        return self._serve(names)

    def ask(self, claim: Claim) -> bool:
        """Grant the claim or let it wait; True when granted."""
        if self._free(claim):
            self.hold(claim.owner, claim.wants)
            return True
        self._line_up(claim)
        return False

    def withdraw(self, claim: Claim) -> list[Claim]:
        """The claim no longer waits; answers the claims that are granted thereby."""
        self._take_out(claim)
        return self._serve(claim.wants)

    def move(self, claim: Claim, order: Order) -> list[Claim]:
        """The claim waits in another place; answers the claims that are granted thereby."""
        self._take_out(claim)
        claim.order = order
        self._line_up(claim)
        return self._serve(claim.wants)

    def _free(self, claim: Claim) -> bool:
        return all(self._is_next(claim, name, shared) for name, shared in claim.wants.items())

    def _is_next(self, claim: Claim, name: str, shared: bool) -> bool:
        if not self.can_share(name, shared):
            return False
        if name == ALL:
            return not self._whole_line.stands_against(claim.order, shared)
        lines = (self._lines.get(name), self._lines.get(ALL))
        return not any(line and line.stands_against(claim.order, shared) for line in lines)

    def _line_up(self, claim: Claim) -> None:
        for name, shared in claim.wants.items():
            self._lines.setdefault(name, _Line()).add(claim, shared)
        self._whole_line.add(claim, claim.shared)

    def _take_out(self, claim: Claim) -> None:
        for name, shared in claim.wants.items():
            line = self._lines[name]
            line.remove(claim, shared)
            if not line.everybody:
                del self._lines[name]
        self._whole_line.remove(claim, claim.shared)

    def _serve(self, names: Iterable[str]) -> list[Claim]:
        """Grant what a change of ``names`` has freed, in order."""
        granted: list[Claim] = []
        if ALL in names:
            granted += self._serve_line(self._whole_line.everybody, ALL)
        else:
            for name in (*names, ALL):
                granted += self._serve_line(self.line(name), name)
        return sorted(granted, key=_order)

    def _serve_line(self, waiting: list[Claim], name: str) -> list[Claim]:
        granted = []
        for claim in list(waiting):
            if self._free(claim):
                self._take_out(claim)
                self.hold(claim.owner, claim.wants)
                granted.append(claim)
            elif claim.wants.get(name) is False:
                break  # it stands against everybody behind it
        return granted


def _order(claim: Claim) -> Order:
    return claim.order


def _fits(owners: dict[str, bool] | None, shared: bool) -> bool:
    """A new holder beside ``owners``: if one of them is exclusive, it is the only one."""
    if not owners:
        return True
    return shared and next(iter(owners.values()))
