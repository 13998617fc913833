"""The operator of the stories: asks for things in plain words, looks, and notes down what happened.

The same story is told twice: on a calm cluster, where each ``expect`` must hold, and under faults,
where only the invariants must, as the operator's wishes may then be refused or fail.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clusterd.model import Instance
from clusterd.opcodes.cluster_verify import ClusterVerify
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.instance_failover import InstanceFailover
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_remove import InstanceRemove
from clusterd.opcodes.instance_shutdown import InstanceShutdown
from clusterd.opcodes.instance_startup import InstanceStartup
from clusterd.opcodes.node_set_params import NodeSetParams
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.faults import Fault, Misfortune
from clusterd.simulation.invariants import Invariants
from clusterd.simulation.portrait import portrait
from clusterd.simulation.pretended_site import OS_NAME
from clusterd.simulation.rest import settle
from jobqueue.job import Status
from jobqueue.live import Job
from jobqueue.opcode import Opcode

LINK_LOST_S = 30.0
"""So long it takes at most until the master knows that a node is gone, or back."""

REPAIRED_S = 90.0
"""So long it takes at most until a returned node's mirrors are attached again."""


class Operator:
    """Works on one cluster. ``trace`` is what a story leaves behind."""

    def __init__(self, directory: Path, faults: tuple[Fault, ...] = ()) -> None:
        self.calm = not faults
        self.trace: list[str] = []
        self.misfortune = Misfortune(faults)
        self.cluster = SimulatedCluster(directory, trouble=self.misfortune)
        self.invariants = Invariants(self.cluster)
        self.cluster.attention.members.append(self.misfortune)
        self.cluster.wait_for_nodes()
        self.misfortune.arm(self.cluster)

    # -- asking ------------------------------------------------------------------------------------

    def creates(self, name: str, on: str, **fields: Any) -> Job | None:
        """An instance, see ``creation``."""
        return self.does(self.creation(name, on, **fields))

    def creation(self, name: str, on: str, **fields: Any) -> InstanceCreate:
        """``on``: primary, or primary:secondary for mirrored disks."""
        primary, _, secondary = on.partition(":")
        opcode: dict[str, Any] = {
            "instance_name": name,
            "disk_template": "drbd" if secondary else "plain",
            "disks": ({"size": 1024},),
            "nics": ({},),
            "pnode": primary,
            "snode": secondary or None,
            "os_type": OS_NAME,
            "hypervisor": "memory",
        }
        return InstanceCreate(**opcode | fields)

    def migrates(self, name: str) -> Job | None:
        """Live."""
        return self.does(InstanceMigrate(instance_name=name))

    def fails_over(self, name: str, *, although_stale: bool = False) -> Job | None:
        """``although_stale``: the source cannot be asked."""
        return self.does(InstanceFailover(instance_name=name, ignore_consistency=although_stale))

    def stops(self, name: str) -> Job | None:
        """Shutdown."""
        return self.does(InstanceShutdown(instance_name=name))

    def starts(self, name: str) -> Job | None:
        """Startup."""
        return self.does(InstanceStartup(instance_name=name))

    def removes(self, name: str) -> Job | None:
        """With its disks."""
        return self.does(InstanceRemove(instance_name=name))

    def marks_offline(self, node: str, *, offline: bool = True) -> Job | None:
        """Says whether a node is out of order."""
        return self.does(NodeSetParams(node_name=node, offline=offline, auto_promote=True))

    def does(self, *opcodes: Opcode) -> Job | None:
        """Submits a job and waits until all is quiet."""
        number = self.begins(*opcodes)
        self.waits_for_jobs()
        return self.cluster.job(number) if number is not None else None

    def begins(self, *opcodes: Opcode) -> int | None:
        """Submits a job and does not wait."""
        if not self.cluster.serves:
            settle(self.cluster)
        number = self.cluster.submit(*opcodes)
        self._note(f"asks for {', '.join(opcode.op_id() for opcode in opcodes)}: job {number}")
        return number

    def waits_for_jobs(self) -> None:
        """Until all have ended."""
        settle(self.cluster)
        for job in self.cluster.master.queue.jobs():
            self._note(f"job {job.id} {job.summary} {job.status} {job.known[-1].result}")

    def waits(self, seconds: float) -> None:
        """Time passes."""
        self.cluster.clock.run(seconds)
        settle(self.cluster)

    # -- the machine room --------------------------------------------------------------------------

    def pulls_the_plug(self, node: str) -> None:
        """The node is off; after a while the master knows."""
        self._note(f"pulls the plug of {node}")
        self.cluster.hosts[node].power_off()
        self.waits(LINK_LOST_S)

    def powers_on(self, node: str) -> None:
        """It boots; nothing runs on it."""
        self._note(f"powers {node} on")
        if not self.cluster.hosts[node].powered:
            self.cluster.hosts[node].boot()
        self.waits(LINK_LOST_S)

    # -- looking -----------------------------------------------------------------------------------

    def instance(self, name: str) -> Instance:
        """As it is configured; raises Refused."""
        return self.cluster.master.configuration.instance(name)

    def rounds(self) -> list[dict[str, Any]]:
        """What the master has done to keep the cluster even."""
        return list(self.cluster.master.balancer.told()["rounds"])

    def balance_state(self) -> str:
        """What it says about that."""
        return str(self.cluster.master.balancer.told()["state"])

    def verifies(self) -> list[str]:
        """The errors that verification finds."""
        job = self.does(ClusterVerify())
        result = (job.known[-1].result if job is not None else None) or {"jobs": []}
        jobs = [self.cluster.job(number) for _, number in result["jobs"]]
        lines = [str(line.text) for one in jobs if one is not None for line in one.logs(0)]
        return [line.strip() for line in lines if "- ERROR" in line]

    def ended(self, number: int | None, status: Status) -> bool:
        """The job of this number has ended so."""
        job = self.cluster.job(number) if number is not None else None
        return job is not None and job.status is status

    def stored(self) -> list[int]:
        """The sizes of all volumes that there are, in MiB."""
        hosts = self.cluster.hosts.values()
        pieces = [piece for host in hosts for piece in host.shelf.own.values()]
        return [piece.size_mib for piece in (*pieces, *self.cluster.wire.shared.values())]

    def logged(self, job: Job | None) -> str:
        """All that a job said."""
        if job is None:
            return ""
        indices = range(len(job.opcodes))
        return "\n".join(str(line.text) for index in indices for line in job.logs(index))

    def expect(self, holds: bool, what: str) -> None:
        """On a calm cluster this must be so."""
        self._note(f"{'sees' if holds else 'does not see'} that {what}")
        assert holds or not self.calm, "\n".join([f"not so: {what}", *self.trace])

    def expect_success(self, job: Job | None) -> None:
        """The job has done what was asked."""
        done = job is not None and job.status is Status.SUCCESS
        reason = job.known[-1].result if job is not None else "not accepted"
        self.expect(done, f"the job succeeded ({reason})")

    def expect_refusal(self, job: Job | None, names: str) -> None:
        """The job has changed nothing, and says whose fault that is."""
        refused = job is not None and job.status is Status.ERROR
        reason = str(job.known[-1].result) if job is not None else "not accepted"
        self.expect(refused and names in reason, f"the job was refused because of {names}")

    def expect_running(self, name: str, node: str) -> None:
        """The guest runs there and nowhere else."""
        self.expect(self.cluster.runs_on(name) == (node,), f"{name} runs on {node}")

    def goes_home(self) -> None:
        """The faults are over; what must hold at rest is checked."""
        self.misfortune.heal()
        for host in self.cluster.hosts.values():
            if not host.powered:
                host.boot()
        self.waits(REPAIRED_S)
        self.invariants.check_quiet()
        self.trace += portrait(self.cluster)
        struck = ", ".join(self.misfortune.struck)
        assert not self.invariants.broken, "\n".join(
            [*self.invariants.broken, f"struck: {struck}", *self.trace]
        )

    def _note(self, text: str) -> None:
        self.trace.append(f"{self.cluster.clock.seconds():.6f} {text}")
