"""The master: one object that owns the graph of a mastership, from taking it to giving it up.

Order of starting: epoch, configuration, queue, links, resumed jobs, the door; queued jobs begin
once all nodes were seen, or had their time, as they are decided on what nodes see.
A master that finds itself deposed, or whose term is over, stops at once: no further write, no
further call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from clusterd.begun import answered
from clusterd.configuration import PREFIX, Configuration
from clusterd.doorway.desk import Desk
from clusterd.errors import NoCluster, NotMaster
from clusterd.iallocator import live
from clusterd.master.balancer import Balancer
from clusterd.master.choosing import AtOnce
from clusterd.master.mastership import Claimant, Grant, take
from clusterd.master.outfit import NoOutfit
from clusterd.master.reconcile import Reconciler
from clusterd.master.sights import Sightings
from clusterd.master.surroundings import ClusterSurroundings, Links
from clusterd.master.tidying import Tidier
from clusterd.master.watching import Watching
from clusterd.model import Node
from clusterd.queries.answers import ClusterAnswers
from clusterd.view import View
from clusterd.world import Clock, Outfit, Random
from hypervisors.interface import Threads
from jobqueue.errors import Deposed, JobQueueError
from jobqueue.executor import Executor
from jobqueue.live import Job
from jobqueue.opcode import Opcode, Registry
from jobqueue.queue import JobQueue
from jobqueue.scheduler import Scheduler
from jobqueue.step import Steps
from jobqueue.store.interface import Change, Store, Transaction

FIRST_SIGHT_S = 5.0
"""How long queued jobs wait for the first sight of nodes after a start."""
RECONCILER = "reconciler"
"""Who submits repairs."""

LOG = structlog.get_logger("master")


class Master:
    """One mastership. Built whole, then ``start``ed; ``stop`` ends it and may come at any time."""

    def __init__(
        self,
        name: str,
        store: Store,
        registry: Registry,
        steps: Steps,
        clock: Clock,
        random: Random,
    ) -> None:
        self.name = name
        self.store = store
        self.registry = registry
        self.clock = clock
        self.random = random
        self.configuration = Configuration()
        self.sights = Sightings(clock)
        self.sights.deposed_by = self._deposed
        self.links: Links
        self.tenure: Grant | None = None
        self.outfit: Outfit = NoOutfit()
        """What candidates are given; set before ``start``."""
        self.may_write: Callable[[], bool] = lambda: True
        """Whether the term lasts; asked before each write."""
        self.threads: Threads = AtOnce()
        """Where long computing happens; the composer of a real master has a thread for it."""
        self.ended: Callable[[str], None] = lambda why: None
        """Called once when this master must stop; the composer ends what it composed."""
        self.queue = JobQueue(store, registry, clock.seconds, fence=self._fence)
        self.surroundings = ClusterSurroundings(self)
        self.executor = Executor(self.queue, steps, self.surroundings, clock)
        self.scheduler = Scheduler(self.queue, self.executor, self._limit, self._tracked)
        self.watching = Watching(self)
        self.reconciler = Reconciler(self.view, self.queue, clock, self._submit_repairs)
        self.balancer = Balancer(self)
        self.tidier = Tidier(self)
        self.sights.returned = self._returned
        self._stopped = False

    def epoch(self) -> int:
        """The number of this mastership; 0 before it is taken."""
        return self.tenure.mastership.epoch if self.tenure else 0

    def view(self) -> View:
        """The snapshot of this moment."""
        return self.surroundings.view()

    async def start(self, links: Links, grant: Grant | None = None) -> None:
        """Read everything, go on with what was under way. Without a grant the mastership is taken,
        whoever has it."""
        self.links = links
        now = self.clock.seconds()
        self.tenure = grant or await take(self.store, Claimant(self.name), now)
        await self.configuration.load(self.store)
        if not self.configuration.exists:
            raise NoCluster("There is no cluster in this store: run 'gnt-cluster init' first")
        await self.queue.load()
        await self._be_named_master()
        for node in self.configuration.nodes():
            self._follow(node)
        self.queue.subscribe(self._job_changed)
        self.store.watch(f"{PREFIX}node/", self._nodes_changed)
        self.watching.start()
        self.store.watch(f"{PREFIX}instance/", self._instances_changed)
        for kind in ("cluster", "group"):
            self.store.watch(f"{PREFIX}{kind}/", lambda changes: self.watching.nodes_changed())
        LOG.info("master", node=self.name, epoch=self.epoch())
        await self.scheduler.start(self._broken)
        self.sights.once_seen(self._nodes_in_use(), self.scheduler.open)
        self.clock.callLater(FIRST_SIGHT_S, self.scheduler.open)
        self.reconciler.start()
        await self.balancer.start()
        self.tidier.start()

    def stop(self, why: str = "asked to") -> None:
        """Start nothing more and let go of the nodes; jobs stay as their journals say."""
        if self._stopped:
            return
        self._stopped = True
        LOG.info("master stops", why=why)
        self.scheduler.stop()
        self.reconciler.stop()
        self.balancer.stop()
        self.tidier.stop()
        self.watching.stop()
        for node in self.configuration.nodes():
            self.links.forget(node.name)

    def desk(self) -> Desk:
        """What the door serves."""
        return Desk(
            jobs=self.queue,
            running=self.scheduler,
            registry=self.registry,
            answers=ClusterAnswers(self.view, self.queue, self._breathe),
            clock=self.clock,
            set_watcher_pause=self._set_watcher_pause,
            placement=lambda: msgspec.to_builtins(live.facts(self.view(), stopped=False)),
            balancing=self.balancer.told,
            export=lambda: self.store.read(""),
            draw_uuid=self.random.uuid,
        )

    # -- inside ----------------------------------------------------------------------------------

    def _job_changed(self, job: Job) -> None:
        """What an ended job has drawn is stored, or will not be."""
        if job.finished:
            self.configuration.claims.give_up(job.id)

    async def _breathe(self) -> None:
        """Whatever else has something to do comes first."""
        passed: Deferred[None] = Deferred()
        self.clock.callLater(0.0, passed.callback, None)
        await passed

    async def _be_named_master(self) -> None:
        """The configuration says who is master, for everybody who only reads it."""
        cluster, own = self.configuration.cluster, self.configuration.find_node(self.name)
        if own is None:
            raise NotMaster(f"{self.name} is no node of the cluster {cluster.name}")
        if not own.master_capable:
            raise NotMaster(f"{self.name} is not master capable")
        if cluster.master_node != own.uuid:
            now = self.clock.seconds()
            writes = self.configuration.changed(cluster, now, master_node=own.uuid)
            if not own.master_candidate or own.offline or own.drained:
                writes += self.configuration.changed(
                    own, now, master_candidate=True, offline=False, drained=False
                )
            await self.queue.commit(writes)

    def _fence(self) -> Transaction:
        if self._stopped or self.tenure is None or not self.may_write():
            raise Deposed("This master has stopped and changes nothing any more")
        return self.tenure.fence()

    def _returned(self, node: str) -> None:
        """A node's link stands again, or a part of it that was out of order."""
        if self._stopped:
            return
        self.watching.returned(node)
        self.reconciler.wake()
        self.by_the_way(self.scheduler.retry_undoing(f"node {node} is back"))

    def _submit_repairs(self, jobs: Sequence[Sequence[Opcode]]) -> None:
        self.by_the_way(self.queue.submit(jobs, RECONCILER))

    def by_the_way(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do what nobody waits for; what is refused is tried at the next occasion."""
        answered(work, lambda _: None, self._not_done)

    def _not_done(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, Deposed):
            self._broken(failure)
        elif isinstance(error, JobQueueError):
            LOG.warning("put off", error=str(error))
        else:
            LOG.error("background work failed", exc_info=error)

    def _nodes_in_use(self) -> list[str]:
        return [node.name for node in self.configuration.nodes() if not node.offline]

    def _limit(self) -> int:
        return self.configuration.cluster.max_running_jobs

    def _tracked(self) -> int:
        cluster = self.configuration.cluster
        return max(cluster.max_tracked_jobs, cluster.max_running_jobs)

    def _follow(self, node: Node) -> None:
        """Keep a link to each node that is not marked offline."""
        if node.offline:
            self.links.forget(node.name)
            self.sights.forget(node.name)
        else:
            self.links.connect(node.name, node.primary_ip)

    def _instances_changed(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            self.watching.instance_changed(change.key.rpartition("/")[2])

    def _nodes_changed(self, changes: tuple[Change, ...]) -> None:
        self.watching.nodes_changed()
        for change in changes:
            if change.value is None or self._stopped:
                continue
            node = msgspec.json.decode(change.value, type=Node)
            self._follow(node)
            if node.offline:
                self.by_the_way(self.scheduler.retry_undoing(f"node {node.name} is offline"))

    async def _set_watcher_pause(self, until: float | None) -> None:
        cluster = self.configuration.cluster
        await self.queue.commit(
            self.configuration.changed(cluster, self.clock.seconds(), watcher_pause=until)
        )

    def _broken(self, failure: Failure) -> None:
        self._end(f"a job's execution broke off: {failure.value}")

    def _deposed(self, why: str) -> None:
        self._end(f"deposed: {why}")

    def _end(self, why: str) -> None:
        if self._stopped:
            return
        self.stop(why)
        self.ended(why)
