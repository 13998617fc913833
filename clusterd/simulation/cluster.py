"""A whole cluster in one process on virtual time: real master, real node daemons, pretended parts.

Deterministic: one clock, one seeded random source, nothing else decides. Used by the stories, by
the explorer of faults, and by operators who want to know what would happen.
"""

from __future__ import annotations

import functools
import random
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from clusterd.calls.client import Commander
from clusterd.calls.links import Links
from clusterd.configuration import key_of
from clusterd.master.mastership import KEY as MASTERSHIP
from clusterd.master.mastership import Mastership
from clusterd.master.service import Master
from clusterd.model import Cluster, Group, Instance, Node
from clusterd.opcodes import registry
from clusterd.simulation import pretended_allocator
from clusterd.simulation.attention import Several
from clusterd.simulation.clock import Clock, ProcessClock
from clusterd.simulation.founded import Blueprint, Founded, copied
from clusterd.simulation.hosts import MASTER_SUFFIX, Ground, SimulatedHost
from clusterd.simulation.network import Network
from clusterd.simulation.pretended_site import place_os, place_provider
from clusterd.steps import all_steps
from hypervisors.machine_room import MachineRoom
from jobqueue.live import Job
from jobqueue.opcode import Opcode
from jobqueue.step import Steps
from jobqueue.store.interface import MAX_WRITES, Transaction
from jobqueue.store.memory import Died, MemoryDisk, MemoryStore, NoTrouble, Trouble
from storage.shelf import Wire

REGISTRY = registry()
STEPS = all_steps()
USUAL = Blueprint()


class SeededRandom:
    """Implements ``clusterd.world.Random``; the same seed gives the same identities."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def uuid(self) -> str:
        """A random uuid."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def token(self, length_bytes: int) -> str:
        """A hexadecimal secret."""
        return self._random.randbytes(length_bytes).hex()

    def below(self, bound: int) -> int:
        """A number in [0, bound)."""
        return self._random.randrange(bound)

    def state(self) -> Any:
        """Where it is: what was drawn once is not drawn again by whoever goes on from there."""
        return self._random.getstate()

    def go_on(self, state: Any) -> None:
        """From a ``state``."""
        self._random.setstate(state)


def first_objects(names: Iterable[str]) -> list[Cluster | Group | Node]:
    """The configuration of a new cluster with these nodes, the first of them master."""
    group = Group(uuid="group-default", name="default")
    nodes = [
        Node(
            uuid=f"node-{name}",
            name=name,
            primary_ip=name,
            secondary_ip=name,
            group=group.uuid,
            master_candidate=True,
        )
        for name in names
    ]
    cluster = Cluster(
        uuid="cluster",
        name="cluster",
        master_node=nodes[0].uuid,
        master_netdev="br0",
        mac_prefix="aa:00:00",
        volume_group_name="xenvg",
        file_storage_dir="/srv/ganeti/file-storage",
        shared_file_storage_dir="/srv/ganeti/shared-file-storage",
        enabled_disk_templates=(
            *("drbd", "plain", "file", "sharedfile", "rbd"),
            *("ext", "gluster", "blockdev", "diskless", "memory"),
        ),
        enabled_hypervisors=("memory",),
        nicparams={"link": "br0"},
        diskparams={"drbd": {"metavg": "xenvg"}},
    )
    return [cluster, group, *nodes]


