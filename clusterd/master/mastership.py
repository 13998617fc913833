"""The mastership: taking it means writing the next epoch, having it means that key is unchanged.

Every transaction of a master expects the key's version; so the first write of a newer master
deposes the older one, and nodes refuse calls with a lower epoch.
"""

from __future__ import annotations

import msgspec

from jobqueue.store.interface import ABSENT, Store, Transaction

KEY = "mastership"


class Mastership(msgspec.Struct, frozen=True, kw_only=True):
    """Who is master, since when, and for the how many-th time somebody is."""

    node: str
    epoch: int
    since: float


class Tenure(msgspec.Struct, frozen=True):
    """A mastership that was taken; ``version`` is that of its key."""

    mastership: Mastership
    version: int

    def fence(self) -> Transaction:
        """What each of this master's transactions expects."""
        return Transaction(expects=((KEY, self.version),))


async def take(store: Store, node: str, now: float) -> Tenure:
    """Become master: write the next epoch. Raises Conflict when somebody else was faster."""
    entry = await store.get(KEY)
    last = msgspec.json.decode(entry.value, type=Mastership).epoch if entry else 0
    mine = Mastership(node=node, epoch=last + 1, since=now)
    expected = entry.version if entry else ABSENT
    version = await store.commit(
        Transaction(expects=((KEY, expected),), puts=((KEY, msgspec.json.encode(mine)),))
    )
    return Tenure(mine, version)
