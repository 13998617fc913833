"""What the product itself adds to the work of storage."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from clusterd.opcodes.instance_remove import InstanceRemove
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.scenario import NAME, create
from jobqueue.job import Status
from tests.bench.figures import Figure, from_samples

ADDS = 15
SIZE_MIB = 1024


def measure() -> Iterable[Figure]:
    """``drbd_add_ms``"""
    yield drbd_add()


def drbd_add() -> Figure:
    """A mirrored instance of 1 GiB from request to end, in milliseconds of the product's own time.

    Master and nodes are the real ones, in one process; the programs that they would run take no
    time, and waiting for them is skipped by a virtual clock. So the figure is what stays when the
    commands' own time is taken away.
    """
    samples = []
    with tempfile.TemporaryDirectory() as directory:
        cluster = SimulatedCluster(Path(directory))
        cluster.wait_for_nodes()
        wanted = create("drbd", disks=({"size": SIZE_MIB},), start=False, wait_for_sync=False)
        for _ in range(ADDS):
            began = time.perf_counter()
            job = cluster.run(wanted)
            samples.append((time.perf_counter() - began) * 1000)
            if job.status is not Status.SUCCESS:
                raise RuntimeError(f"the instance was not made: {job.known[-1].result}")
            cluster.run(InstanceRemove(instance_name=NAME))
    return from_samples("drbd_add_ms", "ms", samples)
