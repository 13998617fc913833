"""Operators leave it to an allocator where instances go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusterd.opcodes.instance_change_group import InstanceChangeGroup
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_multi_alloc import InstanceMultiAlloc
from clusterd.opcodes.instance_recreate_disks import InstanceRecreateDisks
from clusterd.opcodes.instance_replace_disks import InstanceReplaceDisks
from clusterd.opcodes.node_evacuate import NodeEvacuate
from clusterd.opcodes.node_set_params import NodeSetParams
from clusterd.opcodes.test_allocator import TestAllocator as AskAllocator
from clusterd.simulation.pretended_allocator import NAME as ALLOCATOR
from clusterd.simulation.scenario import create
from jobqueue.job import Status
from jobqueue.live import Job
from tests.stories.operator import Operator


def floating(name: str = "web1", template: str = "drbd", **fields: Any) -> InstanceCreate:
    wishes = {"instance_name": name, "pnode": None, "iallocator": ALLOCATOR, **fields}
    return create(template, **({"snode": None} | wishes))


def reason(job: Job) -> str:
    text: str = job.known[-1].result[1][0]
    return text


def test_an_instance_goes_where_the_allocator_says(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    job = operator.does(floating())
    assert job.status is Status.SUCCESS
    assert job.known[0].result == ["node1", "node2"]
    (opcode,) = job.opcodes
    assert isinstance(opcode, InstanceCreate)
    assert (opcode.pnode, opcode.snode, opcode.iallocator) == ("node1", "node2", ALLOCATOR)
    ((considered,),) = [known.verdicts for known in job.known]
    assert considered["chosen"] == ("node1", "node2")
    lines = [str(line.text) for line in job.logs(0)]
    assert any("Selected nodes for instance web1 via iallocator" in line for line in lines)


def test_a_dry_run_says_where_and_makes_nothing(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    job = operator.does(floating(dry_run=True))
    assert job.status is Status.SUCCESS
    assert job.known[0].verdicts[0]["chosen"] == ("node1", "node2")
    assert operator.cluster.instance("web1") is None


def test_nodes_that_cannot_take_it_are_kept_from_the_allocator(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.cluster.hosts["node2"].power_off()
    operator.cluster.clock.run(60.0)
    job = operator.does(floating(template="sharedfile"))
    assert job.known[0].result == ["node1"]
    assert {"node": "node2", "verdict": "refused", "text": "does not answer"} in (
        job.known[0].verdicts[0]["nodes"]
    )


def test_an_allocator_that_is_not_there(tmp_path: Path) -> None:
    job = Operator(tmp_path).does(floating(iallocator="nosuch"))
    assert job.status is Status.ERROR
    assert "iallocator 'nosuch' not found" in reason(job)


def test_several_at_once(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    wishes = [floating(name, "plain", iallocator=None) for name in ("web1", "web2")]
    job = operator.does(
        InstanceMultiAlloc(
            iallocator=ALLOCATOR, instances=tuple(msgspec.to_builtins(one) for one in wishes)
        )
    )
    result = job.known[0].result
    assert result["allocatable"] == ["web1", "web2"]
    assert result["failed"] == []
    assert len(result["jobs"]) == 2
    for name, (_accepted, number) in zip(("web1", "web2"), result["jobs"], strict=True):
        made = operator.cluster.job(number)
        assert made is not None
        assert (made.status, made.known[0].result) == (Status.SUCCESS, ["node1"]), name


def test_several_with_a_mistake(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    web1 = msgspec.to_builtins(floating("web1", "plain", iallocator=None))
    for wrong, told in (
        (({**web1, "colour": "red"},), "web1: "),
        ((web1, web1), "'web1' is named twice"),
        (({**web1, "pnode": "node1"},), "names nodes"),
        (({**web1, "iallocator": "hail"},), "not allowed to be set"),
        (({**web1, "OP_ID": "OP_INSTANCE_REMOVE"},), "creates no instance"),
        ((), "No instance was named"),
    ):
        job = operator.does(InstanceMultiAlloc(iallocator=ALLOCATOR, instances=wrong))
        assert job.status is Status.ERROR
        assert told in reason(job)


def test_a_node_is_emptied(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.does(create("drbd"))
    job = operator.does(NodeEvacuate(node_name="node1", mode="primary-only", iallocator=ALLOCATOR))
    assert job.status is Status.SUCCESS
    assert operator.cluster.runs_on("web1") == ("node2",)
    again = operator.does(
        NodeEvacuate(node_name="node1", mode="primary-only", iallocator=ALLOCATOR)
    )
    assert again.known[0].result == {"jobs": []}


def test_evacuating_with_a_mistake(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.does(create("drbd"))
    for wrong, told in (
        ({"mode": "all", "remote_node": "node3"}, "only be named for secondary"),
        ({"mode": "secondary-only", "remote_node": "node1"}, "Can not use the evacuated node"),
        (
            {"mode": "secondary-only", "remote_node": "node3", "iallocator": "hail"},
            "iallocator and remote node",
        ),
    ):
        job = operator.does(NodeEvacuate(node_name="node1", **wrong))
        assert job.status is Status.ERROR
        assert told in reason(job)


def test_new_secondaries_on_a_named_node(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.does(create("drbd"))
    job = operator.does(NodeEvacuate(node_name="node2", mode="secondary-only", remote_node="node3"))
    assert job.status is Status.SUCCESS
    ((accepted, number),) = job.known[0].result["jobs"]
    made = operator.cluster.job(number)
    assert accepted
    assert made is not None
    assert made.summary == ["INSTANCE_REPLACE_DISKS(web1)"]


def test_there_is_no_other_group(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.does(create("sharedfile"))
    job = operator.does(InstanceChangeGroup(instance_name="web1", iallocator=ALLOCATOR))
    assert reason(job) == "There are no possible target groups"
    named = operator.does(InstanceChangeGroup(instance_name="web1", target_groups=("default",)))
    assert "is in it already" in reason(named)


def test_what_an_allocator_is_asked_and_answers(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.does(create("drbd"))
    asked = operator.does(AskAllocator(direction="in", mode="relocate", name="web1"))
    assert msgspec.json.decode(asked.known[0].result)["request"]["relocate_from"] == ["node2"]
    answered = operator.does(
        AskAllocator(direction="out", mode="relocate", name="web1", iallocator=ALLOCATOR)
    )
    assert msgspec.json.decode(answered.known[0].result)["result"] == ["node3"]
    wrong = operator.does(AskAllocator(direction="in", mode="allocate", name="web9"))
    assert "Missing attribute 'memory'" in reason(wrong)


def test_nodes_that_are_being_changed_are_not_waited_for_where_others_will_do(
    tmp_path: Path,
) -> None:
    operator = Operator(tmp_path)
    cluster = operator.cluster
    change = cluster.submit(NodeSetParams(node_name="node3", drained=True, auto_promote=True))
    number = cluster.submit(floating())
    cluster.settle()
    assert change is not None
    assert number is not None
    job = cluster.job(number)
    assert job is not None
    assert job.status is Status.SUCCESS


def test_the_built_in_allocator_says_why(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.does(NodeSetParams(node_name="node3", drained=True, auto_promote=True))
    job = operator.does(floating(iallocator=None))
    assert job.status is Status.SUCCESS
    (considered,) = job.known[0].verdicts
    by_node = {row["node"]: row for row in considered["nodes"]}
    assert considered["allocator"] == "hail"
    assert set(considered["chosen"]) == {"node1", "node2"}
    assert by_node["node3"]["verdict"] == "refused"
    assert by_node[considered["chosen"][0]]["role"] == "primary"


def test_what_fits_nowhere_is_refused_with_the_reasons(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    much = {"maxmem": 30000, "minmem": 128}
    job = operator.does(floating(iallocator=None, beparams=much, ignore_ipolicy=True))
    assert job.status is Status.ERROR
    assert job.known[0].result[1][1] == "insufficient_resources"
    (considered,) = job.known[0].verdicts
    assert all(row["verdict"] == "refused" for row in considered["nodes"])
    assert "memory" in considered["nodes"][0]["text"]
    assert operator.cluster.instance("web1") is None


def test_two_at_once_do_not_get_the_same_memory(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    cluster = operator.cluster
    half = {"maxmem": 9000, "minmem": 128}
    wishes = [floating(name, "plain", iallocator=None, beparams=half) for name in ("a1", "a2")]
    numbers = [cluster.submit(one) for one in wishes]
    cluster.settle()
    jobs = [cluster.job(number) for number in numbers if number is not None]
    nodes = [job.known[0].result[0] for job in jobs if job is not None]
    assert len(set(nodes)) == 2
    assert all(job is not None and job.status is Status.SUCCESS for job in jobs)


def test_a_node_is_emptied_by_the_built_in_allocator(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.does(create("drbd"))
    job = operator.does(NodeEvacuate(node_name="node2", mode="secondary-only"))
    assert job.status is Status.SUCCESS
    (considered,) = job.known[0].verdicts
    assert considered["chosen"] == ("node1", "node3")
    found = operator.cluster.instance("web1")
    assert found is not None
    assert (found.primary_node, found.secondary_node) == ("node-node1", "node-node3")
    both = operator.does(NodeEvacuate(node_name="node1", mode="all"))
    assert both.status is Status.ERROR
    assert "Unable to evacuate instances web1" in reason(both)


def test_shared_storage_fails_over_to_where_it_fits(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.does(create("sharedfile"))
    operator.does(NodeSetParams(node_name="node2", drained=True, auto_promote=True))
    job = operator.does(InstanceMigrate(instance_name="web1"))
    assert job.status is Status.SUCCESS
    assert operator.cluster.runs_on("web1") == ("node3",)


@pytest.mark.parametrize("allocator", [ALLOCATOR, "hail"])
def test_an_allocator_chooses_the_new_mirror(tmp_path: Path, allocator: str) -> None:
    operator = Operator(tmp_path)
    operator.does(create("drbd"))
    asked = InstanceReplaceDisks(
        instance_name="web1", mode="replace_new_secondary", iallocator=allocator
    )
    job = operator.does(asked)
    assert job.status is Status.SUCCESS
    (opcode,) = job.opcodes
    assert isinstance(opcode, InstanceReplaceDisks)
    assert (opcode.remote_node, opcode.iallocator) == ("node3", allocator)
    assert job.known[0].verdicts[0]["chosen"][-1] == "node3"
    found = operator.cluster.instance("web1")
    assert found is not None
    assert found.secondary_node == "node-node3"
    both = operator.does(msgspec.structs.replace(asked, remote_node="node2"))
    assert "either the iallocator or the new secondary" in reason(both)
    neither = operator.does(msgspec.structs.replace(asked, iallocator=None))
    assert "options -n, -I" in reason(neither)


@pytest.mark.parametrize("allocator", [ALLOCATOR, "hail"])
def test_an_allocator_chooses_where_lost_disks_are_made(tmp_path: Path, allocator: str) -> None:
    operator = Operator(tmp_path)
    operator.does(create("plain", pnode="node2", start=False))
    operator.cluster.hosts["node2"].power_off()
    operator.cluster.clock.run(60.0)
    operator.does(NodeSetParams(node_name="node2", offline=True))
    asked = InstanceRecreateDisks(instance_name="web1", iallocator=allocator)
    both = operator.does(msgspec.structs.replace(asked, nodes=("node3",)))
    assert "either the iallocator or the new nodes" in reason(both)
    job = operator.does(asked)
    assert job.status is Status.SUCCESS
    (opcode,) = job.opcodes
    assert isinstance(opcode, InstanceRecreateDisks)
    (node,) = opcode.nodes
    assert node != "node2"
    assert job.known[0].verdicts[0]["chosen"] == (node,)
    found = operator.cluster.instance("web1")
    assert found is not None
    assert found.primary_node == f"node-{node}"


def test_what_waits_in_the_queue_for_its_nodes_has_its_room(tmp_path: Path) -> None:
    """A second request for large instances knows what the first was given, though none of its jobs
    has begun: there is no room left where they could restart."""
    operator = Operator(tmp_path)
    cluster = operator.cluster
    most = {"maxmem": 9000, "minmem": 128}

    def several(*names: str) -> InstanceMultiAlloc:
        bodies = (floating(name, "plain", iallocator=None, beparams=most) for name in names)
        return InstanceMultiAlloc(instances=tuple(msgspec.to_builtins(one) for one in bodies))

    numbers = [cluster.submit(several("a1", "a2")), cluster.submit(several("b1", "b2"))]
    cluster.settle()
    jobs = [cluster.job(number) for number in numbers if number is not None]
    results = [job.known[0].result for job in jobs if job is not None]
    assert [one["allocatable"] for one in results] == [["a1", "a2"], []]
    made = [cluster.instance(name) for name in ("a1", "a2")]
    assert len({one.primary_node for one in made if one is not None}) == 2


def test_more_than_one_transaction_of_instances(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    bodies = (
        floating(f"w{number}", "diskless", iallocator=None, disks=(), start=False)
        for number in range(100)
    )
    job = operator.does(
        InstanceMultiAlloc(
            instances=tuple(msgspec.to_builtins(one) for one in bodies), iallocator=ALLOCATOR
        )
    )
    assert job.status is Status.SUCCESS
    assert len(job.known[0].result["jobs"]) == 100
    assert all(accepted for accepted, _number in job.known[0].result["jobs"])
