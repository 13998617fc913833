"""A simulated cluster whose mastership is a lease: a master daemon on each candidate, one store.

The candidates are the real ``Candidacy`` and ``MasterReign``; each has clocks of its own, a way to
the store that can be cut, and a network card of its own. ``wrong`` collects what must never be: two
that may write or answer at once, a write under an old epoch, an address on two hosts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from clusterd.calls.client import Commander
from clusterd.calls.links import Links
from clusterd.doorway.desk import Desk
from clusterd.master.candidacy import Candidacy, Reign, Tenancy
from clusterd.master.choosing import AtOnce
from clusterd.master.mastership import KEY, Claimant, Grant, LeasedLeadership
from clusterd.master.outfit import NoOutfit
from clusterd.master.provisions import Product
from clusterd.master.reign import MasterReign
from clusterd.master.service import Master
from clusterd.master.standing import HOLDS, Timing
from clusterd.master_address import MasterAddress
from clusterd.simulation.clock import START_S, Clock, DelayedCall, ProcessClock
from clusterd.simulation.cluster import REGISTRY, SimulatedCluster
from clusterd.simulation.far_store import FarStore, Uplink
from clusterd.simulation.founded import Blueprint
from clusterd.simulation.hosts import MASTER_SUFFIX
from clusterd.steps import all_steps
from clusterd.world import Outfit, Random
from hypervisors.interface import Threads
from jobqueue.live import Job
from jobqueue.opcode import Opcode
from jobqueue.store.interface import Store, Transaction
from jobqueue.store.memory import MemoryStore

TIMING = Timing()
ANSWER_S = 5.0
"""Within which a job is accepted."""


class WrongClock(ProcessClock):
    """A process's clock that is set wrong, or runs fast or slow."""

    def __init__(self, clock: Clock, offset_s: float = 0.0, rate: float = 1.0) -> None:
        super().__init__(clock)
        self.offset_s = offset_s
        self.rate = rate

    def steady(self) -> float:
        """Seconds of the clock that nobody sets."""
        return (super().seconds() - START_S) * self.rate

    def seconds(self) -> float:
        """What this host believes to be now."""
        return START_S + self.steady() + self.offset_s

    def callLater(self, delay: float, callable: Any, *args: Any, **kw: Any) -> DelayedCall:
        """By this clock."""
        return super().callLater(delay / self.rate, callable, *args, **kw)


class CandidateProcess:
    """One life of the master daemon on one host. It is the lodging of its masterships."""

    def __init__(self, cluster: CandidateCluster, name: str) -> None:
        offset_s, rate = cluster.clocks.get(name, (0.0, 1.0))
        self.name = name
        self.clock = WrongClock(cluster.clock, offset_s, rate)
        self.random: Random = cluster.random
        self.entrance = self
        self.computing: Threads = AtOnce()
        self.desk: Desk | None = None
        self.uplink = cluster.uplinks[name]
        self.failures: list[Any] = []
        self.refusals: list[Any] = []
        self._cluster = cluster
        self._stores: list[FarStore] = []
        self._reign: MasterReign | None = None
        own = self.store()
        assert own.leases is not None
        self.candidacy = Candidacy(
            Claimant(name, name),
            LeasedLeadership(own, own.leases, TIMING.term_s),
            self._begin,
            self.clock,
            self.clock.steady,
            TIMING,
        )

    @property
    def begun(self) -> bool:
        """It answers."""
        return not self.clock.dead and self.candidacy.may_answer() and self.desk is not None

    @property
    def master(self) -> Master:
        """Of its latest mastership."""
        assert self._reign is not None
        return self._reign.master

    @property
    def reigned(self) -> bool:
        """It was master once."""
        return self._reign is not None

    def kill(self) -> None:
        """kill -9."""
        self.clock.dead = True
        for store in self._stores:
            store.die()

    def _begin(self, grant: Grant, tenancy: Tenancy) -> Reign:
        product = Product(REGISTRY, all_steps())
        self._reign = MasterReign(self, grant, tenancy, product)
        return self._reign

    # -- as lodging and entrance -------------------------------------------------------------------

    def store(self) -> Store:
        """See ``Lodging``."""
        near = MemoryStore(self._cluster.disk, _Witness(self, self._cluster))
        store = FarStore(near, self.uplink)
        self._stores.append(store)
        return store

    async def prepare(self, store: Store, grant: Grant) -> None:
        """See ``Lodging``; the cluster was founded already."""

    def outfit(self, store: Store) -> Outfit:
        """See ``Lodging``."""
        return NoOutfit()

    async def put_away(self, store: Store) -> None:
        """See ``Lodging``."""
        await store.close()

    def links(self, master: Master) -> Links:
        """See ``Lodging``."""
        return Links(
            Commander(self.name, master.epoch),
            lambda name, address: self._cluster.network.endpoint(
                self.name + MASTER_SUFFIX, address, lambda: not self.clock.dead
            ),
            self.clock,
            self.random,
            master.sights,
        )

    async def address_up(self, address: MasterAddress) -> None:
        """See ``Lodging``."""
        self._cluster.addressed.add(self.name)

    async def address_down(self, address: MasterAddress) -> None:
        """See ``Lodging``."""
        self._cluster.addressed.discard(self.name)

    def serve(self, desk: Desk) -> None:
        """See ``Entrance``."""
        self.desk = desk

    def drop(self) -> None:
        """See ``Entrance``."""
        self.desk = None


