"""What can go wrong in a simulated cluster, and when: each fault strikes at a numbered moment.

A moment is a call (just before a node begins it, or just after it is done and before anybody
knows) or a commit of the master (before it is written, or after, before the master knows). A fault
strikes the node of that call, or the master; it heals by itself after a while, or when the trial
is over.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec
from twisted.internet.defer import Deferred

from clusterd.calls.wire import Call, Reply
from clusterd.calls.wire import Fault as Refusal
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.scenario import NAME
from hypervisors.machine_room import Course
from jobqueue.errors import StoreAway, StoreFull
from jobqueue.store.interface import Transaction
from jobqueue.store.memory import Died
from storage.memory_faults import Trouble as DiskTrouble

Act = Callable[[SimulatedCluster, str], None]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of fault. ``strike`` and ``heal`` get the node's name."""

    counts: Literal["calls", "commits"] = "calls"
    strike: Act
    heal: Act = lambda cluster, node: None
    lasts_s: float | None = None
    """None: nothing heals by itself."""
    master_only: bool = False
    """Nothing but the master is touched: the job must end as if nothing had happened."""
    may_stick: bool = False
    """It may make an undo fail for good: the operator mends it, and lets stuck jobs unwind."""
    spoils_guest: bool = False
    """A guest may end or no longer listen by it."""


class Fault(msgspec.Struct, frozen=True):
    """A kind at a moment; the text form is ``power-off@7``, with ``+`` for after the moment."""

    kind: str
    at: int
    after: bool = False

    def __str__(self) -> str:
        return f"{self.kind}@{self.at}{'+' if self.after else ''}"


_FORM = re.compile(r"([a-z-]+)@(\d+)(\+?)\Z")


def parse(text: str) -> Fault:
    """A fault from its text form; raises ValueError."""
    match = _FORM.match(text)
    if match is None or match[1] not in KINDS:
        raise ValueError(f"'{text}' is no fault; kinds are {', '.join(KINDS)}")
    return Fault(match[1], int(match[2]), bool(match[3]))


# -- what strikes ---------------------------------------------------------------------------------


def _kill_master(cluster: SimulatedCluster, _node: str) -> None:
    cluster.process.kill()


def _second_master(cluster: SimulatedCluster, _node: str) -> None:
    cluster.clock.callLater(0.0, cluster.start_master)


def _cancel(cluster: SimulatedCluster, _node: str) -> None:
    cluster.clock.callLater(0.0, cancel_all, cluster)


def cancel_all(cluster: SimulatedCluster) -> None:
    """The operator cancels every job."""
    for job in cluster.master.queue.unfinished():
        canceling = Deferred.fromCoroutine(cluster.master.scheduler.cancel(job.id))
        canceling.addErrback(cluster.process.refusals.append)


def _kill_daemon(cluster: SimulatedCluster, node: str) -> None:
    cluster.hosts[node].kill_daemon()


def _start_daemon(cluster: SimulatedCluster, node: str) -> None:
    host = cluster.hosts[node]
    if host.powered and not host.alive:
        host.start_daemon()


def _power_off(cluster: SimulatedCluster, node: str) -> None:
    cluster.hosts[node].power_off()
    if node == cluster.names[0]:
        cluster.process.kill()


def _power_on(cluster: SimulatedCluster, node: str) -> None:
    if not cluster.hosts[node].powered:
        cluster.hosts[node].boot()


def _cut_master(cluster: SimulatedCluster, node: str) -> None:
    cluster.network.cut(cluster.master_card, node)


def _mend_master(cluster: SimulatedCluster, node: str) -> None:
    cluster.network.mend(cluster.master_card, node)


def _cut_mirror(cluster: SimulatedCluster, node: str) -> None:
    for other in cluster.hosts:
        if other != node:
            cluster.wire.cut(node, other)
            cluster.room.cut_link(node, other)


def _mend_mirror(cluster: SimulatedCluster, node: str) -> None:
    for other in cluster.hosts:
        if other != node:
            cluster.wire.mend(node, other)


def _stop_service(cluster: SimulatedCluster, node: str) -> None:
    cluster.room.stop_service(node)


def _start_service(cluster: SimulatedCluster, node: str) -> None:
    cluster.room.start_service(node)


def _guest_ends(cluster: SimulatedCluster, _node: str) -> None:
    for name in cluster.room.running_on(NAME):
        cluster.room.power_down_guest(name, NAME)


def _guest_crashes(cluster: SimulatedCluster, _node: str) -> None:
    for name in cluster.room.running_on(NAME):
        cluster.room.crash_guest(name, NAME)


def _guest_is_deaf(cluster: SimulatedCluster, _node: str) -> None:
    for name in cluster.hosts:
        cluster.room.machine(name).deaf.add(NAME)


