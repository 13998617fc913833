"""Instances that are changed at the same moment, over a store that takes time to answer, share no
port, no minor, no address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twisted.internet.defer import Deferred

from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.opcodes.network_add import NetworkAdd
from clusterd.opcodes.network_connect import NetworkConnect
from clusterd.simulation.scenario import create
from clusterd.simulation.succession import CandidateCluster
from jobqueue.job import Status
from jobqueue.opcode import Opcode

NAMES = ("web1", "web2", "web3")


def at_once(cluster: CandidateCluster, opcodes: Sequence[Opcode]) -> None:
    """A job each, in one submission; all succeed."""
    numbers: list[int] = []
    asking = cluster.master.queue.submit([[opcode] for opcode in opcodes], "story")
    Deferred.fromCoroutine(asking).addCallback(numbers.extend)
    assert cluster.clock.run_until(lambda: bool(numbers), 10.0)
    cluster.settle()
    jobs = [cluster.job(number) for number in numbers]
    assert [job and job.status for job in jobs] == [Status.SUCCESS] * len(opcodes)


def test_what_is_drawn_at_once_differs(tmp_path: Path) -> None:
    cluster = CandidateCluster(tmp_path, nodes=2)
    cluster.run(NetworkAdd(network_name="net1", network="192.0.2.0/28"))
    cluster.run(
        NetworkConnect(
            group_name="default", network_name="net1", network_mode="bridged", network_link="br0"
        )
    )
    at_once(cluster, [create("drbd", instance_name=name, start=False) for name in NAMES])
    card = ("add", -1, {"network": "net1", "ip": "pool"})
    disk = ("add", -1, {"size": 1024})
    at_once(cluster, [InstanceSetParams(instance_name=name, nics=(card,)) for name in NAMES])
    at_once(cluster, [InstanceSetParams(instance_name=name, disks=(disk,)) for name in NAMES])
    made = list(cluster.master.configuration.instances())
    pairs = [disk.drbd for one in made for disk in one.disks if disk.drbd is not None]
    assert len(pairs) == 2 * len(NAMES)
    assert len({pair.port for pair in pairs}) == len(pairs)
    assert len({pair.minors for pair in pairs}) == len(pairs)
    assert sorted(str(one.nics[1].ip) for one in made) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
