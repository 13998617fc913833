"""Both copies of a mirror were written separately: never repaired but on order."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from clusterd.opcodes.instance_repair_disks import InstanceRepairDisks
from clusterd.opcodes.instance_shutdown import InstanceShutdown
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.scenario import NAME, create
from clusterd.volumes import volume_on
from jobqueue.job import Status
from storage.interface import Backend
from storage.memory import memory_backend
from storage.volume import Link, Template, Volume

PRIMARY, OTHER = "node1", "node2"


@pytest.fixture
def cluster(tmp_path: Path) -> SimulatedCluster:
    made = SimulatedCluster(tmp_path)
    made.wait_for_nodes()
    assert made.run(create("drbd")).status is Status.SUCCESS
    return made


def side(cluster: SimulatedCluster, node: str) -> tuple[Backend, Volume]:
    view = cluster.master.view()
    instance = view.configuration.instance(NAME)
    volume = volume_on(view, instance, instance.disks[0], view.configuration.node(node))
    return memory_backend(Template.DRBD, cluster.hosts[node].shelf), volume


def now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    ended: list[Any] = []
    Deferred.fromCoroutine(coroutine).addCallback(ended.append)
    return ended[0]


def part(cluster: SimulatedCluster) -> None:
    """Without a connection somebody forces the other copy open, and writes."""
    cluster.wire.cut(PRIMARY, OTHER)
    backend, volume = side(cluster, OTHER)
    now(backend.open(volume, force=True))
    cluster.hosts[OTHER].shelf.write(f"/dev/drbd{volume.mirror.minor}")  # type: ignore[union-attr]
    mine = side(cluster, PRIMARY)[1]
    cluster.hosts[PRIMARY].shelf.write(f"/dev/drbd{mine.mirror.minor}")  # type: ignore[union-attr]
    now(backend.close(volume))
    cluster.wire.mend(PRIMARY, OTHER)


def links(cluster: SimulatedCluster) -> list[Link]:
    found = []
    for node in (PRIMARY, OTHER):
        backend, volume = side(cluster, node)
        found.append(now(backend.look(volume)).link)
    return found


def contents(cluster: SimulatedCluster) -> list[str]:
    return [cluster.hosts[node].shelf.content(side(cluster, node)[1]) for node in (PRIMARY, OTHER)]


def test_copies_that_parted_stay_so_until_an_operator_chooses(cluster: SimulatedCluster) -> None:
    part(cluster)
    cluster.clock.run(900.0)
    assert Link.CONNECTED not in links(cluster)
    kept, other = contents(cluster)
    assert kept != other
    job = cluster.run(InstanceRepairDisks(instance_name=NAME, keep=PRIMARY))
    assert job.status is Status.SUCCESS, job.known[-1].result
    assert links(cluster) == [Link.CONNECTED, Link.CONNECTED]
    assert contents(cluster)[1] == contents(cluster)[0] == kept


def test_the_copy_of_a_running_guest_is_not_given_up(cluster: SimulatedCluster) -> None:
    part(cluster)
    cluster.clock.run(30.0)
    job = cluster.run(InstanceRepairDisks(instance_name=NAME, keep=OTHER))
    assert job.status is Status.ERROR
    assert "runs on node node1" in str(job.known[-1].result)
    assert Link.CONNECTED not in links(cluster)


def test_nothing_is_repaired_that_is_not_broken(cluster: SimulatedCluster) -> None:
    job = cluster.run(InstanceRepairDisks(instance_name=NAME, keep=OTHER))
    assert job.status is Status.ERROR
    cluster.run(InstanceShutdown(instance_name=NAME))
    job = cluster.run(InstanceRepairDisks(instance_name=NAME, keep=OTHER))
    assert "stands alone" in str(job.known[-1].result)
