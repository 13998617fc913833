"""A hypervisor that does not answer: its guests run on, and no job takes them for stopped."""

from __future__ import annotations

from pathlib import Path

from clusterd.opcodes.backup_export import BackupExport
from clusterd.opcodes.instance_deactivate_disks import InstanceDeactivateDisks
from clusterd.opcodes.instance_grow_disk import InstanceGrowDisk
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_set_params import InstanceSetParams
from jobqueue.opcode import Opcode
from tests.stories.operator import Operator

WISHES: tuple[Opcode, ...] = (
    BackupExport(instance_name="web1", target_node="node3"),
    BackupExport(instance_name="web1", target_node="node3", shutdown=False),
    InstanceGrowDisk(instance_name="web1", disk=0, amount=64),
    InstanceMigrate(instance_name="web1"),
    InstanceMigrate(instance_name="web1", allow_failover=True),
    InstanceDeactivateDisks(instance_name="web1"),
    InstanceSetParams(instance_name="web1", disk_template="plain"),
    InstanceSetParams(instance_name="web1", disks=(("add", {"size": 64}),)),
    InstanceSetParams(instance_name="web1", disks=(("remove", 0, {}),), hotplug=False),
    InstanceSetParams(instance_name="web1", nics=(("add", {}),)),
    InstanceSetParams(instance_name="web1", offline=True),
)


def test_a_guest_that_cannot_be_seen_is_not_taken_for_stopped(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.expect_success(operator.creates("web1", on="node1:node2"))
    machine = operator.cluster.room.machine("node1")
    machine.service_runs = False
    operator.waits(30.0)
    for wish in WISHES:
        job = operator.does(wish)
        operator.expect_refusal(job, "Hypervisor memory does not answer on node node1")
    machine.service_runs = True
    operator.waits(30.0)
    assert operator.instance("web1").disks[0].size_mib == 1024
    operator.expect_running("web1", "node1")
    operator.expect_success(operator.does(WISHES[0]))
    operator.goes_home()
