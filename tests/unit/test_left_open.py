"""A disk that a migration could not close: verification tells, the reconciler closes it."""

from __future__ import annotations

from pathlib import Path

from clusterd.opcodes.cluster_verify_group import ClusterVerifyGroup
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.scenarios import create
from clusterd.verification import left_open
from jobqueue.job import Status
from jobqueue.live import Job


def texts(job: Job) -> str:
    return "\n".join(str(line.text) for line in job.logs(0))


def test_a_disk_left_open_is_told_and_closed(tmp_path: Path) -> None:
    cluster = SimulatedCluster(tmp_path)
    cluster.wait_for_nodes()
    assert cluster.run(create("drbd")).status is Status.SUCCESS
    number = cluster.submit(InstanceMigrate(instance_name="web1"))
    assert cluster.clock.run_until(lambda: cluster.runs_on("web1") == ("node2",), 60.0)
    cluster.hosts["node1"].disks.trouble = "broken"
    cluster.settle()
    migrated = cluster.job(number) if number is not None else None
    assert migrated is not None
    assert migrated.status is Status.SUCCESS
    assert "WARNING: pretended input/output error in close" in texts(migrated)

    said = texts(cluster.run(ClusterVerifyGroup(group_name="default")))
    open_on = "disk/0 is open for writing on node1, not its primary node"
    assert f"ERROR: instance web1: {open_on}" in said

    cluster.hosts["node1"].disks.trouble = ""
    cluster.clock.run(600.0)
    master = cluster.master
    instance = master.configuration.instance("web1")
    assert list(left_open(master.view(), instance)) == []
    repair = master.queue.jobs()[-1]
    assert (repair.submitter, repair.status) == ("reconciler", Status.SUCCESS)
    assert master.view().primary(instance).name == "node2"
    assert cluster.runs_on("web1") == ("node2",)
    assert "ERROR" not in texts(cluster.run(ClusterVerifyGroup(group_name="default")))