class MasterProcess:
    """One life of the master daemon."""

    def __init__(self, cluster: SimulatedCluster, trouble: Trouble) -> None:
        host = cluster.hosts[cluster.names[0]]
        self.clock = ProcessClock(cluster.clock, host)
        self.store = MemoryStore(cluster.disk, _Witness(self, cluster, trouble))
        self.begun = False
        self.failures: list[Any] = []
        self.stirred = True
        """Something about a job changed since ``rests`` was asked last."""
        self.at_rest = False
        """The answer."""
        self.refusals: list[Any] = []
        """Why submissions were not accepted."""
        self.master = Master(
            cluster.names[0], self.store, REGISTRY, cluster.steps, self.clock, cluster.random
        )
        self.master.ended = lambda why: self.kill()
        self.master.queue.subscribe(self._changed)
        self._links = Links(
            Commander(cluster.names[0], self.master.epoch),
            lambda name, address: cluster.network.endpoint(
                cluster.master_card, name, lambda: not self.clock.dead
            ),
            self.clock,
            cluster.random,
            self.master.sights,
        )

    def begin(self) -> None:
        """Start; what goes wrong is kept in ``failures``."""
        starting = Deferred.fromCoroutine(self.master.start(self._links))
        starting.addCallbacks(self._started, self.failures.append)

    def _started(self, _: None) -> None:
        self.begun = True

    def _changed(self, _job: Job) -> None:
        self.stirred = True

    def rests(self) -> bool:
        """No job runs or waits."""
        if self.stirred:
            self.stirred = False
            unfinished = self.master.queue.unfinished()
            self.at_rest = all(job.finished or job.status == "stuck" for job in unfinished)
        return self.at_rest

    def kill(self) -> None:
        """kill -9."""
        self.clock.dead = True
        self.store.die()


class _Witness:
    """Passes on what the store asks and notes what a deposed master should not have written."""

    def __init__(self, process: MasterProcess, cluster: SimulatedCluster, trouble: Trouble) -> None:
        self._process = process
        self._cluster = cluster
        self._trouble = trouble

    def before_commit(self, transaction: Transaction) -> None:
        """See ``Trouble``; who dies here, dies as a whole."""
        try:
            self._trouble.before_commit(transaction)
        except Died:
            self._process.clock.dead = True
            raise

    def after_commit(self, transaction: Transaction, revision: int) -> None:
        """See ``Trouble``."""
        tenure = self._process.master.tenure
        entry = self._cluster.disk.entries.get(MASTERSHIP)
        if tenure and entry and entry.version != tenure.version:  # else it is its own
            epoch = tenure.mastership.epoch
            if epoch < msgspec.json.decode(entry.value, type=Mastership).epoch:
                self._cluster.late_writes.append(f"epoch {epoch} wrote revision {revision}")
        try:
            self._trouble.after_commit(transaction, revision)
        except Died:
            self._process.clock.dead = True
            raise