class _Witness:
    """Notes a write that its writer was not entitled to."""

    def __init__(self, process: CandidateProcess, cluster: CandidateCluster) -> None:
        self._process = process
        self._cluster = cluster
        self._before: int | None = None

    def before_commit(self, transaction: Transaction) -> None:
        """What the mastership's version is before it."""
        entry = self._cluster.disk.entries.get(KEY)
        self._before = entry.version if entry else None

    def after_commit(self, transaction: Transaction, revision: int) -> None:
        """It was written: by a master of now, or it was a claim or a wish."""
        expected = dict(transaction.expects).get(KEY)
        keys = [key for key, _ in transaction.puts]
        plain = not keys or all(key.startswith(KEY) for key in keys)
        if not plain and (expected is None or expected != self._before):
            self._cluster.wrong.append(f"{self._process.name} wrote {keys} without being master")


class CandidateCluster(SimulatedCluster):
    """``clocks``: name -> (offset in seconds, rate) of hosts whose clocks are wrong."""

    leased = True

    def __init__(
        self,
        directory: Path,
        *,
        nodes: int = 3,
        seed: int = 0,
        clocks: dict[str, tuple[float, float]] | None = None,
    ) -> None:
        self.clocks = clocks or {}
        self.wrong: list[str] = []
        self.addressed: set[str] = set()
        """Hosts that have the cluster's address."""
        self.candidates: dict[str, CandidateProcess] = {}
        self.uplinks: dict[str, Uplink] = {}
        names = tuple(f"node{number}" for number in range(1, nodes + 1))
        super().__init__(directory, Blueprint(nodes=names, seed=seed))
        self.clock.after_each = self._look

    def start_master(self) -> Any:
        """One on each host."""
        self.uplinks = {name: Uplink(self.clock) for name in self.names}
        for name in self.names:
            self.start_candidate(name)
        return next(iter(self.candidates.values()))

    def start_candidate(self, name: str) -> CandidateProcess:
        """The daemon of one host begins."""
        process = self.candidates[name] = CandidateProcess(self, name)
        process.candidacy.start()
        return process

    # -- who is master -----------------------------------------------------------------------------

    def chosen(self, for_s: float = 60.0) -> str:
        """Wait until one is master; its name."""
        if not self.clock.run_until(lambda: self.acting() is not None, for_s):
            raise RuntimeError("nobody becomes master")
        acting = self.acting()
        assert acting is not None
        self.process = acting  # type: ignore[assignment]
        return acting.name

    def acting(self) -> CandidateProcess | None:
        """The candidate that answers now."""
        return next((one for one in self.candidates.values() if one.begun), None)

    def submit(self, *opcodes: Opcode) -> int | None:
        """One job of these opcodes; its number, or None when it was not accepted in time."""
        numbers: list[int] = []
        refusals: list[Any] = []
        waiting = Deferred.fromCoroutine(self.master.queue.submit([opcodes], "story"))
        waiting.addCallbacks(numbers.extend, refusals.append)
        self.clock.run_until(lambda: bool(numbers or refusals), ANSWER_S)
        return numbers[0] if numbers else None

    def quiet(self) -> bool:
        """Somebody is master and no job runs or waits; stuck ones may be left."""
        return self.serves and all(
            job.finished or job.status == "stuck" for job in self.master.queue.jobs()
        )

    def run(self, *opcodes: Opcode, for_s: float = 3600.0) -> Job:
        """By whoever is master."""
        self.chosen()
        return super().run(*opcodes, for_s=for_s)

    # -- trouble -----------------------------------------------------------------------------------

    def power_off(self, name: str) -> None:
        """The host with everything on it."""
        self.candidates[name].kill()
        self.hosts[name].power_off()
        self.network.power(name + MASTER_SUFFIX, on=False)
        self.addressed.discard(name)

    def power_on(self, name: str) -> None:
        """Again."""
        self.network.power(name + MASTER_SUFFIX, on=True)
        self.hosts[name].boot()
        self.uplinks[name] = Uplink(self.clock)
        self.start_candidate(name)

    def isolate(self, name: str) -> None:
        """The host reaches neither the store nor other hosts."""
        self.uplinks[name].cut()
        for other in self.names:
            if other != name:
                self.network.cut(name + MASTER_SUFFIX, other)
                self.network.cut(other + MASTER_SUFFIX, name)

    def rejoin(self, name: str) -> None:
        """It does again."""
        self.uplinks[name].mend()
        for other in self.names:
            if other != name:
                self.network.mend(name + MASTER_SUFFIX, other)
                self.network.mend(other + MASTER_SUFFIX, name)

    # -- what must never be ------------------------------------------------------------------------

    def _look(self) -> None:
        living = [one for one in self.candidates.values() if not one.clock.dead]
        writing = [one.name for one in living if one.candidacy.may_write()]
        if len(writing) > 1:
            self._note(f"{' and '.join(writing)} may write at the same time")
        answering = [one.name for one in living if one.begun]
        if len(answering) > 1:
            self._note(f"{' and '.join(answering)} answer at the same time")
        entry = self.disk.entries.get(KEY)
        for one in living:
            held = one.candidacy.place.standing in HOLDS and one.candidacy.may_write()
            if held and entry is None:
                self._note(f"{one.name} acts although its lease has ended")

    def _note(self, text: str) -> None:
        if text not in self.wrong:
            self.wrong.append(text)
