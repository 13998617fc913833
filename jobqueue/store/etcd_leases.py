"""etcd's leases; see the contract in ``leadership.py``."""

from __future__ import annotations

import math
from collections.abc import Callable

from jobqueue.errors import LeaseGone
from jobqueue.store.etcd_gateway import Gateway
from jobqueue.store.etcd_race import Race
from jobqueue.store.etcd_wire import KeepAliveAnswer, LeaseAnswer, Nothing
from jobqueue.store.leadership import Lease, Leases


class EtcdLeases(Leases):
    """The leases of one etcd cluster; whole seconds."""

    def __init__(self, gateway: Gateway, check_open: Callable[[], None]) -> None:
        self._gateway = gateway
        self._check_open = check_open

    async def grant(self, ttl_s: float) -> Lease:
        """See the contract. etcd makes a lease longer that is shorter than one and a half
        elections."""
        self._check_open()
        message = {"TTL": str(max(1, math.ceil(ttl_s)))}
        answer = await self._gateway.ask("lease/grant", message, LeaseAnswer)
        return Lease(answer.id, float(answer.ttl_s))

    async def keep_alive(self, lease_id: int) -> float:
        """See the contract."""
        self._check_open()
        message = {"ID": str(lease_id)}
        answer = await Race(self._gateway, "lease/keepalive", message, KeepAliveAnswer).won
        if answer.result is None or answer.result.ttl_s <= 0:
            raise LeaseGone(f"lease {lease_id:x} has ended: take a new one")
        return float(answer.result.ttl_s)

    async def revoke(self, lease_id: int) -> None:
        """See the contract."""
        self._check_open()
        try:
            await self._gateway.ask("lease/revoke", {"ID": str(lease_id)}, Nothing)
        except LeaseGone:
            return
