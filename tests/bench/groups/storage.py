"""What operators wait for: clones of images, a failover, live migrations, a mirrored instance.

A real cluster on two libvirt hosts with Ceph, guests run by QEMU without a hypervisor's help. All
figures begin with the operator's command and so contain its own start.
"""

from __future__ import annotations

import datetime
import os
import re
import time
from collections.abc import Iterable

from tests.bench.drbd_add import added
from tests.bench.figures import Figure, from_samples
from tests.system.ceph_cluster import CephCluster
from tests.system.ceph_hosts import ceph_hosts

ROUNDS = 2
CLONES = 50
IMAGE_MIB = 4096


def measure() -> Iterable[Figure]:
    """Without and with Ceph."""
    yield from added()
    with ceph_hosts() as hosts:
        cluster = CephCluster(hosts)
        cluster.found()
        image = cluster.image_file("golden")
        os.truncate(image, IMAGE_MIB * 1024 * 1024)
        cluster.gnt("image", "add", "-t", "rbd", "--file", str(image), "golden")
        yield _first_instruction(cluster)
        yield from _migrations(cluster)
        yield _failover(cluster)
        yield _clones(cluster)


def _add(cluster: CephCluster, name: str, *words: str) -> None:
    cluster.gnt(
        *("instance", "add", "-t", "rbd", "--image", "golden", "-B", "memory=128"), *words, name
    )


def _first_instruction(cluster: CephCluster) -> Figure:
    """Until the job has ended, which it does when QEMU runs the guest's processors."""
    samples = []
    for number in range(ROUNDS):
        name = f"first{number}.test"
        began = time.perf_counter()
        _add(cluster, name, "-n", "n2.test")
        samples.append(time.perf_counter() - began)
        cluster.gnt("instance", "remove", "-f", "--shutdown-timeout=0", name)
    return from_samples("rbd_image_to_first_instruction_s", "s", samples)


def _migrations(cluster: CephCluster) -> Iterable[Figure]:
    """There and back; the overhead is the job's time beside what libvirt itself took."""
    _add(cluster, "moves.test", "-n", "n2.test")
    cluster.wait_ticks(2, "moves.test", 3)
    downtimes, overheads = [], []
    for number in range(ROUNDS * 2):
        target = 1 + number % 2
        said = cluster.gnt("instance", "migrate", "-f", "-n", f"n{target}.test", "moves.test")
        times = _times(cluster)
        downtimes.append(float(re.findall(r"(\d+) ms", said)[-1]))
        carried_s = float(re.findall(r"in ([\d.]+) s", said)[-1])
        overheads.append(times - carried_s)
    yield from_samples("migration_downtime_ms", "ms", downtimes)
    yield from_samples("migration_overhead_s", "s", overheads)


def _times(cluster: CephCluster) -> float:
    """How long the last job worked, in seconds."""
    fields = ("--no-headers", "--separator=|", "-o", "start_ts,end_ts")
    line = cluster.gnt("job", "list", *fields).splitlines()[-1]
    started, ended = (datetime.datetime.fromisoformat(text) for text in line.split("|"))
    return (ended - started).total_seconds()


def _failover(cluster: CephCluster) -> Figure:
    """From the node's being declared dead to the guest's next write."""
    host = cluster.hosts.host(2)
    samples = []
    _add(cluster, "falls.test", "-n", "n2.test")
    cluster.wait_ticks(2, "falls.test", 3)
    host.power_off()
    cluster.gnt("node", "modify", "--offline=yes", "n2.test")
    began = time.perf_counter()
    already = len(cluster.ticks(1, "falls.test"))
    cluster.gnt("instance", "failover", "-f", "-n", "n1.test", "falls.test")
    cluster.wait_ticks(1, "falls.test", already + 1)
    samples.append(time.perf_counter() - began)
    return from_samples("rbd_failover_s", "s", samples)


def _clones(cluster: CephCluster) -> Figure:
    """All asked for at once, none started."""
    began = time.perf_counter()
    for number in range(CLONES):
        _add(cluster, f"clone{number}.test", "-n", "n1.test", "--no-start", "--submit")
    deadline = time.monotonic() + 600
    while "running" in (jobs := cluster.gnt("job", "list", "--no-headers", "-o", "status")) or (
        "waiting" in jobs or "queued" in jobs
    ):
        if time.monotonic() > deadline:
            raise RuntimeError("the clones are not made")
        time.sleep(0.2)
    seconds = time.perf_counter() - began
    if jobs.count("error"):
        raise RuntimeError(f"{jobs.count('error')} clones failed")
    return from_samples("rbd_50_clones_s", "s", [seconds])