class SimulatedCluster:
    """Hosts, network, disks of the master, and one master process after the other.

    ``trouble``: asked around each commit of each master.
    """

    leased = False
    """The store grants leases."""

    def __init__(
        self,
        directory: Path,
        blueprint: Blueprint = USUAL,
        *,
        trouble: Trouble | None = None,
        steps: Steps = STEPS,
    ) -> None:
        self.steps = steps
        self.names = list(blueprint.nodes)
        founded = blueprint.founded
        self.master_card = f"{self.names[0]}{MASTER_SUFFIX}"
        self.trouble: Trouble = trouble or NoTrouble()
        self.late_writes: list[str] = []
        """Commits of masters that had been deposed: there must be none."""
        self.attention = Several()
        self.clock = Clock() if founded is None else Clock(founded.now)
        self.random = SeededRandom(blueprint.seed)
        self.network = Network(self.clock)
        self.room = MachineRoom()
        self.wire = Wire(now=self.clock.seconds, sync_mib_per_s=100.0)
        ticks = self.clock if self.leased else None
        self.disk = MemoryDisk(ticks) if founded is None else founded.disk()
        place_os(directory / "os")
        place_provider(directory / "extstorage")
        for name, variants in blueprint.oses.items():
            place_os(directory / "os", name, variants)
        pretended_allocator.place(directory / "iallocators")
        ground = Ground(
            clock=self.clock,
            network=self.network,
            room=self.room,
            wire=self.wire,
            directory=directory,
            attention=self.attention,
            settled=functools.cache(lambda function, *args: function(*args)),
            streams={},
            hypervisors=blueprint.hypervisors,
        )
        self.hosts = {
            name: SimulatedHost(name, ground) for name in (*self.names, *blueprint.outside)
        }
        self.room.copy_disk = self._copy_disk
        if founded is None:
            self._found()
        else:
            self._restore(founded)
        self.process = self.start_master()

    def _found(self) -> None:
        """An empty cluster of the nodes."""
        objects = first_objects(self.names)
        puts = tuple((key_of(value), msgspec.json.encode(value)) for value in objects)
        store = MemoryStore(self.disk)
        for start in range(0, len(puts), MAX_WRITES):
            some = Transaction(puts=puts[start : start + MAX_WRITES])
            Deferred.fromCoroutine(store.commit(some))
        for host in self.hosts.values():
            host.boot()

    def _copy_disk(self, source: str, target: str, path: str) -> None:
        """A disk travels with its guest."""
        here, there = self.hosts[source], self.hosts[target]
        there.shelf.write(there.device(path), here.shelf.read(here.device(path)))

    def _restore(self, founded: Founded) -> None:
        self.random.go_on(founded.random)
        self.wire.shared.update(copied(founded.shared))
        for name, host in self.hosts.items():
            host.restore(founded.hosts[name])

    def founded(self) -> Founded:
        """The cluster as it is, for others to begin with. To be asked for at rest."""
        return Founded(
            now=self.clock.seconds(),
            random=self.random.state(),
            entries=dict(self.disk.entries),
            revision=self.disk.revision,
            shared=copied(self.wire.shared),
            hosts={name: host.portrayed() for name, host in self.hosts.items()},
        )

    # -- the master ------------------------------------------------------------------------------

    @property
    def master(self) -> Master:
        """The master of the current process, dead or alive."""
        return self.process.master

    def start_master(self) -> MasterProcess:
        """A new master process on the same store; an old one that still runs is left alone."""
        self.process = MasterProcess(self, self.trouble)
        self.process.begin()
        return self.process

    def wait_for_nodes(self, for_s: float = 30.0) -> bool:
        """Until each host that is up was seen by the master."""
        return self.clock.run_until(self._all_seen, for_s)

    def _all_seen(self) -> bool:
        return all(
            self.master.sights.sight(name).observation is not None
            for name, host in self.hosts.items()
            if host.alive and self._is_followed(name)
        )

    def _is_followed(self, name: str) -> bool:
        node = self.master.configuration.find_node(name)
        return node is not None and not node.offline

    # -- jobs ------------------------------------------------------------------------------------

    def submit(self, *opcodes: Opcode) -> int | None:
        """One job of these opcodes; its number, or None when it was not accepted."""
        numbers: list[int] = []
        waiting = Deferred.fromCoroutine(self.master.queue.submit([opcodes], "story"))
        waiting.addCallback(numbers.extend)
        waiting.addErrback(self.process.refusals.append)
        self.clock.run(0.0)
        return numbers[0] if numbers else None

    def job(self, number: int) -> Job | None:
        """The job as the current master knows it."""
        return self.master.queue.job(number)

    def quiet(self) -> bool:
        """The master is there and no job runs or waits; stuck ones may be left."""
        return self.serves and self.process.rests()

    @property
    def serves(self) -> bool:
        """The current master process lives and has begun without failure."""
        process = self.process
        return process.begun and not process.failures and not process.clock.dead

    def settle(self, for_s: float = 3600.0) -> bool:
        """Until all jobs have ended or are stuck, or the master is dead; was it so in time?"""
        return self.clock.run_until(lambda: self.process.clock.dead or self.quiet(), for_s)

    def run(self, *opcodes: Opcode, for_s: float = 3600.0) -> Job:
        """Submit, wait until all is quiet, answer the job."""
        number = self.submit(*opcodes)
        self.settle(for_s)
        job = self.job(number) if number is not None else None
        if job is None:
            process = self.process
            raise RuntimeError(f"the job is lost: {process.failures} {process.refusals}")
        return job

    # -- looking ---------------------------------------------------------------------------------

    def instance(self, name: str) -> Instance | None:
        """The instance in the master's configuration."""
        return self.master.configuration.find_instance(name)

    def runs_on(self, name: str) -> tuple[str, ...]:
        """Where the guest's processors run."""
        return self.room.running_on(name)
