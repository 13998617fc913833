"""A job that only waits is left at once when it is canceled, whether the master or a node waits."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from clusterd.opcodes.test_delay import TestDelay as Delay
from clusterd.simulation.cluster import SimulatedCluster
from jobqueue.job import Status

LONG_S = 3000.0
SOON_S = 1.0


@pytest.mark.parametrize("nodes", [(), ("node2", "node3")])
def test_a_running_delay_is_canceled_at_once(tmp_path: Path, nodes: tuple[str, ...]) -> None:
    cluster = SimulatedCluster(tmp_path)
    cluster.wait_for_nodes()
    number = cluster.submit(Delay(duration=LONG_S, on_master=not nodes, on_nodes=nodes))
    cluster.clock.run(10.0)
    assert number is not None
    job = cluster.job(number)
    assert job is not None
    assert job.status is Status.RUNNING
    Deferred.fromCoroutine(cluster.master.scheduler.cancel(number))
    cluster.clock.run(SOON_S)
    assert job.status is Status.CANCELED
    assert not [row for row in cluster.master.queue.locks.rows() if row.owners]
    # nothing of it is left: the next one has the node to itself
    after = cluster.run(Delay(duration=0.5, on_nodes=nodes, on_master=not nodes), for_s=60.0)
    assert after.status is Status.SUCCESS


def test_only_the_part_that_waits_is_broken_off(tmp_path: Path) -> None:
    cluster = SimulatedCluster(tmp_path)
    cluster.wait_for_nodes()
    number = cluster.submit(Delay(duration=5.0), Delay(duration=LONG_S))
    cluster.clock.run(20.0)
    assert number is not None
    Deferred.fromCoroutine(cluster.master.scheduler.cancel(number))
    cluster.clock.run(SOON_S)
    job = cluster.job(number)
    assert job is not None
    assert list(job.statuses) == [Status.SUCCESS, Status.CANCELED]
