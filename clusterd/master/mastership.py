"""The mastership: who has it, what it is worth, and the store's key that says so.

Every transaction of a master expects the version of that key; so the first write of a newer master
deposes the older one, and nodes refuse calls with a lower epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from jobqueue.errors import Conflict, Refused
from jobqueue.store.interface import ABSENT, Store, Transaction

KEY = "mastership"
WISH = "mastership-wish"


class Claimant(msgspec.Struct, frozen=True):
    """Who wants to be master: the node's name and its primary address."""

    node: str
    address: str = ""


class Mastership(msgspec.Struct, frozen=True, kw_only=True):
    """Who is master, since when (seconds since the epoch), and its number, higher than that of
    every earlier one."""

    node: str
    epoch: int
    since: float
    address: str = ""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An operator wants ``node`` to be master after the master of ``epoch``. Means nothing to
    any other master."""

    node: str
    epoch: int


class Grant(msgspec.Struct, frozen=True):
    """A mastership that was granted; ``version`` is that of its key."""

    mastership: Mastership
    version: int

    def fence(self) -> Transaction:
        """What each of this master's transactions expects."""
        return Transaction(expects=((KEY, self.version),))


class Leadership(Protocol):
    """Where a mastership comes from. All verbs raise StoreAway when the store does not answer."""

    async def claim(self, who: Claimant, now: float) -> Grant | None:
        """Become master; None when somebody is already, or was faster."""

    async def renew(self, grant: Grant) -> bool:
        """Go on being master for another term; False: it is over."""

    async def release(self, grant: Grant) -> None:
        """Be master no longer. Over already: success."""

    async def holder(self) -> Mastership | None:
        """Who is master now; None when the mastership is vacant."""

    async def wanted(self) -> Wish | None:
        """Whom an operator wants to be master."""

    async def want(self, wish: Wish) -> None:
        """Say so; raises Refused where no other can be."""

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call ``told`` when the holder or the wish may have changed; answers the function that
        ends it."""


class LoneLeadership:
    """Of a store that one process has to itself: whoever opened it is master, without end.

    The key stays when the master ends, as it says which epoch was the last.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(self, who: Claimant, now: float) -> Grant | None:
        """See ``Leadership``."""
        try:
            return await take(self._store, who, now)
        except Conflict:
            return None

    async def renew(self, grant: Grant) -> bool:
        """See ``Leadership``."""
        entry = await self._store.get(KEY)
        return entry is not None and entry.version == grant.version

    async def release(self, grant: Grant) -> None:
        """See ``Leadership``."""

    async def holder(self) -> Mastership | None:
        """Nobody else can be."""
        return None

    async def wanted(self) -> Wish | None:
        """Nobody else can be."""
        return None

    async def want(self, wish: Wish) -> None:
        """See ``Leadership``."""
        raise Refused(
            "The store is a file of this node (sqlite), so no other node can take over. To make"
            " another node master, run 'gnt-cluster backup' here and 'gnt-cluster restore' there,"
            " or move the cluster to etcd with 'gnt-cluster store migrate'",
            "wrong_state",
        )

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """Nothing will happen."""
        return lambda: None


async def take(store: Store, who: Claimant, now: float) -> Grant:
    """Become master: write the next epoch. Raises Conflict when somebody else was faster."""
    entry = await store.get(KEY)
    last = msgspec.json.decode(entry.value, type=Mastership).epoch if entry else 0
    mine = Mastership(node=who.node, epoch=last + 1, since=now, address=who.address)
    expected = entry.version if entry else ABSENT
    version = await store.commit(
        Transaction(expects=((KEY, expected),), puts=((KEY, msgspec.json.encode(mine)),))
    )
    return Grant(mine, version)
