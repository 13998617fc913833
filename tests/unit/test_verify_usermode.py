"""A DRBD that calls a program of its own is told by verification, where mirrors are made."""

from __future__ import annotations

from pathlib import Path

from clusterd.opcodes.cluster_set_params import ClusterSetParams
from clusterd.opcodes.cluster_verify_group import ClusterVerifyGroup
from clusterd.simulation.cluster import SimulatedCluster
from jobqueue.job import Status


def said(cluster: SimulatedCluster) -> str:
    job = cluster.run(ClusterVerifyGroup(group_name="default", error_codes=True))
    return "\n".join(str(line.text) for line in job.logs(0))


def test_a_program_that_acts_by_itself_is_an_error(tmp_path: Path) -> None:
    cluster = SimulatedCluster(tmp_path)
    cluster.wait_for_nodes()
    assert "ENODEDRBDHELPER" not in said(cluster), "the module is not loaded"
    loaded = tmp_path / "node2" / "drbd" / "parameters"
    loaded.mkdir(parents=True)
    (loaded / "usermode_helper").write_text("/sbin/drbdadm\n")
    assert (
        "ERROR:ENODEDRBDHELPER:node:node2:"
        "DRBD is loaded with usermode_helper=/sbin/drbdadm, wanted /bin/true"
    ) in said(cluster)

    asked = ClusterSetParams(drbd_helper="/sbin/drbdadm")
    assert cluster.run(asked).status is Status.SUCCESS
    assert "ENODEDRBDHELPER" not in said(cluster)
