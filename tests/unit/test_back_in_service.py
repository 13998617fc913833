"""A node that comes back into service is told how it becomes a master candidate again."""

from __future__ import annotations

from pathlib import Path

from clusterd.opcodes.node_set_params import NodeSetParams
from clusterd.simulation.cluster import SimulatedCluster
from jobqueue.job import Status

HINT = "'gnt-node modify --master-candidate=yes node3' makes it one"


def said(cluster: SimulatedCluster, **asked: bool) -> str:
    job = cluster.run(NodeSetParams(node_name="node3", **asked))
    assert job.status is Status.SUCCESS
    return "\n".join(str(line.text) for line in job.logs(0))


def test_who_lost_the_candidacy_is_told_how_to_have_it_again(tmp_path: Path) -> None:
    cluster = SimulatedCluster(tmp_path)
    cluster.wait_for_nodes()
    said(cluster, master_candidate=True, auto_promote=True)
    assert HINT not in said(cluster, offline=True, force=True)
    assert HINT in said(cluster, offline=False)
    assert HINT in said(cluster, drained=False)
    assert HINT not in said(cluster, master_candidate=True)
    assert HINT not in said(cluster, drained=False), "it is one"
