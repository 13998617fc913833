"""One trial: a scenario, faults, and the judgement of what came of it.

After the job has come to rest and the faults are healed, a trial is good when the invariants held
all the time, and
- if only the master was troubled: the state is that of the run without faults (who was not told
  that his job was accepted has asked again);
- otherwise: the job ended, what should run can be started, the same request asked again leads to
  the state of the run without faults, and verification finds nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import msgspec
from twisted.internet.defer import Deferred

from clusterd.master.service import RECONCILER
from clusterd.model import AdminState
from clusterd.opcodes.cluster_verify import ClusterVerify
from clusterd.opcodes.instance_deactivate_disks import InstanceDeactivateDisks
from clusterd.opcodes.instance_failover import InstanceFailover
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_startup import InstanceStartup
from clusterd.opcodes.node_set_params import NodeSetParams
from clusterd.simulation.cluster import STEPS, SimulatedCluster
from clusterd.simulation.complaints import Complaints
from clusterd.simulation.faults import KINDS, Fault, Misfortune
from clusterd.simulation.founded import Founded
from clusterd.simulation.grounds import buried, place
from clusterd.simulation.invariants import Invariants
from clusterd.simulation.portrait import Portrait, difference, portrait
from clusterd.simulation.rest import go_on_settling, settle
from clusterd.simulation.scenario import Scenario
from clusterd.simulation.scenarios import SCENARIOS
from clusterd.simulation.verdict import Verdict, broken
from jobqueue.job import Status
from jobqueue.live import Job
from jobqueue.opcode import Opcode
from jobqueue.step import Steps
from jobqueue.store.interface import Change, Transaction
from jobqueue.store.memory import Died

REST_S = 100.0
"""Virtual time for the cluster to repair itself."""

MAX_SHOWN = 12
LEFT_OUT = "does not answer, and is left out"  # says a job that succeeds without a node


class Trial:
    """Builds the cluster, lets things go wrong, judges."""

    def __init__(
        self,
        directory: Path,
        scenario: Scenario,
        faults: tuple[Fault, ...] = (),
        steps: Steps = STEPS,
        founded: Founded | None = None,
    ) -> None:
        self.misfortune = Misfortune(faults)
        self.cluster = SimulatedCluster(
            directory,
            scenario.blueprint(founded),
            trouble=self.misfortune,
            steps=steps,
        )
        self.invariants = Invariants(self.cluster)
        self.cluster.attention.members.append(self.misfortune)
        self.directory = directory
        self._scenario = scenario
        self._faults = faults
        self._resting_since: float | None = None
        """None while it is still asked for the job."""

    @property
    def _master_only(self) -> bool:
        return all(KINDS[fault.kind].master_only for fault in self._faults)

    def found(self) -> Founded:
        """The scenario's starting state; raises RuntimeError when it cannot be reached well."""
        self._scenario.prepare(self.cluster)
        self.invariants.check_quiet()
        if self.invariants.broken:
            raise RuntimeError(f"{self._scenario.name}: {self.invariants.broken}")
        return self.cluster.founded()

    def run(self) -> Verdict:
        """To the end."""
        self._scenario.begin(self.cluster)
        self.misfortune.arm(self.cluster)
        self._ask()
        self._resting_since = self.cluster.clock.seconds()
        self._come_to_rest()
        return self._ended()

    def crashed(self, fault: Fault, transaction: Transaction) -> Verdict:
        """What comes of it when the master dies before or after a commit, in the midst of ``run``;
        to the end."""
        self._faults = self.misfortune.faults = (fault,)
        self.misfortune.crossroads = None
        disk = self.cluster.disk
        changes: tuple[Change, ...] = ()
        try:
            if fault.after:
                changes = disk.apply(transaction)
                self.misfortune.after_commit(transaction, disk.revision)
            else:
                self.misfortune.before_commit(transaction)
        except Died:
            self.cluster.process.kill()
        else:
            raise RuntimeError(f"{fault} did not strike")
        disk.announce(changes)
        self.cluster.clock.after_each()
        if self._resting_since is None:
            self.cluster.clock.run(0.0)
            self._come_to_rest()
        else:
            go_on_settling(self.cluster, self._resting_since)
        return self._ended()

    def _ended(self) -> Verdict:
        """The job has come to rest."""
        calls, commits = self.misfortune.calls, self.misfortune.commits
        self.misfortune.heal()
        if not self._master_only:
            self.cluster.clock.run(REST_S)
        self._come_to_rest()
        self._ask()
        self._come_to_rest()
        if self._faults:
            self._judge()
        self.invariants.check_quiet()
        job = self._job()
        return Verdict(
            scenario=self._scenario.name,
            faults=self._faults,
            wrong=list(self.invariants.broken),
            calls=calls,
            commits=commits,
            status=job.status if job is not None else None,
            struck=tuple(self.misfortune.struck),
            after=() if self._faults else self._portrait(),
        )

    def _ask(self) -> None:
        """Ask for what has not been accepted yet."""
        for asked in self._asked():
            if self.cluster.serves and self._job_of(asked) is None:
                self.cluster.submit(*asked)

    def _asked(self) -> Iterator[tuple[Opcode, ...]]:
        """The jobs of the scenario."""
        yield self._scenario.act
        for opcode in self._scenario.beside:
            yield (opcode,)

    def _job_of(self, asked: tuple[Opcode, ...]) -> Job | None:
        """The job that was made of it."""
        wanted = msgspec.json.encode(asked)
        shelf = self.cluster.master.queue.shelf
        numbers = sorted([*shelf.ended_ids(), *(job.id for job in shelf.unfinished())])
        jobs = (shelf.get(number) for number in numbers[len(self._scenario.given) :])
        # as submitted: what was chosen for an opcode stands only in the opcodes
        return next(
            (job for job in jobs if job and msgspec.json.encode(job.submission.opcodes) == wanted),
            None,
        )

    def _failed(self, job: Job | None) -> bool:
        """It, or a job that it made, did not succeed, or not on all nodes."""
        if job is None or any(LEFT_OUT in str(line.text) for line in job.logs(0)):
            return True
        result = job.known[-1].result
        made = result.get("jobs", ()) if isinstance(result, dict) else ()
        failed = any(self._failed(self.cluster.job(number)) for _accepted, number in made)
        return failed or job.status is not Status.SUCCESS

    def _job(self) -> Job | None:
        """The job that the scenario is about."""
        return self._job_of(self._scenario.act)

    def _come_to_rest(self) -> None:
        settle(self.cluster)

    # -- judging -----------------------------------------------------------------------------------

    def _judge(self) -> None:
        found = self._portrait()
        wanted = reference(self._scenario.name)
        if self._master_only:
            if found != wanted.after:
                self._differs("the end is another than without the fault", wanted.after, found)
            else:
                self._check_status(wanted)
            return
        self._unwind_stuck()
        self._check_jobs_ended()
        self._check_nothing_closed_for_it()
        self._give_up_lost()
        self.invariants.check_quiet()
        self._go_on_without_lost()
        self._start_what_should_run()
        if not self.misfortune.lost:
            self._ask_again(wanted)
        self._verify()

    def _check_status(self, wanted: Verdict) -> None:
        job = self._job()
        status = job.status if job is not None else None
        if status is not wanted.status:
            reason = job.known[-1].result if job is not None else "it is gone"
            self.invariants.note(f"the job is {status} ({reason}), not {wanted.status}")

    def _unwind_stuck(self) -> None:
        """What the operator does once he has repaired what made an undo fail."""
        if not any(KINDS[fault.kind].may_stick for fault in self._faults):
            return
        scheduler = self.cluster.master.scheduler
        for job in self.cluster.master.queue.jobs():
            if job.status is Status.STUCK:
                Deferred.fromCoroutine(scheduler.unwind(job.id, "the disk is repaired"))
        self._come_to_rest()
        self.cluster.clock.run(REST_S)
        self._come_to_rest()

    def _check_jobs_ended(self) -> None:
        if self.misfortune.lost:
            return
        for job in self.cluster.master.queue.jobs():
            if job.status is Status.STUCK:
                self.invariants.note(f"job {job.id} {job.summary} is stuck: {job.stuck_reason}")

    def _check_nothing_closed_for_it(self) -> None:
        """While nodes, links and disks are well a job closes itself what it has opened."""
        kinds = [KINDS[fault.kind] for fault in self._faults]
        if self.misfortune.lost or any(kind.lasts_s is not None for kind in kinds):
            return
        for job in self.cluster.master.queue.jobs():
            closes = any(isinstance(opcode, InstanceMigrate) for opcode in job.opcodes)
            if job.submitter == RECONCILER and closes:
                self.invariants.note("the reconciler had to close what may have two primaries")

    def _give_up_lost(self) -> None:
        """The operator says so of lost nodes, so that no job waits for them any more."""
        for node in self.misfortune.lost:
            # one may have been removed before it was lost
            if self.cluster.master.configuration.find_node(node) is not None:
                self._do(NodeSetParams(node_name=node, offline=True, auto_promote=True))

    def _go_on_without_lost(self) -> None:
        """The operator moves what lived on lost nodes."""
        for node in self.misfortune.lost:
            for instance in list(self.cluster.master.configuration.instances()):
                lives_there = self.cluster.master.view().primary(instance).name == node
                if lives_there and instance.secondary_node is not None:
                    failover = InstanceFailover(
                        instance_name=instance.name, ignore_consistency=True
                    )
                    self._do(failover)

    def _start_what_should_run(self) -> None:
        for instance in list(self.cluster.master.configuration.instances()):
            primary = self.cluster.master.view().primary(instance)
            runs = self.cluster.runs_on(instance.name)
            wanted = instance.admin_state is AdminState.UP and not primary.offline
            if wanted and runs != (primary.name,):
                self._do(InstanceStartup(instance_name=instance.name))
        self.cluster.clock.run(REST_S)
        self._come_to_rest()

    def _verify(self) -> None:
        """What verification calls an error is one."""
        job = self._do(ClusterVerify())
        if job is None:
            return
        for entry in (job.known[-1].result or {}).get("jobs", []):
            verifying = self.cluster.job(entry[1])
            lines = [line.text for line in verifying.logs(0)] if verifying is not None else []
            for line in lines:
                if " ERROR: " in str(line) and not self._expected(str(line)):
                    self.invariants.note(f"verification says: {line}")
        if not self.misfortune.lost and not self._scenario.dark:
            self.invariants.broken += self.invariants.degraded()

    def _expected(self, line: str) -> bool:
        """An instance whose only node is lost stays lost."""
        return bool(self.misfortune.lost) and "lives on offline node" in line

    def _ask_again(self, wanted: Verdict) -> None:
        """What did not happen, happens when it is asked for again."""
        for name in self.cluster.hosts:
            self.cluster.room.machine(name).deaf.clear()
        if self._scenario.ends is not Status.SUCCESS:
            return
        self.cluster.room.plan_migration("web1", self._scenario.usual_course)
        self._let_go_of_disks()
        # the job itself last: what it has done, though it failed then, must not be done back
        for asked in reversed(list(self._asked())):
            if self._failed(self._job_of(asked)) and self._alike() != self._alike(wanted.after):
                self.cluster.submit(*self._left_of(asked))
                self._come_to_rest()
        if self._scenario.rest and self._alike() != self._alike(wanted.after):
            self.cluster.submit(*self._scenario.rest)
            self._come_to_rest()
        self.cluster.clock.run(3.0)
        expected, found = self._alike(wanted.after), self._alike()
        if found != expected:
            self._differs("asking again did not help", expected, found)

    def _left_of(self, asked: tuple[Opcode, ...]) -> tuple[Opcode, ...]:
        """What its job has not done: opcodes that succeeded stay done when a later one fails."""
        job = self._job_of(asked)
        known = job.known if job is not None else ()
        done = sum(one.status is Status.SUCCESS for one in known)
        return asked[done:] or asked

    def _alike(self, lines: Portrait | None = None) -> Portrait:
        """Where something happened to a guest, whether its file systems were frozen at a snapshot
        is left out: there may have been nobody to freeze them."""
        lines = self._portrait() if lines is None else lines
        if any(KINDS[fault.kind].spoils_guest for fault in self._faults):
            return tuple(line.replace('"frozen":true,', "") for line in lines)
        return lines

    def _portrait(self) -> Portrait:
        return portrait(self.cluster, drawn_addresses=self._scenario.drawn_addresses)

    def _let_go_of_disks(self) -> None:
        """A copy stays attached where a node did not answer when its instance was stopped."""
        for instance in list(self.cluster.master.configuration.instances()):
            if not instance.disks_active and self.invariants.attached_to(instance):
                self._do(InstanceDeactivateDisks(instance_name=instance.name))

    def _do(self, *opcodes: Opcode) -> Job | None:
        """A job of the operator's; it must succeed."""
        number = self.cluster.submit(*opcodes)
        self._come_to_rest()
        job = self.cluster.job(number) if number is not None else None
        if job is None:
            self.invariants.note(f"{opcodes[-1].op_id()} was not accepted")
        elif job.status is not Status.SUCCESS:
            text = f"afterwards {job.summary} is {job.status}: {job.known[-1].result}"
            self.invariants.note(text)
        return job

    def _differs(self, text: str, wanted: Portrait, found: Portrait) -> None:
        lines = difference(wanted, found)
        shown = "\n      ".join(lines[:MAX_SHOWN])
        self.invariants.note(f"{text}:\n      {shown}")


