"""What would happen: events played on a simulated cluster, and what each of them changed.

Decided here: what is looked at before and after, and how long the cluster is given. What is said
about it is values; words for people are the command's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from clusterd.errors import ClusterError
from clusterd.model import AdminState, Instance
from clusterd.simulation import faults
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.script import MASTER, BadScript, Event
from clusterd.volumes import has_mirror
from jobqueue.job import Status
from jobqueue.live import Job

Command = Callable[[tuple[str, ...]], tuple[int, list[str]]]
"""Words of a command -> exit code and lines."""

NOTICE_S = 2.0
"""After an event, before its effect is looked at."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What can be seen of a cluster at one moment."""

    runs: dict[str, str]
    """Instance -> node."""
    single: frozenset[str]
    """Instances whose mirrors lack a side."""
    unseen: frozenset[str]
    """Nodes that the master does not reach."""
    master: bool


class Played(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One event and what came of it, in sentences."""

    at_s: float
    event: str
    effects: list[str] = []
    exit_code: int | None = None
    """Of a command."""
    output: list[str] = []
    took_s: float = 0.0


class JobSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A job at the end."""

    id: int
    summary: str
    status: str
    submitter: str
    reason: str = ""


class Story(msgspec.Struct, kw_only=True):
    """The whole answer."""

    notes: list[str]
    events: list[Played]
    ended_s: float = 0.0
    jobs: list[JobSeen] = []
    down: list[str] = []
    """Instances that should run and do not."""
    single: list[str] = []
    """Instances that run on one copy of a mirrored disk."""
    wrong: list[str] = []
    """Laws that were broken; there must be none."""
    serves: bool = True
    """There is a master in the end."""


class WhatIf:
    """Plays events on one cluster."""

    def __init__(self, cluster: SimulatedCluster, notes: list[str], command: Command) -> None:
        self._cluster = cluster
        self._command = command
        self._begun_s = cluster.clock.seconds()
        self._story = Story(notes=notes, events=[])

    def play(self, events: tuple[Event, ...], rest_s: float) -> Story:
        """All of them, then ``rest_s`` virtual seconds; raises BadScript for unknown nodes."""
        for event in events:
            self._known(event)
        for event in events:
            self._wait_for(event)
            self._play(event)
        self._rest(rest_s)
        return self._story

    # -- events ------------------------------------------------------------------------------------

    def _known(self, event: Event) -> None:
        if event.verb in ("command", "wait"):
            return
        for name in event.words:
            if name not in self._cluster.hosts and name != MASTER:
                names = ", ".join(self._cluster.hosts)
                raise BadScript(f"'{event.text}': there is no node '{name}'; there are {names}")

    def _wait_for(self, event: Event) -> None:
        due_s = event.at_s if event.at_s is not None else self._now_s + event.after_s
        self._cluster.clock.run(max(due_s - self._now_s, 0.0))

    def _play(self, event: Event) -> None:
        played = Played(at_s=self._now_s, event=event.text)
        self._story.events.append(played)
        before = self._state()
        if event.verb == "command":
            self._run(event, played)
        elif event.verb == "wait":
            self._cluster.clock.run(float(event.words[0]))
        else:
            ACTS[event.verb](self._cluster, *event.words)
            self._cluster.clock.run(NOTICE_S)
        played.effects = list(differences(before, self._state()))

    def _run(self, event: Event, played: Played) -> None:
        try:
            played.exit_code, played.output = self._command(event.words)
        except ClusterError as error:
            played.exit_code, played.output = 1, [str(error)]
        played.took_s = round(self._now_s - played.at_s, 1)

    def _rest(self, rest_s: float) -> None:
        """What the cluster does by itself."""
        before, began_s = self._state(), self._now_s
        self._cluster.clock.run(rest_s)
        effects = list(differences(before, self._state()))
        if effects:
            self._story.events.append(
                Played(at_s=began_s, event=f"{rest_s:.0f} s pass", effects=effects)
            )
        self._story.ended_s = round(self._now_s, 1)
        self._story.serves = self._cluster.serves
        self._story.jobs = list(jobs_of(self._cluster)) if self._cluster.serves else []
        self._story.down = [one.name for one in self._wanted() if not self._runs(one)]
        self._story.single = sorted(self._state().single)
        for guest, nodes in self._cluster.room.processors().items():
            if len(nodes) > 1:
                self._story.wrong.append(f"{guest} runs on {' and '.join(nodes)}")

    # -- looking -----------------------------------------------------------------------------------

    @property
    def _now_s(self) -> float:
        return self._cluster.clock.seconds() - self._begun_s

    def _wanted(self) -> Iterator[Instance]:
        for instance in self._cluster.master.configuration.instances():
            if instance.admin_state is AdminState.UP:
                yield instance

    def _runs(self, instance: Instance) -> bool:
        return bool(self._cluster.runs_on(instance.name))

    def _state(self) -> State:
        master = self._cluster.master
        nodes = {node.uuid: node for node in master.configuration.nodes()}
        processors = self._cluster.room.processors()
        return State(
            runs={guest: nodes_[0] for guest, nodes_ in processors.items()},
            single=frozenset(
                instance.name
                for instance in master.configuration.instances()
                if has_mirror(instance.disk_template)
                and instance.name in processors
                and not self._whole(instance)
            ),
            unseen=frozenset(
                node.name
                for node in nodes.values()
                if not node.offline and not master.sights.sight(node.name).connected
            ),
            master=self._cluster.serves,
        )

    def _whole(self, instance: Instance) -> bool:
        """Each of its disks has two good, connected sides."""
        names = {f"{disk.label}.disk{at}_data" for at, disk in enumerate(instance.disks)}
        good = sum(
            attached.connected and host.shelf.own[key].copy.good
            for host in self._cluster.hosts.values()
            for key, attached in host.shelf.attached.items()
            if key[2] in names
        )
        return good == 2 * len(names)


def differences(before: State, after: State) -> Iterator[str]:
    """What changed, in the operator's words."""
    if before.master and not after.master:
        yield "the master stops: no command is answered"
    if after.master and not before.master:
        yield "the master answers"
    for node in sorted(after.unseen - before.unseen):
        yield f"the master does not reach node {node} any more"
    for node in sorted(before.unseen - after.unseen):
        yield f"node {node} is reached again, or is no longer asked"
    for guest in sorted(before.runs.keys() - after.runs.keys()):
        yield f"{guest} stops (it ran on {before.runs[guest]})"
    for guest in sorted(after.runs.keys() - before.runs.keys()):
        yield f"{guest} runs on {after.runs[guest]}"
    for guest in sorted(after.runs.keys() & before.runs.keys()):
        if before.runs[guest] != after.runs[guest]:
            yield f"{guest} has moved from {before.runs[guest]} to {after.runs[guest]}"
    for guest in sorted(after.single - before.single):
        yield f"{guest} goes on with one copy of its disks"
    for guest in sorted(before.single - after.single):
        if guest in after.runs:
            yield f"{guest} has both copies of its disks again"


def jobs_of(cluster: SimulatedCluster) -> Iterator[JobSeen]:
    """All jobs, and why those that did not succeed did not."""
    for job in cluster.master.queue.jobs():
        yield JobSeen(
            id=job.id,
            summary=", ".join(job.summary),
            status=str(job.status),
            submitter=job.submitter,
            reason=_reason(cluster, job),
        )


def _reason(cluster: SimulatedCluster, job: Job) -> str:
    if job.status is Status.SUCCESS:
        return ""
    if job.status is Status.STUCK:
        return job.stuck_reason
    if job.status is Status.WAITING:
        rows = cluster.master.queue.locks.rows()
        mine = [row for row in rows if str(job.id) in str(row.pending)]
        return ", ".join(f"waits for lock {row.name}, held by {row.owners}" for row in mine)
    for known in job.known:
        if isinstance(known.result, list) and len(known.result) == 2:
            return str(known.result[1][0] if known.result[1] else known.result[0])
    lines = [line.text for index in range(len(job.known)) for line in job.logs(index)]
    return str(lines[-1]).strip() if lines else ""


# -- what can happen ---------------------------------------------------------------------------


def _kill(cluster: SimulatedCluster, what: str) -> None:
    faults.KINDS["kill-master" if what == MASTER else "kill-daemon"].strike(cluster, what)


def _start(cluster: SimulatedCluster, what: str) -> None:
    if what != MASTER:
        faults.KINDS["kill-daemon"].heal(cluster, what)
    elif not cluster.serves and cluster.hosts[cluster.names[0]].powered:
        cluster.start_master()


def _power_on(cluster: SimulatedCluster, node: str) -> None:
    faults.KINDS["power-off"].heal(cluster, node)
    if node == cluster.names[0]:
        _start(cluster, MASTER)


def _cut(cluster: SimulatedCluster, one: str, two: str) -> None:
    cluster.wire.cut(one, two)
    cluster.room.cut_link(one, two)
    for end, other in ((one, two), (two, one)):
        if end == cluster.names[0]:
            cluster.network.cut(cluster.master_card, other)


def _mend(cluster: SimulatedCluster, one: str, two: str) -> None:
    cluster.wire.mend(one, two)
    for end, other in ((one, two), (two, one)):
        if end == cluster.names[0]:
            cluster.network.mend(cluster.master_card, other)


def _fail_disk(cluster: SimulatedCluster, node: str) -> None:
    """Nothing on it can be read or written: guests without another copy break down."""
    shelf = cluster.hosts[node].shelf
    for piece in shelf.own.values():
        piece.copy = msgspec.structs.replace(piece.copy, good=False)
    for pool in shelf.pools:
        shelf.pools[pool] = sum(p.taken_mib for key, p in shelf.own.items() if key[1] == pool)
    for name in list(cluster.room.machine(node).residents):
        instance = cluster.instance(name)
        if instance is not None and instance.disk_template in ("plain", "file"):
            cluster.room.crash_guest(node, name)
    faults.KINDS["disk-broken"].strike(cluster, node)


ACTS: dict[str, Callable[..., None]] = {
    "power-off": faults.KINDS["power-off"].strike,
    "power-on": _power_on,
    "cut": _cut,
    "mend": _mend,
    "fail-disk": _fail_disk,
    "kill": _kill,
    "start": _start,
}
