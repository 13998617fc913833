"""Putting the master daemon together from real parts: store, TLS links, the local door.

Decided here: what each engine's candidate is made of. An embedded store has one process, which is
master from start to end; on etcd each candidate runs this daemon, stands by, and takes over.
"""

from __future__ import annotations

import math
import pwd
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from clusterd.calls.links import Commander, Links
from clusterd.calls.tls import node_endpoints, read_identity
from clusterd.doorway.porter import Mastery
from clusterd.doorway.server import DoorFactory, listen
from clusterd.errors import ClusterError, NotMaster
from clusterd.master.candidacy import Candidacy, Tenancy
from clusterd.master.mastership import Claimant, Grant, Leadership, LoneLeadership
from clusterd.master.service import Master
from clusterd.master.standing import Standing, Timing
from clusterd.master_address import MasterAddress, address_of
from clusterd.opcodes import registry
from clusterd.services import Machine
from clusterd.settings import Settings
from clusterd.steps import all_steps
from clusterd.world import Clock, Random
from jobqueue.store.interface import Store
from jobqueue.store.sqlite import SqliteStore

STORE_THREADS = 2
"""One writes, one reads."""

ALONE = Timing(term_s=math.inf)

LOG = structlog.get_logger("master")


class Host(Machine, Random, Protocol):
    """The machine that the daemon runs on."""

    def steady(self) -> float:
        """Seconds of a clock that nobody sets."""


class Origin(Protocol):
    """Where masterships and stores of one engine come from."""

    timing: Timing
    leadership: Leadership

    def store(self) -> Store:
        """The store for one mastership."""

    async def put_away(self, store: Store) -> None:
        """That mastership is over."""

    async def close(self) -> None:
        """Let go of everything."""


class SqliteOrigin:
    """The embedded store: whoever has it open is master."""

    timing = ALONE

    def __init__(self, settings: Settings, threads: ThreadPool, reactor: Any) -> None:
        path = settings.store_path
        if not path.exists():
            raise NotMaster(f"{settings.node.name} is not the master: there is no {path}")
        self._store = SqliteStore(path, threads, reactor.callFromThread)
        self.leadership: Leadership = LoneLeadership(self._store)

    def store(self) -> Store:
        """See ``Origin``."""
        return self._store

    async def put_away(self, store: Store) -> None:
        """It stays open: nobody else may have it."""

    async def close(self) -> None:
        """See ``Origin``."""
        await self._store.close()


class RealReign:
    """One mastership of a real machine."""

    def __init__(self, daemon: MasterDaemon, grant: Grant, tenancy: Tenancy) -> None:
        self._daemon = daemon
        self._grant = grant
        self._store = daemon.origin.store()
        self._address: MasterAddress | None = None
        self.master = Master(
            daemon.settings.node.name,
            self._store,
            registry(),
            all_steps(),
            daemon.reactor,
            daemon.host,
        )
        self.master.may_write = tenancy.may_write
        self.master.ended = tenancy.over

    async def rise(self) -> None:
        """See ``candidacy.Reign``."""
        daemon, master = self._daemon, self.master
        settings = daemon.settings
        state = settings.state_directory
        links = Links(
            Commander(settings.node.name, master.epoch),
            node_endpoints(daemon.reactor, lambda: read_identity(state), port=settings.node.port),
            daemon.reactor,
            daemon.host,
            master.sights,
        )
        await master.start(links, self._grant)
        self._address = address_of(master.configuration.cluster)
        try:
            await daemon.in_thread(self._address.up, daemon.host)
        except ClusterError as error:
            # guests and jobs need no such address; a missing device must not stop them
            LOG.error("master_address", text=str(error))

    def serve(self) -> None:
        """See ``candidacy.Reign``."""
        self._daemon.door.serve(self.master.desk())

    def drop(self, why: str) -> None:
        """See ``candidacy.Reign``."""
        self._daemon.door.drop()
        self.master.stop(why)

    async def put_down(self) -> None:
        """See ``candidacy.Reign``."""
        try:
            if self._address is not None:
                await self._daemon.in_thread(self._address.down, self._daemon.host)
        except ClusterError as error:
            LOG.error("master_address", text=str(error))
        await self._daemon.origin.put_away(self._store)


class MasterDaemon:
    """The master as a process, or a candidate that stands by. It is the porter of its door."""

    def __init__(
        self, settings: Settings, reactor: Any, host: Host, end: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self.reactor = reactor
        self.host = host
        self.door = DoorFactory(None, porter=self)
        self.origin: Origin
        self.candidacy: Candidacy
        self._end = end
        self._threads = ThreadPool(STORE_THREADS, STORE_THREADS, "store")
        self._ports: list[Any] = []
        self._started: Deferred[None] | None = None

    async def start(self) -> None:
        """Returns once it serves or stands by; raises when neither is possible."""
        settings = self.settings
        self._threads.start()
        self.origin = SqliteOrigin(settings, self._threads, self.reactor)
        clock: Clock = self.reactor
        candidacy = Candidacy(
            Claimant(settings.node.name, settings.node.primary_ip),
            self.origin.leadership,
            lambda grant, tenancy: RealReign(self, grant, tenancy),
            clock,
            self.host.steady,
            self.origin.timing,
        )
        self.candidacy = candidacy
        candidacy.changed = self._changed
        started = self._started = Deferred()
        candidacy.start()
        self._ports = listen(
            self.reactor,
            self.door,
            str(settings.socket_directory),
            _group_of(settings.rapi.user),
        )
        await started

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run what blocks beside the reactor."""
        return await deferToThreadPool(self.reactor, self._threads, function, *args)

    def _changed(self, standing: Standing) -> None:
        started = self._started
        if standing is Standing.MASTER and started is not None:
            self._started = None
            started.callback(None)
        elif standing is Standing.FALLING and math.isinf(self.origin.timing.term_s):
            # nobody else can take over: init starts the daemon again, or tells why not
            if started is None:
                self._end(self.candidacy.why)
        elif standing is Standing.ASIDE and started is not None:
            self._started = None
            started.errback(self.candidacy.problem or NotMaster(self.candidacy.why))

    # -- as porter ---------------------------------------------------------------------------------

    def mastery(self) -> Mastery:
        """See ``Porter``."""
        candidacy = self.candidacy
        known = candidacy.master
        left_s = candidacy.left_s()
        return Mastery(
            node=candidacy.node,
            standing=candidacy.place.standing,
            master=known.node if known else "",
            address=known.address if known else "",
            epoch=known.epoch if known else 0,
            since=known.since if known else 0.0,
            left_s=left_s if math.isfinite(left_s) else None,
            problem=str(candidacy.problem or ""),
        )

    def may_answer(self) -> bool:
        """See ``Porter``."""
        return self.candidacy.may_answer()

    def not_master(self) -> NotMaster:
        """See ``Porter``."""
        return self.candidacy.not_master()

    async def take_over(self) -> str:
        """See ``Porter``."""
        return await self.candidacy.ask_for_it()

    async def step_down(self) -> str:
        """See ``Porter``."""
        self.candidacy.step_down("an operator asked for it")
        return f"{self.settings.node.name} steps down"

    async def stop(self) -> None:
        """Close the door, let go of the nodes, close the store."""
        for port in self._ports:
            await port.stopListening()
        self.door.close()
        if hasattr(self, "candidacy"):
            await self.candidacy.stop()
        if hasattr(self, "origin"):
            await self.origin.close()
        if self._threads.started:
            self._threads.stop()


def _group_of(user: str) -> int:
    """The group whose members may open the door; -1 where the remote API has no user of its own."""
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        return -1
