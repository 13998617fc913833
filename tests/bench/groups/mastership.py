"""Masters on an etcd of three members, all on this machine: how soon another one accepts jobs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from clusterd.settings import DAEMONS
from tests.bench.figures import Figure, from_samples
from tests.three_candidates import Host, accepted, three_candidates

ROUNDS = 3


def measure() -> Iterable[Figure]:
    """``master_recovery_elsewhere_s``: from the power failure of the master's host, which has a
    member of etcd too, until another host has accepted a job."""
    samples = []
    with (
        tempfile.TemporaryDirectory() as directory,
        three_candidates(Path(directory)) as hosts,
    ):
        for _ in range(ROUNDS):
            master = _master(hosts)
            others = [host for host in hosts if host is not master]
            began = time.perf_counter()
            master.power_off()
            accepted(others)
            samples.append(time.perf_counter() - began)
            for daemon in DAEMONS:
                master.run(daemon, "--start")
    yield from_samples("master_recovery_elsewhere_s", "s", samples)


def _master(hosts: list[Host]) -> Host:
    name = hosts[0].run("gnt-cluster", "getmaster").strip()
    return next(host for host in hosts if host.name == name)
