"""A disk that a migration could not close or let go of: the job goes on trying; then verification
tells of it and the reconciler has it closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clusterd.left_open import left_open
from clusterd.opcodes.cluster_verify_group import ClusterVerifyGroup
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.scenarios import create
from jobqueue.job import Status
from jobqueue.live import Job


def texts(job: Job) -> str:
    return "\n".join(str(line.text) for line in job.logs(0))


def migrating(tmp_path: Path, template: str) -> tuple[SimulatedCluster, Callable[[], Job]]:
    """A cluster whose web1 has just arrived on node2; what makes its job end, and answers it."""
    cluster = SimulatedCluster(tmp_path)
    cluster.wait_for_nodes()
    assert cluster.run(create(template)).status is Status.SUCCESS
    target = None if template == "drbd" else "node2"
    number = cluster.submit(InstanceMigrate(instance_name="web1", target_node=target))
    assert cluster.clock.run_until(lambda: cluster.runs_on("web1") == ("node2",), 60.0)

    def ended() -> Job:
        cluster.settle()
        job = cluster.job(number) if number is not None else None
        assert job is not None
        assert job.status is Status.SUCCESS
        return job

    return cluster, ended


def primaries(cluster: SimulatedCluster) -> list[str]:
    """Where a mirror may be written."""
    found = ((name, host.shelf.attached) for name, host in cluster.hosts.items())
    return [name for name, attached in found if any(one.primary for one in attached.values())]


@pytest.mark.parametrize("for_s", [30.0, 90.0])
def test_the_job_closes_what_could_not_be_closed_at_once(tmp_path: Path, for_s: float) -> None:
    """Though it has given up closing it: while both sides are open none can be refused."""
    cluster, ended = migrating(tmp_path, "drbd")
    cluster.hosts["node1"].disks.trouble = "broken"
    cluster.clock.run(for_s)
    assert primaries(cluster) == ["node1", "node2"]
    cluster.hosts["node1"].disks.trouble = ""
    ended()
    assert primaries(cluster) == ["node2"]


def test_a_shared_disk_left_attached_is_told_and_taken_away(tmp_path: Path) -> None:
    cluster, ended = migrating(tmp_path, "ext")
    cluster.hosts["node1"].disks.trouble = "broken"
    assert "WARNING: pretended input/output error in detach" in texts(ended())
    held = "disk/0 is attached on node1, not its primary node"
    verifying = ClusterVerifyGroup(group_name="default")
    assert f"ERROR: instance web1: {held}" in texts(cluster.run(verifying))

    cluster.hosts["node1"].disks.trouble = ""
    cluster.clock.run(600.0)
    repair = cluster.master.queue.jobs()[-1]
    assert (repair.submitter, repair.status) == ("reconciler", Status.SUCCESS)
    assert not cluster.hosts["node1"].shelf.attached
    assert cluster.hosts["node2"].shelf.attached
    assert cluster.runs_on("web1") == ("node2",)
    assert "ERROR" not in texts(cluster.run(verifying))


def test_a_disk_left_open_is_told_and_closed(tmp_path: Path) -> None:
    cluster, ended = migrating(tmp_path, "drbd")
    cluster.hosts["node1"].disks.trouble = "broken"
    assert "WARNING: pretended input/output error in close" in texts(ended())

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
