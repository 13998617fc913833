"""The mastership: who has it, what it is worth, and the store's key that says so.

Every transaction of a master expects the version of that key; so the first write of a newer master
deposes the older one, and nodes refuse calls with a lower epoch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

import msgspec

from jobqueue.errors import Conflict, LeaseGone, Refused, StoreAway
from jobqueue.store.interface import ABSENT, Store, Transaction
from jobqueue.store.leadership import NO_LEASE, Leases

KEY = "mastership"
WISH = "mastership-wish"
BASE = "mastership-base"
"""No epoch in this store is as low: what a store begins with that continues another one."""
PREFIX = "mastership"


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
    lease: int = NO_LEASE
    """That of its key; none in a store that one process has to itself."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An operator wants ``node`` to be master after the master of ``epoch``. Means nothing to
    any other master."""

    node: str
    epoch: int


class Sight(msgspec.Struct, frozen=True):
    """What a look at the store shows."""

    holder: Mastership | None = None
    """Who is master; None: the mastership is vacant."""
    wish: Wish | None = None
    """Whom an operator wants."""


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

    async def look(self) -> Sight:
        """Who is master now, and who should be."""

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

    async def look(self) -> Sight:
        """Nobody else can be."""
        return Sight()

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


class LeasedLeadership:
    """Of a store with leases: the key lives as long as its lease, and its version is the epoch.

    Revisions only grow, so do epochs; ``BASE`` lifts them over those of an earlier store.
    """

    def __init__(self, store: Store, leases: Leases, term_s: float) -> None:
        self._store = store
        self._leases = leases
        self._term_s = term_s

    async def claim(self, who: Claimant, now: float) -> Grant | None:
        """See ``Leadership``. A key without a lease came with a copy of another store."""
        entry = await self._store.get(KEY)
        before = msgspec.json.decode(entry.value, type=Mastership) if entry else None
        if before is not None and before.lease != NO_LEASE:
            return None
        base = await _base(self._store)
        if before is not None and before.epoch > base:
            await self._store.commit(carried_over(before.epoch))
            base = before.epoch
        lease = await self._leases.grant(self._term_s)
        mine = Mastership(node=who.node, epoch=0, since=now, address=who.address, lease=lease.id)
        try:
            version = await self._store.commit(
                Transaction(
                    expects=((KEY, entry.version if entry else ABSENT),),
                    puts=((KEY, msgspec.json.encode(mine)),),
                    lease=lease.id,
                )
            )
        except (Conflict, LeaseGone):
            await self._leases.revoke(lease.id)
            return None
        except StoreAway:
            # the key may be there, and then nobody could be master until the lease ends
            with contextlib.suppress(StoreAway):
                await self._leases.revoke(lease.id)
            raise
        return Grant(msgspec.structs.replace(mine, epoch=base + version), version)

    async def renew(self, grant: Grant) -> bool:
        """See ``Leadership``."""
        try:
            await self._leases.keep_alive(grant.mastership.lease)
        except LeaseGone:
            return False
        return True

    async def release(self, grant: Grant) -> None:
        """See ``Leadership``."""
        await self._leases.revoke(grant.mastership.lease)

    async def look(self) -> Sight:
        """See ``Leadership``."""
        entries = {entry.key: entry for entry in await self._store.read(PREFIX)}
        entry, base, wish = (entries.get(key) for key in (KEY, BASE, WISH))
        wanted = msgspec.json.decode(wish.value, type=Wish) if wish else None
        found = msgspec.json.decode(entry.value, type=Mastership) if entry else None
        if entry is None or found is None or found.lease == NO_LEASE:
            return Sight(None, wanted)
        epoch = (int(base.value) if base else 0) + entry.version
        return Sight(msgspec.structs.replace(found, epoch=epoch), wanted)

    async def want(self, wish: Wish) -> None:
        """See ``Leadership``."""
        await self._store.commit(Transaction(puts=((WISH, msgspec.json.encode(wish)),)))

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """See ``Leadership``."""
        return self._store.watch(PREFIX, lambda changes: told())


def carried_over(epoch: int) -> Transaction:
    """The write of a store that continues another one, whose last epoch was this one."""
    return Transaction(puts=((BASE, str(epoch).encode()),))


async def _base(store: Store) -> int:
    entry = await store.get(BASE)
    return int(entry.value) if entry else 0


async def take(store: Store, who: Claimant, now: float) -> Grant:
    """Become master: write the next epoch. Raises Conflict when somebody else was faster."""
    entry = await store.get(KEY)
    last = msgspec.json.decode(entry.value, type=Mastership).epoch if entry else 0
    epoch = max(last, await _base(store)) + 1
    mine = Mastership(node=who.node, epoch=epoch, since=now, address=who.address)
    expected = entry.version if entry else ABSENT
    version = await store.commit(
        Transaction(expects=((KEY, expected),), puts=((KEY, msgspec.json.encode(mine)),))
    )
    return Grant(mine, version)
