"""Node groups: added, told, filled, renamed, evacuated, removed; hooks; and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from clusterd.opcodes.cluster_set_params import ClusterSetParams
from clusterd.opcodes.group_add import GroupAdd
from clusterd.opcodes.group_assign_nodes import GroupAssignNodes
from clusterd.opcodes.group_evacuate import GroupEvacuate, chained
from clusterd.opcodes.group_remove import GroupRemove
from clusterd.opcodes.group_rename import GroupRename
from clusterd.opcodes.group_set_params import GroupSetParams
from clusterd.opcodes.moving import JOBS_A_STEP
from clusterd.opcodes.node_add import NodeAdd
from clusterd.simulation.scenario import create
from jobqueue.job import Status
from tests.stories.deeds import Deeds

HOOKS = ("group-add", "group-modify", "group-rename", "group-remove", "group-evacuate")


def everywhere(path: str, *nodes: str) -> list[tuple[str, str]]:
    """What runs where, before and after."""
    return [(node, f"{path}-{phase}.d") for phase in ("pre", "post") for node in nodes]


def test_the_life_of_a_group(tmp_path: Path) -> None:
    deeds = Deeds(tmp_path, nodes=2)
    deeds.watches(*HOOKS)
    deeds.done(GroupAdd(group_name="rack2", alloc_policy="last_resort"))
    assert deeds.hooked[0][2]["GROUP_NAME"] == "rack2"
    assert deeds.hooked[0][2]["OBJECT_TYPE"] == "GROUP"
    assert deeds.ran() == everywhere("group-add", "node1")
    told = deeds.done(
        GroupSetParams(
            group_name="rack2",
            alloc_policy="unallocable",
            ndparams={"spindle_count": "4"},
            diskparams={"plain": {"stripes": 2}},
            ipolicy={"vcpu-ratio": 2.0},
            hv_state={"memory": {"mem_node": "1024"}},
            disk_state={"plain": {"xenvg": {"disk_reserved": 10}}},
        )
    )
    assert told[:2] == [["alloc_policy", "unallocable"], ["ndparams", {"spindle_count": 4}]]
    assert deeds.hooked[0][2]["NEW_ALLOC_POLICY"] == "unallocable"
    assert deeds.ran() == everywhere("group-modify", "node1")
    group = deeds.configuration.group("rack2")
    assert (group.ipolicy.vcpu_ratio, group.diskparams) == (2.0, {"plain": {"stripes": 2}})
    assert (group.hv_state, group.disk_state) == (
        {"memory": {"mem_node": 1024}},
        {"plain": {"xenvg": {"disk_reserved": 10}}},
    )
    assert deeds.row("group", "rack2", "hv_state", "disk_state") == [
        {"memory": {"mem_node": 1024}},
        {"plain": {"xenvg": {"disk_reserved": 10}}},
    ]
    assert deeds.row("group", "default", "hv_state", "disk_state") == [{}, {}]
    deeds.done(GroupSetParams(group_name="rack2", diskparams={"plain": {"stripes": None}}))
    assert deeds.configuration.group("rack2").diskparams == {}
    deeds.done(GroupAssignNodes(group_name="rack2", nodes=("node2",)))
    deeds.hooked.clear()
    assert deeds.done(GroupRename(group_name="rack2", new_name="row2")) == "row2"
    assert (deeds.hooked[0][2]["OLD_NAME"], deeds.hooked[0][2]["NEW_NAME"]) == ("rack2", "row2")
    assert deeds.ran() == everywhere("group-rename", "node1", "node2")
    assert deeds.configuration.node("node2").group == deeds.configuration.group("row2").uuid
    deeds.done(GroupAssignNodes(group_name="default", nodes=("node2", "node1")))
    deeds.done(GroupRemove(group_name="row2"))
    assert deeds.ran() == everywhere("group-remove", "node1")
    assert [one.name for one in deeds.configuration.groups()] == ["default"]


def test_what_is_refused_of_groups(tmp_path: Path) -> None:
    deeds = Deeds(tmp_path, nodes=2)
    deeds.refused(GroupAdd(group_name="default"), "already_exists", "default")
    deeds.refused(GroupAdd(group_name="g", ndparams={"x": 1}), "wrong_input", "'x'")
    deeds.refused(GroupAdd(group_name="g", diskparams={"x": {}}), "wrong_input", "x")
    deeds.refused(GroupAdd(group_name="g", ipolicy={"std": {}}), "wrong_input", "std")
    deeds.refused(GroupAdd(group_name="g", hv_state={"x": {}}), "wrong_input", "'x'")
    deeds.refused(GroupAdd(group_name="g", disk_state={"x": {}}), "wrong_input", "'x'")
    deeds.refused(GroupRemove(group_name="default"), "wrong_state", "node1, node2")
    deeds.refused(GroupRemove(group_name="x"), "unknown_entity", "'x'")
    deeds.refused(GroupSetParams(group_name="default"), "wrong_input", "at least one")
    deeds.refused(GroupRename(group_name="x", new_name="y"), "unknown_entity", "'x'")
    deeds.refused(GroupAssignNodes(group_name="default", nodes=()), "wrong_input", "No nodes")
    deeds.refused(
        GroupAssignNodes(group_name="default", nodes=("node9",)), "unknown_entity", "node9"
    )
    deeds.refused(GroupEvacuate(group_name="default"), "wrong_input", "no possible target")
    deeds.done(GroupAdd(group_name="rack2"))
    deeds.refused(GroupRename(group_name="default", new_name="rack2"), "already_exists", "rack2")
    deeds.refused(
        GroupEvacuate(group_name="default", target_groups=("default",)), "wrong_input", "itself"
    )
    deeds.refused(NodeAdd(node_name="node9", primary_ip="node9"), "wrong_input", "-g")


def test_the_last_group_stays(tmp_path: Path) -> None:
    deeds = Deeds(tmp_path)
    deeds.done(GroupAdd(group_name="rack2"))
    deeds.done(GroupAssignNodes(group_name="rack2", nodes=("node1",)))
    deeds.done(GroupRemove(group_name="default"))
    deeds.refused(GroupRemove(group_name="rack2"), "wrong_state", "node1")


def test_mirrored_instances_are_split_by_force_only(tmp_path: Path) -> None:
    deeds = Deeds(tmp_path, nodes=2)
    deeds.done(create("drbd", start=False), GroupAdd(group_name="rack2"))
    split = GroupAssignNodes(group_name="rack2", nodes=("node2",))
    deeds.refused(split, "wrong_state", "web1", "--force")
    deeds.done(GroupAssignNodes(group_name="rack2", nodes=("node2",), force=True))
    # both together are not split, and then nothing is to be said
    job = deeds.cluster.run(GroupAssignNodes(group_name="rack2", nodes=("node1", "node2")))
    assert job.status is Status.SUCCESS
    assert not [line for line in job.known[-1].log if "split" in str(line)]


def test_what_violates_a_new_policy_is_told(tmp_path: Path) -> None:
    deeds = Deeds(tmp_path)
    deeds.done(ClusterSetParams(enabled_disk_templates=("diskless", "plain")))
    deeds.done(create("diskless", start=False))
    job = deeds.cluster.run(
        GroupSetParams(group_name="default", ipolicy={"disk-templates": ["plain"]})
    )
    assert job.status is Status.SUCCESS
    assert any("web1" in str(line) for line in job.known[-1].log)


def test_a_group_is_evacuated(tmp_path: Path) -> None:
    deeds = Deeds(tmp_path, nodes=2)
    deeds.watches("group-evacuate")
    deeds.done(
        GroupAdd(group_name="rack2"),
        GroupAssignNodes(group_name="rack2", nodes=("node2",)),
        GroupEvacuate(group_name="default"),
    )
    deeds.hooked.clear()
    for name in ("web1", "web2"):
        deeds.done(create("sharedfile", instance_name=name))
    found = deeds.done(GroupEvacuate(group_name="default", sequential=True, force_failover=True))
    assert deeds.hooked[0][2]["TARGET_GROUPS"] == "rack2"
    assert deeds.ran() == everywhere("group-evacuate", "node1")
    jobs = deeds.made_jobs(found)
    assert [job.status for job in jobs] == [Status.SUCCESS] * 2
    assert [job.summary for job in jobs] == [
        [f"INSTANCE_FAILOVER({name})"] for name in ("web1", "web2")
    ]
    assert jobs[1].opcodes[0].depends == ((jobs[0].id, ()),)
    assert deeds.cluster.runs_on("web1") == ("node2",)
    back = deeds.done(GroupEvacuate(group_name="rack2", target_groups=("default",)))
    assert [job.summary for job in deeds.made_jobs(back)] == [
        ["INSTANCE_MIGRATE(web1)"],
        ["INSTANCE_MIGRATE(web2)"],
    ]
    assert deeds.cluster.runs_on("web1") == ("node1",)


@pytest.mark.parametrize("count", [0, 1, JOBS_A_STEP, JOBS_A_STEP + 1, 3 * JOBS_A_STEP])
def test_a_chain_never_runs_two_moves_at_a_time(count: int) -> None:
    jobs = tuple(({"OP_ID": "OP_X", "at": at},) for at in range(count))
    chain = chained(jobs)
    assert len(chain) <= JOBS_A_STEP
    assert [body["at"] for job in chain for body in job] == list(range(count))
    waits = [[body.get("depends") for body in job] for job in chain]
    assert all(one[0] == [[-1, []]] for one in waits[1:])
    assert not any(one for job in waits for one in job[1:])
