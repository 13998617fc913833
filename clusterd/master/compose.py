"""Putting the master daemon together from real parts: store, TLS links, the local door.

Decided here: what each engine's candidate is made of. An embedded store has one process, which is
master from start to end; on etcd each candidate runs this daemon, stands by, and takes over.
"""

from __future__ import annotations

import math
import pwd
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from clusterd.calls.links import Commander, Links
from clusterd.calls.tls import node_endpoints, read_identity
from clusterd.doorway.porter import Mastery
from clusterd.doorway.server import DoorFactory, listen
from clusterd.errors import NotMaster
from clusterd.master.candidacy import Candidacy
from clusterd.master.mastership import Claimant, Leadership, LoneLeadership
from clusterd.master.reign import MasterReign
from clusterd.master.service import Master
from clusterd.master.standing import Standing, Timing
from clusterd.master_address import MasterAddress
from clusterd.services import Machine
from clusterd.settings import Settings
from clusterd.world import Clock, Random
from hypervisors.interface import Threads
from jobqueue.store.interface import Store
from jobqueue.store.sqlite import SqliteStore

STORE_THREADS = 2
"""One writes, one reads."""
COMPUTING_THREADS = 2
"""Where placement is computed: a choice need not wait for a balance plan."""
T = TypeVar("T")


class _Pooled:
    """Implements ``hypervisors.interface.Threads`` with a pool."""

    def __init__(self, reactor: Any, pool: ThreadPool) -> None:
        self._reactor = reactor
        self._pool = pool

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """See ``Threads``."""
        waiting: Deferred[T] = deferToThreadPool(self._reactor, self._pool, function, *args)
        return await waiting


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


class MasterDaemon:
    """The master as a process, or a candidate that stands by. It is the porter of its door."""

    def __init__(
        self, settings: Settings, reactor: Any, host: Host, end: Callable[[str], None]
    ) -> None:
        self.name = settings.node.name
        self.clock: Clock = reactor
        self.random: Random = host
        self.entrance = DoorFactory(None, porter=self)
        self.candidacy: Candidacy | None = None
        self._settings = settings
        self._reactor = reactor
        self._host = host
        self._origin: Origin | None = None
        self._end = end
        self._threads = ThreadPool(STORE_THREADS, STORE_THREADS, "store")
        self._computing_pool = ThreadPool(0, COMPUTING_THREADS, "computing")
        self.computing: Threads = _Pooled(reactor, self._computing_pool)
        self._ports: list[Any] = []
        self._started: Deferred[None] | None = None

    async def start(self) -> None:
        """Returns once it serves or stands by; raises when neither is possible."""
        settings = self._settings
        self._threads.start()
        self._computing_pool.start()
        origin = self._origin = SqliteOrigin(settings, self._threads, self._reactor)
        candidacy = self.candidacy = Candidacy(
            Claimant(self.name, settings.node.primary_ip),
            origin.leadership,
            lambda grant, tenancy: MasterReign(self, grant, tenancy),
            self.clock,
            self._host.steady,
            origin.timing,
        )
        candidacy.changed = self._changed
        started = self._started = Deferred()
        candidacy.start()
        self._ports = listen(
            self._reactor,
            self.entrance,
            str(settings.socket_directory),
            _group_of(settings.rapi.user),
        )
        await started

    def _changed(self, standing: Standing) -> None:
        candidacy, started = self.candidacy, self._started
        assert candidacy is not None
        if started is None:
            if standing is Standing.FALLING and candidacy.alone:
                # nobody else can take over: init starts the daemon again, or tells why not
                self._end(candidacy.why)
        elif standing is Standing.MASTER:
            self._started = None
            started.callback(None)
        elif standing is Standing.ASIDE:
            self._started = None
            started.errback(candidacy.problem or NotMaster(candidacy.why))

    async def stop(self) -> None:
        """Close the door, let go of the nodes, close the store."""
        for port in self._ports:
            await port.stopListening()
        self.entrance.close()
        if self.candidacy is not None:
            await self.candidacy.stop()
        if self._origin is not None:
            await self._origin.close()
        for pool in (self._computing_pool, self._threads):
            if pool.started:
                pool.stop()

    # -- as lodging of a mastership ----------------------------------------------------------------

    def store(self) -> Store:
        """See ``Lodging``."""
        assert self._origin is not None
        return self._origin.store()

    async def put_away(self, store: Store) -> None:
        """See ``Lodging``."""
        assert self._origin is not None
        await self._origin.put_away(store)

    def links(self, master: Master) -> Links:
        """See ``Lodging``."""
        state = self._settings.state_directory
        return Links(
            Commander(self.name, master.epoch),
            node_endpoints(
                self._reactor, lambda: read_identity(state), port=self._settings.node.port
            ),
            self.clock,
            self.random,
            master.sights,
        )

    async def address_up(self, address: MasterAddress) -> None:
        """See ``Lodging``."""
        await deferToThreadPool(self._reactor, self._threads, address.up, self._host)

    async def address_down(self, address: MasterAddress) -> None:
        """See ``Lodging``."""
        await deferToThreadPool(self._reactor, self._threads, address.down, self._host)

    # -- as porter ---------------------------------------------------------------------------------

    def mastery(self) -> Mastery:
        """See ``Porter``."""
        assert self.candidacy is not None
        return self.candidacy.mastery()

    def may_answer(self) -> bool:
        """See ``Porter``."""
        return self.candidacy is not None and self.candidacy.may_answer()

    def not_master(self) -> NotMaster:
        """See ``Porter``."""
        assert self.candidacy is not None
        return self.candidacy.not_master()

    async def take_over(self) -> str:
        """See ``Porter``."""
        assert self.candidacy is not None
        return await self.candidacy.ask_for_it()

    async def step_down(self) -> str:
        """See ``Porter``."""
        assert self.candidacy is not None
        self.candidacy.step_down("an operator asked for it")
        return f"{self.name} steps down"


def _group_of(user: str) -> int:
    """The group whose members may open the door; -1 where the remote API has no user of its own."""
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        return -1
