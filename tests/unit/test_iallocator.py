"""The iallocator protocol: what programs are given, how they are run, what their answers mean."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusterd.iallocator import answers, builtin, choice, data, live, reading
from clusterd.iallocator.requests import (
    Allocate,
    AllocateSecondary,
    ChangeGroup,
    MultiAllocate,
    NewInstance,
    NodeEvacuate,
    Relocate,
)
from clusterd.model import AdminState
from clusterd.node.blocking import InlineThreads
from clusterd.placement import text_format
from clusterd.placement.validity import require_valid
from clusterd.verbs.allocators import run_iallocator
from clusterd.verbs.errors import WrongInput
from clusterd.verbs.host import Host
from clusterd.view import View
from jobqueue.errors import Refused
from storage.commands import ThreadedCommands
from tests.unit.node_host import make_host, script
from tests.unit.small_cluster import SmallCluster, instance
from tests.waiting import settled

NEW = NewInstance(
    name="new.example.com",
    disk_template="drbd",
    vcpus=2,
    memory_mib=512,
    disk_sizes_mib=(1024,),
    disk_total_mib=1152,
    required_nodes=2,
    os="noop",
    hypervisor="kvm",
)


NODE_KEYS = {
    "tags",
    "primary_ip",
    "secondary_ip",
    "offline",
    "drained",
    "master_candidate",
    "group",
    "master_capable",
    "vm_capable",
    "ndparams",
}
ROOM_KEYS = {
    "total_memory",
    "reserved_memory",
    "free_memory",
    "total_disk",
    "free_disk",
    "total_spindles",
    "free_spindles",
    "total_cpus",
    "reserved_cpus",
    "i_pri_memory",
    "i_pri_up_memory",
}


def written(request: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data.request_text(SmallCluster().view(), request))
    return found


# -- what a program is given -----------------------------------------------------------------------


def test_the_request_has_exactly_ganetis_keys() -> None:
    body = written(Allocate(instance=NEW))
    assert list(body) == [
        "version",
        "cluster_name",
        "cluster_tags",
        "enabled_hypervisors",
        "ipolicy",
        "nodegroups",
        "nodes",
        "instances",
        "request",
    ]
    assert body["version"] == 2
    assert set(body["ipolicy"]) == {
        "minmax",
        "std",
        "disk-templates",
        "vcpu-ratio",
        "spindle-ratio",
    }
    assert set(body["nodegroups"]["g2-uuid"]) == {
        "name",
        "alloc_policy",
        "networks",
        "ipolicy",
        "tags",
    }
    assert set(body["nodes"]["n1.example.com"]) == NODE_KEYS | ROOM_KEYS
    assert set(body["nodes"]["n3.example.com"]) == NODE_KEYS
    assert body["nodes"]["n3.example.com"]["offline"]
    web = body["instances"]["web1.example.com"]
    assert web["nodes"] == ["n1.example.com", "n2.example.com"]
    assert web["disk_space_total"] == 1024 + 512 + 2 * 128
    assert web["nics"][1]["mode"] == "routed"
    assert "bridge" not in web["nics"][1]
    assert body["request"] == {
        "type": "allocate",
        "name": "new.example.com",
        "disk_template": "drbd",
        "tags": [],
        "os": "noop",
        "vcpus": 2,
        "memory": 512,
        "spindle_use": 1,
        "disks": [{"size": 1024, "mode": "rw", "spindles": None}],
        "disk_space_total": 1152,
        "nics": [],
        "required_nodes": 2,
        "hypervisor": "kvm",
    }


def test_memory_of_stopped_instances_is_kept_for_them() -> None:
    nodes = written(Allocate(instance=NEW))["nodes"]
    # on n1 web1 runs; should run: down1, lost1, new1; may be started: web2, user1
    assert nodes["n1.example.com"]["free_memory"] == 3000 - 5 * 256
    assert nodes["n1.example.com"]["i_pri_memory"] == 6 * 256
    assert nodes["n1.example.com"]["i_pri_up_memory"] == 4 * 256


@pytest.mark.parametrize(
    ("request_", "wire"),
    [
        (
            MultiAllocate(instances=(NEW,), excluded={"n2.example.com": "is locked by job 3"}),
            {"type": "multi-allocate", "restrict-to-nodes": ["n1.example.com", "n3.example.com"]},
        ),
        (
            Relocate(name="web1.example.com", relocate_from=("n2",), disk_total_mib=7),
            {
                "type": "relocate",
                "name": "web1.example.com",
                "disk_space_total": 7,
                "required_nodes": 1,
                "relocate_from": ["n2"],
            },
        ),
        (
            NodeEvacuate(instances=("a",), mode="all", ignore_soft_errors=True),
            {
                "type": "node-evacuate",
                "instances": ["a"],
                "evac_mode": "all",
                "ignore-soft-errors": True,
            },
        ),
        (
            ChangeGroup(instances=("a",), target_groups=("g",)),
            {"type": "change-group", "instances": ["a"], "target_groups": ["g"]},
        ),
        (AllocateSecondary(name="a"), {"type": "allocate-secondary", "name": "a"}),
    ],
)
def test_requests_as_they_are_written(request_: Any, wire: dict[str, Any]) -> None:
    body = written(request_)["request"]
    assert {key: body[key] for key in wire} == wire
    assert set(body) - {"instances"} == set(wire) - {"instances"}


def test_a_group_is_asked_for_by_name() -> None:
    asked = msgspec.structs.replace(NEW, group="g2-uuid")
    assert written(Allocate(instance=asked))["request"]["group_name"] == "rack2"


# -- how it is run ---------------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = make_host(tmp_path)
    places = msgspec.structs.replace(
        made.places, iallocators=(tmp_path / "ia-a", tmp_path / "ia-b")
    )
    return replace(made, places=places, commands=ThreadedCommands(InlineThreads()))


def test_a_program_of_the_site_is_run_unmodified(host: Host, tmp_path: Path) -> None:
    script(tmp_path / "ia-b" / "mine", 'cat "$1"; echo "$2 $3" >&2')
    script(tmp_path / "ia-a" / "mine", 'cat "$1"; ls -l "$1" | cut -c1-10 >&2; echo "$2 $3" >&2')
    end = settled(run_iallocator(host, "mine", '{"version":2}', ("--a=1", "--b")))
    assert (end.code, end.output) == (0, '{"version":2}')
    assert end.errors.splitlines() == ["-rw-------", "--a=1 --b"]
    assert list((tmp_path / "run" / "iallocator").iterdir()) == []


def test_how_a_program_failed_is_told(host: Host, tmp_path: Path) -> None:
    script(tmp_path / "ia-a" / "mine", "echo out; echo wrong >&2; exit 3")
    end = settled(run_iallocator(host, "mine", "{}", ()))
    assert (end.code, end.output, end.errors) == (3, "out\n", "wrong\n")


@pytest.mark.parametrize("name", ["missing", "../mine", "", "a b"])
def test_a_program_that_is_not_there(host: Host, tmp_path: Path, name: str) -> None:
    script(tmp_path / "mine", "true")
    with pytest.raises(WrongInput, match="iallocator"):
        settled(run_iallocator(host, name, "{}", ()))


def test_a_program_that_cannot_be_run(host: Host, tmp_path: Path) -> None:
    script(tmp_path / "ia-a" / "mine", "true", mode=0o644)
    with pytest.raises(WrongInput, match="not executable"):
        settled(run_iallocator(host, "mine", "{}", ()))


def test_parameters_become_options() -> None:
    small = SmallCluster()
    old = small.configuration.cluster
    params = {"verbose": True, "quiet": False, "ratio": 2.5, "name": "x y"}
    small.commit(small.configuration.changed(old, 1.0, default_iallocator_params=params))
    assert choice.program_options(small.view()) == ("--name=x y", "--ratio=2.5", "--verbose")


def test_which_allocator_is_meant() -> None:
    small = SmallCluster()
    assert choice.allocator_name(small.view(), None) == "hail"
    assert choice.allocator_name(small.view(), "mine") == "mine"
    old = small.configuration.cluster
    small.commit(small.configuration.changed(old, 1.0, default_iallocator="theirs"))
    assert choice.allocator_name(small.view(), ".") == "theirs"
    assert choice.allocator_name(small.view(), None) == "theirs"


# -- what it answers -------------------------------------------------------------------------------


def read(request: Any, result: Any, *, success: bool = True) -> answers.Answer:
    text = json.dumps({"success": success, "info": "because", "result": result})
    return answers.read("mine", request, 0, text, "")


def test_answers_by_kind_of_request() -> None:
    assert read(Allocate(instance=NEW), ["n1", "n2"]).nodes == ("n1", "n2")
    many = read(MultiAllocate(instances=(NEW,)), [[["a", ["n1", "n2"]]], ["b"]])
    assert many.allocated == (("a", ("n1", "n2")),)
    assert [name for name, _why in many.failed] == ["b"]
    assert read(AllocateSecondary(name="a"), "n2").nodes == ("n2",)
    moves = read(
        NodeEvacuate(instances=("a", "b"), mode="all"),
        [[["a", "g1", ["n1", "n2"]]], [["b", "no"]], [[{"OP_ID": "OP_INSTANCE_MIGRATE"}]]],
    )
    assert moves.moved == (("a", "g1", ("n1", "n2")),)
    assert moves.failed == (("b", "no"),)
    assert moves.jobs == (({"OP_ID": "OP_INSTANCE_MIGRATE"},),)


@pytest.mark.parametrize(
    ("code", "output", "errors", "told"),
    [
        (1, "", "no such file", "ended with code 1: no such file"),
        (0, "nonsense", "", "cannot be used"),
        (0, '{"success":true,"info":""}', "", "cannot be used"),
        (0, '{"success":true,"info":"","result":["n1",2]}', "", "cannot be used"),
        (0, '{"success":true,"info":"","result":{}}', "", "cannot be used"),
        (0, '{"success":false,"info":"no room","result":[]}', "", "'mine': no room"),
    ],
)
def test_answers_that_are_refused(code: int, output: str, errors: str, told: str) -> None:
    with pytest.raises(Refused, match=told):
        answers.read("mine", Allocate(instance=NEW), code, output, errors)


# -- the cluster as placement sees it --------------------------------------------------------------


def test_the_live_cluster_is_one_that_placement_takes() -> None:
    for stopped in (False, True):
        facts = live.facts(SmallCluster().view(), stopped=stopped)
        require_valid(facts)
        again = text_format.parse(text_format.render(facts))
        assert [one.memory_free_mib for one in again.nodes] == [
            one.memory_free_mib for one in facts.nodes
        ]
    by_name = {one.name: one for one in live.facts(SmallCluster().view(), stopped=False).instances}
    assert by_name["web2.example.com"].status == "ADMIN_down"
    assert by_name["off1.example.com"].status == "ADMIN_offline"
    assert by_name["web1.example.com"].secondary == "n2.example.com"
    assert by_name["new1.example.com"].status == "running"


def test_what_a_stored_plan_promises_counts() -> None:
    small = SmallCluster()
    draft = instance("planned.example.com", admin_state=AdminState.DOWN, made_by=9)
    view = View(small.configuration, small.watch, 2000.0, lambda: [draft])
    before = small.view()
    free = {one.name: one.memory_free_mib for one in live.facts(view, stopped=False).nodes}
    had = {one.name: one.memory_free_mib for one in live.facts(before, stopped=False).nodes}
    assert free["n1.example.com"] == had["n1.example.com"] - 256
    assert "planned.example.com" in data.cluster_data(view)["instances"]


def test_what_is_asked_for_again_does_not_stand_in_its_own_way() -> None:
    small = SmallCluster()
    view = small.view()
    uuid = small.configuration.instance("web1.example.com").uuid
    found = live.facts(view, stopped=True, without=uuid)
    assert "web1.example.com" not in {one.name for one in found.instances}
    assert len(found.instances) == len(live.facts(view, stopped=True).instances) - 1


def test_groups_that_do_not_reach_its_networks_are_refused_by_name() -> None:
    view = SmallCluster().view()
    facts = live.facts(view, stopped=True)
    assert [group.networks for group in facts.groups] == [("net-uuid",), ()]
    told = data.cluster_data(view)["nodegroups"]
    assert (told["g1-uuid"]["networks"], told["g2-uuid"]["networks"]) == (["net-uuid"], [])
    asked = msgspec.structs.replace(NEW, networks=("net-uuid",), nics=({"network": "net-uuid"},))
    (found,) = builtin.answer(facts, Allocate(instance=asked)).considered
    texts = {one.node: one.text for one in found.nodes}
    apart = "group rack2 is not connected to network net1"
    assert texts["n3.example.com"] == apart
    assert apart not in texts["n1.example.com"]
    moved = builtin.answer(facts, ChangeGroup(instances=("web1.example.com",)))
    assert moved.failed == (("web1.example.com", apart),)
    assert moved.jobs == ()
    (why,) = moved.considered
    assert {one.node: one.text for one in why.nodes} == {"n3.example.com": apart}


def test_networks_are_read_from_a_request_and_from_a_file() -> None:
    view = SmallCluster().view()
    asked = msgspec.structs.replace(NEW, nics=({"network": "net-uuid"},))
    body = {**data.cluster_data(view), "request": Allocate(instance=asked).wire(view)}
    body["instances"]["web1.example.com"]["nics"][0]["network"] = "net-uuid"
    facts, request = reading.read(json.dumps(body))
    assert facts.groups[0].networks == ("net-uuid",)
    web1 = next(one for one in facts.instances if one.name == "web1.example.com")
    assert web1.networks == ("net-uuid",)
    assert isinstance(request, Allocate)
    assert request.instance.networks == ("net-uuid",)
    assert text_format.parse(text_format.render(facts)).groups[0].networks == ("net-uuid",)
