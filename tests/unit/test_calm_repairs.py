"""The reconciler lets some time pass after the last job near what it repairs: what nodes have told
may be older than that job's end."""

from __future__ import annotations

from pathlib import Path

import pytest

from clusterd.master.reconcile import CALM_S
from clusterd.opcodes import test_delay
from clusterd.opcodes.instance_console import InstanceConsole
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.scenario import NAME, RUNS
from jobqueue.job import Status


@pytest.mark.parametrize("for_s", [52.0, 57.0])
def test_a_job_near_it_is_long_over_before_a_repair_begins(tmp_path: Path, for_s: float) -> None:
    cluster = SimulatedCluster(tmp_path)
    cluster.wait_for_nodes()
    assert cluster.run(*RUNS).status is Status.SUCCESS
    number = cluster.submit(
        test_delay.TestDelay(duration=for_s, on_master=True), InstanceConsole(instance_name=NAME)
    )
    assert number is not None
    cluster.hosts["node2"].shelf.attached.clear()
    cluster.clock.run(for_s + 4 * CALM_S)
    near, repair = cluster.job(number), cluster.master.queue.jobs()[-1]
    assert near is not None
    assert near.ended is not None
    assert repair.submitter == "reconciler"
    assert repair.status is Status.SUCCESS
    assert repair.received - near.ended >= CALM_S
    assert cluster.hosts["node2"].shelf.attached
