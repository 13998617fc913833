"""What must hold in every moment of a simulated cluster, and what must hold once it is quiet.

Always: a guest's processors run on one node; a mirrored disk is open for writing on one node, but
for the migration of its instance; each stored volume on a node with power belongs to an instance;
a lock has one exclusive holder; statuses and journals follow their tables; a deposed master changes
nothing. At quiet: each job has ended or is stuck, only stuck ones hold locks, connected mirrors are
equal. Nothing here acts: what is wrong is collected in ``broken``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from clusterd.calls.wire import Call, Fault, Reply
from clusterd.configuration import Configuration
from clusterd.model import Instance
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.simulation.cluster import REGISTRY, SimulatedCluster
from clusterd.simulation.guest_life import GuestLife
from clusterd.simulation.hosts import SURFACE, SimulatedHost
from clusterd.volumes import holders, label_on, labels_on
from jobqueue.errors import JournalBroken
from jobqueue.job import FINAL, Status, Submission
from jobqueue.journal import Event, Known, Phase, fold
from jobqueue.keys import FINISHED, JOBS, JOURNAL, number_in
from jobqueue.live import Job
from jobqueue.opcode import Opcode
from jobqueue.queue import JobQueue
from jobqueue.record import unpacked
from jobqueue.store.interface import Change
from jobqueue.store.memory import MemoryDisk, MemoryStore
from storage.shelf import Attachment, Key
from storage.volume import Template

LEFT_BEHIND = "disks may be left on it"
"""What a job says that knowingly leaves volumes on a node that does not answer."""

_EVENT = msgspec.json.Decoder(Event).decode

UNDER_WAY = frozenset({Phase.READY, Phase.ACTING, Phase.FAILED, Phase.UNDOING, Phase.STUCK})

MAY_BECOME: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset(Status) - {Status.STUCK},
    Status.WAITING: frozenset(Status) - {Status.QUEUED},
    Status.RUNNING: frozenset(Status) - {Status.QUEUED},
    Status.CANCELING: frozenset({*FINAL, Status.STUCK}),
    Status.STUCK: frozenset({*FINAL, Status.RUNNING, Status.CANCELING, Status.WAITING}),
    **{status: frozenset() for status in FINAL},
}
"""Status -> what may follow it as long as one master lives."""


def _turned(job: Job) -> bool:
    """It was canceled and could not be undone any more: it says so, and goes on."""
    lines = (str(line.text) for at in range(len(job.opcodes)) for line in job.logs(at))
    return any("going on forward" in line for line in lines)


def ends(said: Known, kept: Known) -> bool:
    """``kept`` is what a journal that said ``said`` can have come to. Its last lines were never
    stored: the record of the job's end took their place."""
    if said.phase is Phase.ENDED:
        return (said.status, said.result, said.log) == (kept.status, kept.result, kept.log)
    ended = kept.phase is Phase.ENDED and kept.status is not None
    further = kept.step >= said.step or kept.unwinding
    return ended and further and kept.log[: len(said.log)] == said.log


