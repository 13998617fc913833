"""The lease contract: what a store offers to those who must prove that they are still alive.

How the caller uses it: a would-be master takes a lease with ``grant`` and claims a key with a
transaction that carries that lease (``Transaction(expects=((KEY, ABSENT),), puts=((KEY, value),),
lease=lease.id)``). The revision that ``commit`` answers is the key's version and, as revisions only
grow, the number of this claim. It then calls ``keep_alive`` well before the lease ends. When it
does not, the store deletes the keys of the lease in a commit of its own: whoever watches the key
hears of it, and every transaction that expected the key's version conflicts from then on.

Whose clock: a lease ends by the store's clock, never by the holder's. The holder counts
``ttl_s`` from the moment *before* it asked (``grant`` or ``keep_alive``) and stops earlier than
that. The store may hold a lease longer than ``ttl_s`` (etcd starts all leases anew when its leader
changes), never shorter.

An engine that only one process can have open (SQLite) has no leases: ``Store.leases`` is None.
"""

from __future__ import annotations

import abc

import msgspec

NO_LEASE = 0
"""``Transaction.lease`` of a transaction whose keys stay."""


class Lease(msgspec.Struct, frozen=True):
    """A lease that the store has granted."""

    id: int
    ttl_s: float
    """How long it lasts without being kept alive; may be longer than was asked for."""


class Leases(abc.ABC):
    """One store's leases. Any verb raises StoreAway when the store does not answer in time."""

    @abc.abstractmethod
    async def grant(self, ttl_s: float) -> Lease:
        """A new lease. After StoreAway there may be one that nobody knows: it ends by itself."""

    @abc.abstractmethod
    async def keep_alive(self, lease_id: int) -> float:
        """Start the lease anew; answers how many seconds it lasts from the moment of asking.

        Raises LeaseGone when it has ended: its keys are deleted. StoreAway: it may or may not have
        been started anew, so its holder must count on the earlier time.
        """

    @abc.abstractmethod
    async def revoke(self, lease_id: int) -> None:
        """End the lease and delete its keys now. Gone already: success."""
