"""What this version would have to ignore is refused, never accepted in silence."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from clusterd.opcodes.cluster_set_params import ClusterSetParams
from clusterd.opcodes.cluster_verify import ClusterVerify
from clusterd.opcodes.instance_failover import InstanceFailover
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.opcodes.node_add import NodeAdd
from clusterd.opcodes.node_set_params import NodeSetParams
from clusterd.simulation.portrait import portrait
from clusterd.simulation.scenario import create
from jobqueue.job import Status
from jobqueue.opcode import Opcode
from tests.stories.operator import Operator

WEB2 = msgspec.structs.replace(create("drbd"), instance_name="web2")

ASKED = [
    (msgspec.structs.replace(WEB2, file_driver="blktap2"), "blktap2"),
    (InstanceFailover(instance_name="web1", cleanup=True), "cleanup"),
    (InstanceMigrate(instance_name="web1", iallocator="hail"), "allocator"),
    (InstanceSetParams(instance_name="web1", osparams_private={"key": "value"}), "private"),
    (NodeAdd(node_name="node9", primary_ip="192.0.2.9", hv_state={"kvm": {}}), "states"),
    (NodeSetParams(node_name="node2", powered=False), "power state"),
    (ClusterSetParams(enabled_hypervisors=("memory", "xen-pvm")), "xen-pvm"),
    (ClusterSetParams(diskparams={"nosuch": {"pool": "rbd"}}), "nosuch"),
    (ClusterVerify(verify_clutter=True), "SSH"),
]


@pytest.mark.parametrize(("opcode", "says"), ASKED, ids=[f"{o.op_id()}-{s}" for o, s in ASKED])
def test_it_is_refused_with_the_thing_named(tmp_path: Path, opcode: Opcode, says: str) -> None:
    operator = Operator(tmp_path)
    operator.creates("web1", on="node1:node2")
    before = portrait(operator.cluster)
    job = operator.does(opcode)
    assert job is not None
    assert job.status is Status.ERROR
    kind, (sentence, reason) = job.known[-1].result
    assert (kind, reason) == ("OpPrereqError", "wrong_input"), sentence
    assert says in sentence
    assert portrait(operator.cluster) == before