def attempt(name: str, faults: tuple[Fault, ...] = (), steps: Steps = STEPS) -> Verdict:
    """One trial of a scenario, with the product's steps or with others of the same names."""
    _founded(name)
    if faults:
        reference(name)  # now, as trials share their place and cannot be nested
    complaints = Complaints()
    with complaints.listening(), buried():
        try:
            verdict = begun(name, faults, steps).run()
        # whatever breaks in a trial is what the trial has found
        except Exception as error:  # noqa: BLE001
            verdict = broken(name, faults, error)
        verdict.wrong += complaints.heard
    return verdict


def begun(name: str, faults: tuple[Fault, ...] = (), steps: Steps = STEPS) -> Trial:
    """A trial that begins with the scenario's starting state. There is one at a time."""
    return Trial(place(), SCENARIOS[name], faults, steps, _founded(name))


def _founded(name: str) -> Founded:
    """The starting state of a scenario: reached once, begun with by each trial, also of others
    that begin there."""
    start = SCENARIOS[name].start
    if start not in _STARTS:
        with Complaints().listening() as complaints, buried():
            founded = Trial(place(), SCENARIOS[name]).found()
        if complaints.heard:
            raise RuntimeError(f"{name} cannot begin: {complaints.heard}")
        _STARTS[start] = founded
    return _STARTS[start]


_STARTS: dict[bytes, Founded] = {}


@functools.cache
def reference(name: str) -> Verdict:
    """How a scenario goes without faults. Raises RuntimeError when that is wrong already."""
    verdict = attempt(name)
    if verdict.wrong or verdict.status is not SCENARIOS[name].ends:
        raise RuntimeError(f"{name} without faults: {verdict.status}, {verdict.wrong}")
    return verdict
