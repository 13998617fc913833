"""Putting the master daemon together from real parts: store, TLS links, the local door.

Decided here: what each engine's candidate is made of. An embedded store has one process, which is
master from start to end; on etcd each candidate runs this daemon, stands by, and takes over.
"""

from __future__ import annotations

import contextlib
import gc
import pwd
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from clusterd.calls.client import Commander
from clusterd.calls.links import Links
from clusterd.calls.tls import node_endpoints, read_identity
from clusterd.doorway.porter import Mastery
from clusterd.doorway.server import DoorFactory, listen
from clusterd.errors import NotMaster, NotReady
from clusterd.master import provisions
from clusterd.master.candidacy import Candidacy
from clusterd.master.mastership import Claimant, Grant
from clusterd.master.origins import EtcdOrigin, Origin, SqliteOrigin
from clusterd.master.outfit import RealOutfit
from clusterd.master.reign import MasterReign
from clusterd.master.service import Master
from clusterd.master.standing import Standing
from clusterd.master_address import MasterAddress
from clusterd.pooled import PooledThreads
from clusterd.services import Machine
from clusterd.settings import Settings
from clusterd.store_members import FIRST_OBJECTS
from clusterd.world import Clock, Outfit, Random
from hypervisors.interface import Threads
from jobqueue.errors import Conflict
from jobqueue.store.interface import ABSENT, Store, Transaction

STORE_THREADS = 2
"""One writes, one reads."""
LOG = structlog.get_logger("master")

COMPUTING_THREADS = 2
"""Where placement is computed: a choice need not wait for a balance plan."""


LEADING_EVERY_S = 15.0
"""How often a master looks that another host leads the store."""

EARLY_S = 5.0
"""So much before its starter gives up a candidate says itself why it does not stand by."""


class Host(Machine, Random, Protocol):
    """The machine that the daemon runs on."""

    def steady(self) -> float:
        """Seconds of a clock that nobody sets."""


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
        self.computing: Threads = PooledThreads(reactor, self._computing_pool)
        self._ports: list[Any] = []
        self._started: Deferred[None] | None = None
        self._outfit: RealOutfit | None = None

    async def start(self) -> None:
        """Returns once it serves or stands by; raises when neither is possible."""
        settings = self._settings
        self._threads.start()
        self._computing_pool.start()
        origin = self._origin = self._make_origin()
        served = provisions.product()
        candidacy = self.candidacy = Candidacy(
            Claimant(self.name, settings.node.primary_ip),
            origin.leadership,
            lambda grant, tenancy: MasterReign(self, grant, tenancy, served),
            self.clock,
            self._host.steady,
            origin.timing,
        )
        candidacy.changed = self._changed
        candidacy.seen = self._seen
        started = self._started = Deferred()
        candidacy.start()
        self._ports = listen(
            self._reactor,
            self.entrance,
            str(settings.socket_directory),
            _group_of(settings.rapi.user),
        )
        wait_s = max(settings.timeouts.start_s - EARLY_S, EARLY_S)
        late = self._reactor.callLater(wait_s, self._late)
        try:
            await started
        finally:
            if late.active():
                late.cancel()

    def _late(self) -> None:
        started, candidacy = self._started, self.candidacy
        if started is not None and candidacy is not None:
            self._started = None
            why = candidacy.problem or f"it is {candidacy.place.standing}"
            started.errback(NotReady(f"neither master nor standing by: {why}"))

    def _make_origin(self) -> Origin:
        if self._settings.store.engine == "etcd":
            return EtcdOrigin(self._settings, self._reactor, self.random)
        return SqliteOrigin(self._settings, self._threads, self._reactor)

    def _changed(self, standing: Standing) -> None:
        candidacy, started = self.candidacy, self._started
        assert candidacy is not None
        if standing is Standing.MASTER:
            # what it has read lives as long as the mastership: to look through all of it for
            # garbage again and again would hold up everybody
            gc.freeze()
        elif standing is Standing.ASIDE:
            gc.unfreeze()
        if standing is Standing.MASTER and not candidacy.alone:
            self.clock.callLater(LEADING_EVERY_S, self._let_others_lead, candidacy)
        if started is None:
            if standing is Standing.FALLING and candidacy.alone:
                # nobody else can take over: init starts the daemon again, or tells why not
                self._end(candidacy.why)
        elif standing is Standing.MASTER:
            self._started = None
            started.callback(None)
        elif standing is Standing.ASIDE and candidacy.alone:
            self._started = None
            started.errback(candidacy.problem or NotMaster(candidacy.why))

    def _let_others_lead(self, candidacy: Candidacy) -> None:
        if candidacy.may_answer() and self._outfit is not None:
            self.clock.callLater(LEADING_EVERY_S, self._let_others_lead, candidacy)
            letting = Deferred.fromCoroutine(self._outfit.leave_leading(self.name))
            # it is as good without, only slower to notice
            letting.addErrback(lambda failure: LOG.info("leading", error=str(failure.value)))

    def _seen(self) -> None:
        """A candidate has started once it knows who is master."""
        started, candidacy = self._started, self.candidacy
        if started is None or candidacy is None or candidacy.master is None:
            return
        if candidacy.place.standing is Standing.ASIDE and candidacy.master.node != self.name:
            self._computing_pool.callInThread(provisions.load_planning)
            self._started = None
            started.callback(None)

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

    async def prepare(self, store: Store, grant: Grant) -> None:
        """See ``Lodging``. A cluster that was just founded has its objects in a file."""
        path = self._settings.state_directory / FIRST_OBJECTS
        if not path.exists():
            return
        puts = msgspec.json.decode(path.read_bytes(), type=tuple[tuple[str, bytes], ...])
        new = Transaction(expects=tuple((key, ABSENT) for key, _ in puts), puts=puts)
        with contextlib.suppress(Conflict):  # an earlier life of this daemon has done it
            await store.commit(grant.fence() + new)
        path.unlink()

    async def put_away(self, store: Store) -> None:
        """See ``Lodging``."""
        assert self._origin is not None
        await self._origin.put_away(store)

    def outfit(self, store: Store) -> Outfit:
        """See ``Lodging``."""
        origin = self._origin
        gateway = origin.gateway(store) if isinstance(origin, EtcdOrigin) else None
        self._outfit = RealOutfit(self._settings, gateway, self.clock.seconds)
        return self._outfit

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
