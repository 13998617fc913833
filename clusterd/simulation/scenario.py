"""What a scenario is, and the starting states that several share."""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.node_set_params import NodeSetParams
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.founded import Blueprint, Founded
from clusterd.simulation.hosts import DEVICES
from clusterd.simulation.pretended_site import OS_NAME, PROVIDER
from hypervisors.machine_room import Course, MachineRoom
from jobqueue.job import Status
from jobqueue.opcode import Opcode

NAME = "web1"
DISK_MIB = 1024


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A starting state and a job."""

    name: str
    act: tuple[Opcode, ...]
    """The opcodes of the job that is tested."""
    beside: tuple[Opcode, ...] = ()
    """Further jobs that are asked for at the same moment, one opcode each."""
    rest: tuple[Opcode, ...] = ()
    """What an operator asks for when the job did the part that it cannot do twice."""
    given: tuple[Opcode, ...] = ()
    """Jobs before it; each must succeed."""
    nodes: int = 3
    outside: int = 0
    """Hosts that are up and not in the cluster."""
    dark: str = ""
    """A node that has lost power for good before the job begins."""
    course: Course | None = None
    """How migrations of the instance go."""
    copy_left_on: str = ""
    """A node where an earlier migration has left a complete copy that never ran."""
    ends: Status = Status.SUCCESS
    drawn_addresses: bool = False
    """Which of its jobs gets which address of a network depends on which is first."""

    @property
    def start(self) -> bytes:
        """The same for scenarios with the same starting state."""
        return msgspec.json.encode((self.given, self.nodes, self.outside, self.dark))

    @property
    def usual_course(self) -> Course:
        """How migrations go when nothing is wrong."""
        return self.course or Course()

    def blueprint(self, founded: Founded | None) -> Blueprint:
        """The cluster, from nothing or from the starting state."""
        hosts = [f"node{number}" for number in range(1, self.nodes + self.outside + 1)]
        return Blueprint(
            nodes=tuple(hosts[: self.nodes]), outside=tuple(hosts[self.nodes :]), founded=founded
        )

    def prepare(self, cluster: SimulatedCluster) -> None:
        """Make the starting state; raises RuntimeError when that fails."""
        cluster.wait_for_nodes()
        for opcode in self.given:
            if isinstance(opcode, NodeSetParams) and opcode.node_name == self.dark:
                cluster.hosts[self.dark].power_off()
                cluster.clock.run(30.0)
            job = cluster.run(opcode)
            if job.status is not Status.SUCCESS:
                raise RuntimeError(f"{self.name}: {job.summary} failed: {job.known[-1].result}")
        cluster.clock.run(3.0)

    def begin(self, cluster: SimulatedCluster) -> None:
        """All daemons of a cluster in the starting state were just started."""
        cluster.wait_for_nodes()
        if self.copy_left_on:
            self._leave_copy(cluster.room)
            cluster.clock.run(3.0)
        if self.course is not None:
            cluster.room.plan_migration(NAME, self.course)
        cluster.clock.run(0.2)

    def _leave_copy(self, room: MachineRoom) -> None:
        (source,) = room.running_on(NAME)
        room.plan_migration(NAME, Course(polls=0, end="cut-late"))
        guest = room.machine(source).residents[NAME].guest
        room.advance(room.begin(guest, source, self.copy_left_on), released=True)
        room.plan_migration(NAME, self.usual_course)


def create(template: str, **fields: Any) -> InstanceCreate:
    """The instance that the scenarios are about, running unless told otherwise."""
    disks = _DISKS.get(template, ({"size": DISK_MIB},))
    mirror = {"snode": "node2"} if template == "drbd" else {}
    return InstanceCreate(
        **{
            "instance_name": NAME,
            "disk_template": template,
            "disks": disks,
            "nics": ({},),
            "pnode": "node1",
            "os_type": OS_NAME,
            "hypervisor": "memory",
            **mirror,
            **fields,
        }
    )


_DISKS: dict[str, tuple[dict[str, Any], ...]] = {
    "diskless": (),
    "ext": ({"size": DISK_MIB, "provider": PROVIDER, "tier": "fast"},),
    "blockdev": tuple({"adopt": path} for path in DEVICES),
}
"""Where the usual disk is not possible."""
RUNS = (create("drbd"),)
DOWN = (create("drbd", start=False),)
PLAIN = (create("plain"),)
SHARED = (create("sharedfile"),)
NETWORKED = (create("rbd"),)
LOST = (*RUNS, NodeSetParams(node_name="node2", offline=True))