class Invariants:
    """Watches one cluster from its beginning."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.broken: list[str] = []
        self.life = GuestLife(cluster)
        self._cluster = cluster
        self._shelves = tuple(host.shelf for host in cluster.hosts.values())
        self._configuration = Configuration()
        self._opcodes: dict[int, tuple[Opcode, ...]] = {}
        self._known: dict[int, dict[int, Known]] = {}
        self._events: dict[str, Event] = {}
        self._statuses: dict[tuple[int, int], Status] = {}
        self._admitted: dict[str, int] = {}
        store = MemoryStore(cluster.disk)
        Deferred.fromCoroutine(self._configuration.load(store))
        self._ended_before = {number_in(change.key) for change in _stored(cluster.disk, FINISHED)}
        for prefix, read in ((JOBS, self._job_stored), (JOURNAL, self._journal_grew)):
            read(_stored(cluster.disk, prefix))
        store.watch(JOBS, self._job_stored)
        store.watch(JOURNAL, self._journal_grew)
        store.watch(FINISHED, self._job_ended)
        store.watch("", self._committed)
        cluster.clock.after_each = self._happened
        cluster.attention.members.append(self)
        self.life.begin()

    def note(self, text: str) -> None:
        """Something is wrong; said once."""
        if text not in self.broken:
            self.broken.append(text)

    # -- after each event --------------------------------------------------------------------------

    def _happened(self) -> None:
        if self._cluster.room.doubled():
            for guest, nodes in self._cluster.room.processors().items():
                if len(nodes) > 1:
                    self.note(f"guest {guest} runs on {' and '.join(nodes)}")
        primaries = 0
        for shelf in self._shelves:
            if not shelf.attached:
                continue
            for attachment in shelf.attached.values():
                if attachment.primary:
                    primaries += 1
        if primaries > 1:
            self._one_writer()

    def _one_writer(self) -> None:
        writers: dict[tuple[int, str], str] = {}
        for host, key, attachment in self._attached():
            mirror = attachment.mirror
            if mirror is None or not attachment.primary:
                continue
            disk = (mirror.port, mirror.secret)
            if disk in writers and not self._migrates(host.shelf.own[key].owner):
                where = f"{writers[disk]} and {host.name}"
                self.note(f"{key[2]} is open for writing on {where} outside a migration")
            writers[disk] = host.name

    def _attached(self) -> Iterator[tuple[SimulatedHost, Key, Attachment]]:
        for host in self._cluster.hosts.values():
            for key, attachment in host.shelf.attached.items():
                yield host, key, attachment

    def _migrates(self, uuid: str) -> bool:
        """A migration of this instance has begun and has not ended."""
        instance = self._configuration.find_instance(uuid)
        if instance is None:
            return False
        for opcode, known in self._jobs():
            if not isinstance(opcode, InstanceMigrate) or known.phase not in UNDER_WAY:
                continue
            if opcode.instance_name == instance.name:
                return True
        return False

    def _jobs(self) -> Iterator[tuple[Opcode, Known]]:
        for job, known in self._known.items():
            for index, one in known.items():
                yield self._opcodes[job][index], one

    # -- calls -------------------------------------------------------------------------------------

    def before_call(self, host: str, call: Call) -> None:
        """A call that was sent under an old epoch must be refused."""
        service = self._cluster.hosts[host].service
        self._admitted[f"{host}/{call.id}"] = service.epochs.highest if service else 0

    def after_call(self, host: str, call: Call, answer: Reply | Fault) -> None:
        """See ``before_call``."""
        highest = self._admitted.pop(f"{host}/{call.id}", 0)
        late = call.epoch < highest and isinstance(answer, Reply)
        if late and not SURFACE.find(call.verb)[0].reads:
            self.note(f"{host} did '{call.verb}' for epoch {call.epoch} after {highest}")

    # -- commits -----------------------------------------------------------------------------------

    def _job_stored(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            if change.value is not None:
                job = msgspec.json.decode(change.value, type=Submission)
                self._opcodes[job.id] = tuple(REGISTRY.read(raw) for raw in job.opcodes)
                self._known.setdefault(job.id, {})

    def _journal_grew(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            if change.value is None or (job := number_in(change.key)) in self._ended_before:
                continue
            event = _EVENT(change.value)
            before = self._events.get(change.key)
            if before is not None:
                self._written_again(change.key, before, event)
                continue
            self._events[change.key] = event
            known = self._known[job]
            try:
                known[event.opcode] = fold(known.get(event.opcode, Known()), event)
            except JournalBroken as error:
                self.note(f"the journal {change.key} does not fit: {error}")

    def _job_ended(self, changes: tuple[Change, ...]) -> None:
        """What is kept of an ended job goes on from where its journal was."""
        for change in changes:
            if change.value is None:
                continue
            said = self._known[number_in(change.key)]
            kept = dict(enumerate(unpacked(change.value, REGISTRY).known))
            for index, one in kept.items():
                if not ends(said.get(index, Known()), one):
                    self.note(f"{change.key} keeps another end of opcode {index} than its journal")
            said.update(kept)

    def _written_again(self, key: str, before: Event, after: Event) -> None:
        """Only a write whose success was not known may be repeated."""
        if (before.kind, before.step) != (after.kind, after.step):
            self.note(f"the journal {key} was '{before.kind}' and is now '{after.kind}'")

    def _committed(self, _changes: tuple[Change, ...]) -> None:
        for late in self._cluster.late_writes:
            self.note(f"a deposed master changed the store: {late}")
        queue = self._cluster.master.queue
        self._locks(queue)
        self._status_table(queue.shelf.objects())
        self._owned()

    def _locks(self, queue: JobQueue) -> None:
        table = queue.locks
        for row in table.broken():
            self.note(f"lock {row.name} is held exclusively by jobs {row.owners}")
        if not self._cluster.serves:
            return
        for job in queue.unfinished():
            index = job.current
            known = job.known[index] if index is not None else Known()
            under_way = known.phase in UNDER_WAY and not job.stuck_because
            if under_way and table.holdings(str(job.id)) != known.locks:
                self.note(f"job {job.id} is under way without its locks")

    def _status_table(self, jobs: Iterable[Job]) -> None:
        life = id(self._cluster.process)
        for job in jobs:
            new, old = job.status, self._statuses.get((life, job.id))
            well = old is None or new is old or new in MAY_BECOME[old]
            if not well and not (old is Status.CANCELING and _turned(job)):
                self.note(f"job {job.id} was {old} and became {new}")
            self._statuses[life, job.id] = new

    def _owned(self) -> None:
        known = self._configuration
        owners: set[str] = set()
        for shelf in self._shelves:
            owners.update([piece.owner for piece in shelf.own.values()])
        nobody = {one for one in owners if not (known.find_instance(one) or known.find_image(one))}
        if not nobody or self._left_behind():
            return
        for host in self._cluster.hosts.values():
            for key, piece in host.shelf.own.items() if host.powered else ():
                if piece.owner in nobody:
                    self.note(f"volume {key[2]} on {host.name} belongs to nobody")

    def _left_behind(self) -> bool:
        return any(LEFT_BEHIND in str(entry.text) for _, one in self._jobs() for entry in one.log)

    # -- at quiet ----------------------------------------------------------------------------------

    def check_quiet(self) -> None:
        """The cluster has come to rest."""
        self._happened()
        self._committed(())
        for suffering in self.life.wrong:
            self.note(suffering)
        stuck = set()
        for job in self._cluster.master.queue.unfinished():
            if job.status is Status.STUCK:
                stuck.add(str(job.id))
            elif not job.finished:
                self.note(f"job {job.id} {job.summary} never ended: {job.status}")
        for row in self._cluster.master.queue.locks.rows():
            for owner in sorted({*row.owners} - stuck):
                self.note(f"job {owner} has ended and holds lock {row.name}")
        if not stuck:
            self._nothing_half_done()
        self._mirrors_equal()
        self._cards_apart()

    def _nothing_half_done(self) -> None:
        for instance in self._configuration.instances(unfinished=True):
            if instance.made_by is not None:
                self.note(f"instance {instance.name} was never finished")
            for snapshot in instance.snapshots:
                if snapshot.made_by is not None:
                    self.note(f"snapshot {snapshot.name} of {instance.name} was never finished")
            if instance.moving_to is not None and not instance.drafted:
                self.note(f"instance {instance.name} is marked as moving and no job moves it")
        for image in self._configuration.images(unfinished=True):
            if image.made_by is not None:
                self.note(f"image {image.name} was never finished")
        for name in self._cluster.room.frozen():
            self.note(f"guest {name} is frozen and no job thaws it")
        for host, key, attachment in self._attached():
            if attachment.two_primaries and attachment.connected:
                self.note(f"{key[2]} on {host.name} may have two primaries and no job moves it")

    def _cards_apart(self) -> None:
        nics = [nic for one in self._configuration.instances() for nic in one.nics]
        for what, drawn in (
            ("MAC address", [nic.mac for nic in nics]),
            (
                "address of a network",
                [f"{nic.network} {nic.ip}" for nic in nics if nic.network and nic.ip],
            ),
        ):
            for twice in sorted({one for one in drawn if drawn.count(one) > 1}):
                self.note(f"two cards have the same {what}: {twice}")

    def _mirrors_equal(self) -> None:
        for instance in self._configuration.instances():
            for disk, pair in self.pairs(instance):
                if len(pair) == 2 and all(one.connected for _, one in pair):
                    contents = {host.shelf.read(one.path) for host, one in pair}
                    good = all(self._good(host, one) for host, one in pair)
                    if good and len(contents) > 1:
                        self.note(f"disk {disk} of {instance.name} differs on its two nodes")

    def degraded(self) -> list[str]:
        """Mirrored disks of active instances that lack a complete, connected copy, and former disks
        that nobody has removed."""
        found = []
        for instance in self._configuration.instances():
            if instance.drafted:
                found.append(f"data of former disks of {instance.name} are left")
            for disk, pair in self.pairs(instance):
                whole = len(pair) == 2 and all(
                    one.connected and self._good(host, one) for host, one in pair
                )
                if instance.disks_active and not whole:
                    found.append(f"disk {disk} of {instance.name} is degraded")
        return found

    def attached_to(self, instance: Instance) -> list[str]:
        """Nodes on which a disk of the instance is attached."""
        nodes = [node.uuid for node in self._configuration.nodes()]
        labels = {label for node in nodes for label in labels_on(instance, node)}
        found = {host.name for host, key, _ in self._attached() if key[2].split(".")[0] in labels}
        return sorted(found)

    def pairs(
        self, instance: Instance
    ) -> Iterator[tuple[int, list[tuple[SimulatedHost, Attachment]]]]:
        """(index, attached sides) of each mirrored disk."""
        for index, disk in enumerate(instance.disks):
            if disk.template != Template.DRBD:
                continue
            labels = {label_on(disk, node) for node in holders(instance, disk)}
            names = {f"{label}.disk{instance.number_of(disk)}_data" for label in labels}
            yield (
                index,
                [(host, one) for host, key, one in self._attached() if key[2] in names],
            )

    def _good(self, host: SimulatedHost, attachment: Attachment) -> bool:
        pieces: Any = host.shelf.own
        return any(
            pieces[key].copy.good for key, one in host.shelf.attached.items() if one is attachment
        )


def _stored(disk: MemoryDisk, prefix: str) -> tuple[Change, ...]:
    """What is there already, as if it had just been written."""
    return tuple(
        Change(key, disk.entries[key].value, disk.entries[key].version)
        for key in disk.keys
        if key.startswith(prefix)
    )