def _scripts_fail(cluster: SimulatedCluster, node: str) -> None:
    cluster.hosts[node].scripts.fails = lambda script: True


def _scripts_work(cluster: SimulatedCluster, node: str) -> None:
    cluster.hosts[node].scripts.fails = lambda script: False


def _no_space(cluster: SimulatedCluster, node: str) -> None:
    shelf = cluster.hosts[node].shelf
    for pool in shelf.pools:
        shelf.pools[pool] -= 1024 * 1024


def _space(cluster: SimulatedCluster, node: str) -> None:
    shelf = cluster.hosts[node].shelf
    for pool in shelf.pools:
        shelf.pools[pool] += 1024 * 1024


def _course(end: Literal["fails", "cut", "cut-late", "unreleased"]) -> Act:
    def plan(cluster: SimulatedCluster, _node: str) -> None:
        cluster.room.plan_migration(NAME, Course(polls=2, end=end))

    return plan


def _cut_way(*, to_node: bool) -> tuple[Act, Act]:
    """Only one direction between the master and the node; (strike, heal)."""

    def ends(cluster: SimulatedCluster, node: str) -> tuple[str, str]:
        return (cluster.master_card, node) if to_node else (node, cluster.master_card)

    return (
        lambda cluster, node: cluster.network.cut_way(*ends(cluster, node)),
        lambda cluster, node: cluster.network.mend_way(*ends(cluster, node)),
    )


def _answer_late(delay_s: float) -> Act:
    def strike(cluster: SimulatedCluster, node: str) -> None:
        cluster.network.slow_down(node, cluster.master_card, delay_s)

    return strike


def _skew(skew_s: float) -> Act:
    def strike(cluster: SimulatedCluster, node: str) -> None:
        cluster.hosts[node].skew_s = skew_s

    return strike


def _disks(trouble: DiskTrouble) -> Act:
    def strike(cluster: SimulatedCluster, node: str) -> None:
        cluster.hosts[node].disks.trouble = trouble
        cluster.hosts[node].disks.told.clear()

    return strike


def _storage(trouble: DiskTrouble) -> Act:
    """The same on all nodes, as when it is a service that they share."""

    def strike(cluster: SimulatedCluster, _node: str) -> None:
        for name in cluster.hosts:
            _disks(trouble)(cluster, name)

    return strike


TO_NODE, FROM_NODE = _cut_way(to_node=True), _cut_way(to_node=False)
LATE_S = 4.0
"""Less than the silence after which a link is given up, and more than any patience between."""


def _nothing(_cluster: SimulatedCluster, _node: str) -> None:
    """The store itself raises."""


KINDS: dict[str, Kind] = {
    "crash": Kind(counts="commits", strike=_nothing, master_only=True),
    "kill-master": Kind(strike=_kill_master, master_only=True),
    "second-master": Kind(strike=_second_master, master_only=True),
    "store-full": Kind(counts="commits", strike=_nothing, lasts_s=30.0, master_only=True),
    "store-unsure": Kind(counts="commits", strike=_nothing, master_only=True),
    "cancel": Kind(strike=_cancel),
    "kill-daemon": Kind(strike=_kill_daemon, heal=_start_daemon, lasts_s=20.0),
    "power-off": Kind(strike=_power_off, heal=_power_on, lasts_s=150.0, spoils_guest=True),
    "power-lost": Kind(strike=_power_off, spoils_guest=True),
    "cut-master": Kind(strike=_cut_master, heal=_mend_master, lasts_s=40.0),
    "cut-mirror": Kind(strike=_cut_mirror, heal=_mend_mirror, lasts_s=60.0),
    "cut-to-node": Kind(strike=TO_NODE[0], heal=TO_NODE[1], lasts_s=40.0),
    "cut-from-node": Kind(strike=FROM_NODE[0], heal=FROM_NODE[1], lasts_s=40.0),
    "late-answers": Kind(strike=_answer_late(LATE_S), heal=_answer_late(0.0), lasts_s=60.0),
    "later-answers": Kind(strike=_answer_late(5 * LATE_S), heal=_answer_late(0.0), lasts_s=60.0),
    "clock-ahead": Kind(strike=_skew(3600.0), heal=_skew(0.0), lasts_s=120.0),
    "clock-behind": Kind(strike=_skew(-3600.0), heal=_skew(0.0), lasts_s=120.0),
    "disk-slow": Kind(strike=_disks("slow"), heal=_disks(""), lasts_s=60.0),
    "disk-stale": Kind(strike=_disks("stale"), heal=_disks(""), lasts_s=30.0),
    "disk-broken": Kind(strike=_disks("broken"), heal=_disks(""), lasts_s=50.0, may_stick=True),
    "disk-fails": Kind(strike=_disks("fails"), heal=_disks(""), lasts_s=30.0, may_stick=True),
    "disk-torn": Kind(strike=_disks("torn"), heal=_disks(""), lasts_s=30.0, may_stick=True),
    "disk-hung": Kind(strike=_disks("hung"), heal=_disks(""), lasts_s=100.0, may_stick=True),
    "storage-down": Kind(strike=_storage("down"), heal=_storage(""), lasts_s=100.0, may_stick=True),
    "stop-service": Kind(strike=_stop_service, heal=_start_service, lasts_s=40.0),
    "guest-ends": Kind(strike=_guest_ends, spoils_guest=True),
    "guest-crashes": Kind(strike=_guest_crashes, spoils_guest=True),
    "guest-deaf": Kind(strike=_guest_is_deaf, spoils_guest=True),
    "scripts-fail": Kind(strike=_scripts_fail, heal=_scripts_work, lasts_s=60.0),
    "no-space": Kind(strike=_no_space, heal=_space, lasts_s=60.0),
    "migration-fails": Kind(strike=_course("fails")),
    "migration-cut": Kind(strike=_course("cut")),
    "migration-cut-late": Kind(strike=_course("cut-late")),
    "migration-unreleased": Kind(strike=_course("unreleased")),
}
"""All kinds by name."""


