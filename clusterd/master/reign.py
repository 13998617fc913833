"""One mastership from reading the store to letting go: the ``Reign`` of a ``Candidacy``.

Nothing here is real or pretended; ``compose`` and the simulation hand in their own parts. What it
is made of is made anew for each mastership, so nothing of an earlier one can act.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from clusterd.doorway.desk import Desk
from clusterd.errors import ClusterError
from clusterd.master.candidacy import Tenancy
from clusterd.master.mastership import Grant
from clusterd.master.provisions import Product
from clusterd.master.service import Master
from clusterd.master.surroundings import Links
from clusterd.master_address import MasterAddress, address_of
from clusterd.world import Clock, Outfit, Random
from hypervisors.interface import Threads
from jobqueue.store.interface import Store

Change = Callable[[MasterAddress], Awaitable[None]]

LOG = structlog.get_logger("master")


class Entrance(Protocol):
    """The door, as far as a mastership opens and shuts it."""

    def serve(self, desk: Desk) -> None:
        """Requests are answered."""

    def drop(self) -> None:
        """None is any more."""


class Lodging(Protocol):
    """Where a candidate lives: what it needs of its machine and process."""

    @property
    def name(self) -> str:
        """The node's."""

    @property
    def clock(self) -> Clock:
        """Of this process."""

    @property
    def random(self) -> Random:
        """Of this process."""

    @property
    def entrance(self) -> Entrance:
        """The door."""

    @property
    def computing(self) -> Threads:
        """Where long computing happens."""

    def store(self) -> Store:
        """The store for one mastership."""

    async def prepare(self, store: Store, grant: Grant) -> None:
        """Put into the store what must be there before it is read."""

    async def put_away(self, store: Store) -> None:
        """That mastership is over."""

    def outfit(self, store: Store) -> Outfit:
        """What candidates are given."""

    def links(self, master: Master) -> Links:
        """Links to the nodes."""

    async def address_up(self, address: MasterAddress) -> None:
        """The cluster's address leads here; raises ClusterError."""

    async def address_down(self, address: MasterAddress) -> None:
        """It does not lead here; raises ClusterError."""


class MasterReign:
    """See ``candidacy.Reign``."""

    def __init__(self, lodging: Lodging, grant: Grant, tenancy: Tenancy, product: Product) -> None:
        self._lodging = lodging
        self._grant = grant
        self._store = lodging.store()
        self._address: MasterAddress | None = None
        self.master = Master(
            lodging.name,
            self._store,
            product.registry,
            product.steps,
            lodging.clock,
            lodging.random,
        )
        self.master.threads = lodging.computing
        self.master.outfit = lodging.outfit(self._store)
        self.master.may_write = tenancy.may_write
        self.master.ended = tenancy.over

    async def rise(self) -> None:
        """See ``candidacy.Reign``."""
        master = self.master
        await self._lodging.prepare(self._store, self._grant)
        await master.start(self._lodging.links(master), self._grant)
        self._address = address_of(master.configuration.cluster)
        # guests and jobs need no such address; a missing device must not stop them
        await _warned(self._lodging.address_up, self._address)

    def serve(self) -> None:
        """See ``candidacy.Reign``."""
        self._lodging.entrance.serve(self.master.desk())

    def drop(self, why: str) -> None:
        """See ``candidacy.Reign``."""
        self._lodging.entrance.drop()
        self.master.stop(why)

    async def put_down(self) -> None:
        """See ``candidacy.Reign``."""
        if self._address is not None:
            await _warned(self._lodging.address_down, self._address)
        await self._lodging.put_away(self._store)


async def _warned(
    change: Callable[[MasterAddress], Awaitable[None]], address: MasterAddress
) -> None:
    try:
        await change(address)
    except ClusterError as error:
        LOG.error("master_address", text=str(error))