class Crossroads(Protocol):
    """Whoever wants to try what would be if the master died at a commit. It must leave everything
    as it found it."""

    def commit(self, at: int, transaction: Transaction) -> None:
        """The ``at``-th commit is about to be written."""


class Misfortune:
    """Counts moments from ``arm`` on and lets faults strike. It pays attention to all calls and is
    the trouble of the master's store. Invariant: each fault strikes at most once."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.calls = 0
        self.commits = 0
        self.struck: list[str] = []
        self.faults = faults
        """What is to strike."""
        self.crossroads: Crossroads | None = None
        self._cluster: SimulatedCluster | None = None
        self._full_until = 0.0
        self._unhealed: list[tuple[Kind, str]] = []

    def arm(self, cluster: SimulatedCluster) -> None:
        """From now on moments count."""
        self._cluster = cluster

    def heal(self) -> None:
        """What lasts, ends; what was planned and did not strike, will not."""
        cluster, self._cluster = self._cluster, None
        self._full_until = 0.0
        for kind, node in self._unhealed:
            if cluster is not None and kind.lasts_s is not None:
                kind.heal(cluster, node)
        self._unhealed.clear()

    @property
    def lost(self) -> list[str]:
        """Nodes that will never have power again."""
        return sorted({text.split(" ")[1] for text in self.struck if "power-lost" in text})

    # -- moments -----------------------------------------------------------------------------------

    def before_call(self, host: str, call: Call) -> None:
        """See ``Attention``."""
        if self._cluster is not None:
            self._strike("calls", self.calls, False, host)

    def after_call(self, host: str, call: Call, answer: Reply | Refusal) -> None:
        """See ``Attention``."""
        if self._cluster is not None:
            self._strike("calls", self.calls, True, host)
            self.calls += 1

    def before_commit(self, transaction: Transaction) -> None:
        """See ``Trouble``."""
        if self._cluster is None:
            return
        if self._cluster.clock.seconds() < self._full_until:
            raise StoreFull("pretended to be full")
        if self.crossroads is not None:
            self.crossroads.commit(self.commits, transaction)
        self._strike("commits", self.commits, False, self._cluster.names[0])

    def after_commit(self, transaction: Transaction, revision: int) -> None:
        """See ``Trouble``."""
        if self._cluster is not None:
            self.commits += 1
            self._strike("commits", self.commits - 1, True, self._cluster.names[0])

    def _strike(self, counts: str, moment: int, after: bool, node: str) -> None:
        for fault in self.faults:
            if fault.at != moment or fault.after is not after:
                continue
            kind = KINDS[fault.kind]
            if kind.counts == counts and not any(
                text.startswith(f"{fault} ") for text in self.struck
            ):
                self._let(fault, kind, node)

    def _let(self, fault: Fault, kind: Kind, node: str) -> None:
        cluster = self._cluster
        if cluster is None or (fault.kind == "power-lost" and node == cluster.names[0]):
            return
        self.struck.append(f"{fault} {node}")
        kind.strike(cluster, node)
        if kind.lasts_s is not None:
            ill = (kind, node)
            self._unhealed.append(ill)
            cluster.clock.callLater(kind.lasts_s, self._recover, ill)
        if fault.kind == "crash":
            raise Died
        if fault.kind == "store-full":
            self._full_until = cluster.clock.seconds() + (kind.lasts_s or 0.0)
            raise StoreFull("pretended to be full")
        if fault.kind == "store-unsure":
            raise StoreAway("pretended not to answer")

    def _recover(self, ill: tuple[Kind, str]) -> None:
        if ill in self._unhealed and self._cluster is not None:
            self._unhealed.remove(ill)
            ill[0].heal(self._cluster, ill[1])
