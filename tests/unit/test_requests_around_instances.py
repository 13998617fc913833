"""Tags, node groups and networks: command lines and requests, and the opcodes that they become."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.exits import Exit
from clusterd.opcodes import registry
from tests.unit.cli_stage import Stage, job_answers, stage_in
from tests.unit.rapi_house import RapiHouse

REGISTRY = registry()
USAGE = 2
CLUSTER = {"nicparams": {"default": {"mode": "bridged", "link": "br0", "vlan": ""}}}

LINES: list[tuple[str, dict[str, Any]]] = [
    (
        "cluster add-tags a b",
        {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "tags": ["a", "b"]},
    ),
    (
        "group remove-tags g1 a",
        {"OP_ID": "OP_TAGS_DEL", "kind": "nodegroup", "name": "g1", "tags": ["a"]},
    ),
    (
        "instance add-tags --from {file} web1 z",
        {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": "web1", "tags": ["z", "x", "y"]},
    ),
    (
        "network add-tags --from {file} net1",
        {"OP_ID": "OP_TAGS_SET", "kind": "network", "name": "net1", "tags": ["x", "y"]},
    ),
    (
        "group add --alloc-policy=last_resort --node-parameters spindle_count=2 -D plain:stripes=2 "
        "--ipolicy-bounds-specs min:memory-size=128/max:memory-size=1g --ipolicy-vcpu-ratio 2 "
        "--hypervisor-state kvm:mem_node=512 --disk-state plain/xenvg:disk_reserved=10 rack2",
        {
            "OP_ID": "OP_GROUP_ADD",
            "group_name": "rack2",
            "alloc_policy": "last_resort",
            "ndparams": {"spindle_count": "2"},
            "diskparams": {"plain": {"stripes": "2"}},
            "ipolicy": {
                "minmax": [{"min": {"memory-size": 128}, "max": {"memory-size": 1024}}],
                "vcpu-ratio": 2.0,
            },
            "hv_state": {"kvm": {"mem_node": "512"}},
            "disk_state": {"plain": {"xenvg": {"disk_reserved": "10"}}},
        },
    ),
    (
        "group modify --alloc-policy=unallocable rack2",
        {"OP_ID": "OP_GROUP_SET_PARAMS", "group_name": "rack2", "alloc_policy": "unallocable"},
    ),
    ("group remove rack2", {"OP_ID": "OP_GROUP_REMOVE", "group_name": "rack2"}),
    (
        "group rename rack2 row2",
        {"OP_ID": "OP_GROUP_RENAME", "group_name": "rack2", "new_name": "row2"},
    ),
    (
        "group assign-nodes -f rack2 n1 n2",
        {
            "OP_ID": "OP_GROUP_ASSIGN_NODES",
            "group_name": "rack2",
            "nodes": ["n1", "n2"],
            "force": True,
        },
    ),
    (
        "network add --network=192.0.2.0/24 --gateway=192.0.2.1 --network6=2001:db8::/64 "
        "--gateway6=2001:db8::1 -m aa:bb:cc --add-reserved-ips=192.0.2.8,192.0.2.9 "
        "--tags=a,b --no-conflicts-check net1",
        {
            "OP_ID": "OP_NETWORK_ADD",
            "network_name": "net1",
            "network": "192.0.2.0/24",
            "gateway": "192.0.2.1",
            "network6": "2001:db8::/64",
            "gateway6": "2001:db8::1",
            "mac_prefix": "aa:bb:cc",
            "add_reserved_ips": ["192.0.2.8", "192.0.2.9"],
            "tags": ["a", "b"],
            "conflicts_check": False,
        },
    ),
    (
        "network modify --gateway none --remove-reserved-ips=192.0.2.8 net1",
        {
            "OP_ID": "OP_NETWORK_SET_PARAMS",
            "network_name": "net1",
            "gateway": "none",
            "remove_reserved_ips": ["192.0.2.8"],
        },
    ),
    ("network remove net1", {"OP_ID": "OP_NETWORK_REMOVE", "network_name": "net1"}),
    (
        "network rename net1 net2",
        {"OP_ID": "OP_NETWORK_RENAME", "network_name": "net1", "new_name": "net2"},
    ),
]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        made.answer(**job_answers())
        made.answer(QueryGroups=[["default"], ["rack2"]], QueryClusterInfo=CLUSTER)
        yield made


@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_a_line_becomes_an_opcode(
    stage: Stage, tmp_path: Path, line: str, expected: dict[str, Any]
) -> None:
    file = tmp_path / "words"
    file.write_text("x\ny\n", "utf-8")
    ended = stage.run(*shlex.split(line.format(file=file)))
    assert (ended.code, ended.err) == (Exit.SUCCESS, [])
    assert stage.submitted() == expected
    REGISTRY.decode(expected)


MISTAKES = [
    ("node add-tags node1", "No tags given"),
    ("node add-tags --from /nonexistent/file node1", "/nonexistent/file"),
    ("node add-tags", "at least 1 argument"),
    ("group modify rack2", "at least one"),
    ("network modify net1", "at least one"),
    ("network connect", "at least 1 argument"),
    ("network connect -N speed=9 net1", "'speed'"),
    ("group add --disk-state plain:disk_total=1 rack2", "TEMPLATE/GROUP"),
    ("group add --ipolicy-std-specs memory-size=1 rack2", "--ipolicy-std-specs"),
    ("group assign-nodes rack2", "argument"),
]


@pytest.mark.parametrize(("line", "says"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_told_and_nothing_sent(stage: Stage, line: str, says: str) -> None:
    ended = stage.run(*shlex.split(line))
    assert ended.code in (Exit.FAILURE, USAGE)
    assert says in "\n".join(ended.err)
    assert stage.responder.of("SubmitJob") == []


def test_an_evacuated_groups_jobs_are_followed(stage: Stage) -> None:
    stage.answer(**job_answers({"jobs": []}))
    ended = stage.run("group", "evacuate", "--to", "a", "--to=b", "--sequential", "rack2")
    assert ended.out == ["There is nothing to do"]
    assert stage.submitted() == {
        "OP_ID": "OP_GROUP_EVACUATE",
        "group_name": "rack2",
        "target_groups": ["a", "b"],
        "sequential": True,
    }


def test_what_was_changed_of_a_group_is_told(stage: Stage) -> None:
    stage.answer(**job_answers([["alloc_policy", "preferred"]]))
    ended = stage.run("group", "modify", "--alloc-policy", "preferred", "rack2")
    assert ended.out == ["Modified node group rack2", " - alloc_policy -> preferred"]


def connected(group: str, **fields: Any) -> dict[str, Any]:
    """An OP_NETWORK_CONNECT of net1."""
    usual = {"network_mode": "bridged", "network_link": "br0", "network_vlan": ""}
    names = {"OP_ID": "OP_NETWORK_CONNECT", "network_name": "net1", "group_name": group}
    return {**names, **usual, **fields}


def test_a_network_is_connected_to_many_groups(stage: Stage) -> None:
    assert stage.run("network", "connect", "net1").code == Exit.SUCCESS
    assert sent(stage) == [connected("default"), connected("rack2")]
    assert [name for _, name in stage.responder.of("SubmitJob")] == ["drawn-1", "drawn-2"]
    stage.responder.calls.clear()
    stage.answer(QueryGroups=[["rack2"]])
    words = ("-N", "mode=openvswitch,link=ovs0,vlan=.5", "--no-conflicts-check")
    assert stage.run("network", "connect", *words, "net1", "rack2").code == Exit.SUCCESS
    assert stage.responder.of("QueryGroups")[0][0] == ["rack2"]
    fields = {"network_mode": "openvswitch", "network_link": "ovs0", "network_vlan": ".5"}
    assert sent(stage) == [connected("rack2", **fields, conflicts_check=False)]
    stage.responder.calls.clear()
    stage.run("network", "disconnect", "net1", "rack2")
    assert sent(stage) == [
        {"OP_ID": "OP_NETWORK_DISCONNECT", "group_name": "rack2", "network_name": "net1"}
    ]


def sent(stage: Stage) -> list[dict[str, Any]]:
    """The opcodes that were submitted, one a job, each as its declaration takes it."""
    found = []
    for (opcode,), _name in stage.responder.of("SubmitJob"):
        found.append({key: value for key, value in opcode.items() if key != "reason"})
        REGISTRY.decode(found[-1])
    return found


NETWORK = [
    "net1", "u1", 3, "192.0.2.0/29", "192.0.2.1", None, None, "aa:00:00", 4, 4,
    "XXX....X", "192.0.2.0, 192.0.2.1, 192.0.2.7", [["default", "bridged", "br0", ""]],
    ["web1"], ["a"],
]  # fmt: skip


def test_details_of_a_network(stage: Stage) -> None:
    cards = [[["net1", None], ["192.0.2.2", None]]]
    stage.answer(QueryNetworks=[NETWORK], QueryInstances=cards)
    assert stage.run("network", "info", "net1").out == [
        "- Network name: net1",
        "  UUID: u1",
        "  Serial number: 3",
        "  Tags: a",
        "  Subnet: 192.0.2.0/29",
        "  Gateway: 192.0.2.1",
        "  IPv6 Subnet: None",
        "  IPv6 Gateway: None",
        "  Mac Prefix: aa:00:00",
        "  Size: 8",
        "  Free: 4 (50.00%)",
        "  Usage map: ",
        "    0: XXX....X",
        "  externally reserved IPs: 192.0.2.0, 192.0.2.1, 192.0.2.7",
        "  connected to node groups: ",
        "    - default (mode:bridged link:br0 vlan:)",
        "  used by instances: ",
        "    web1: 0:192.0.2.2",
    ]


def test_commands_that_make_a_policy(stage: Stage) -> None:
    bounds = {"minmax": [{"min": {"b": 1, "a": 2}, "max": {"a": 3}}], "std": {"a": 1}}
    stage.answer(QueryGroups=[["g1", {}], ["g2", bounds]])
    assert stage.run("group", "show-ispecs-cmd").out == [
        "gnt-group add g1",
        "gnt-group add --ipolicy-bounds-specs min:a=2,b=1/max:a=3 g2",
    ]
    stage.answer(QueryClusterInfo={"name": "c", "ipolicy": bounds})
    assert stage.run("cluster", "show-ispecs-cmd").out == [
        "gnt-cluster init --ipolicy-std-specs a=1 --ipolicy-bounds-specs min:a=2,b=1/max:a=3 c"
    ]


def test_a_search_for_tags_fails_if_nothing_is_found(stage: Stage) -> None:
    stage.answer(**job_answers([["/cluster", "a"], ["/nodes/n1", "ab"]]))
    ended = stage.run("cluster", "search-tags", "^a")
    assert (ended.code, ended.out) == (0, ["/cluster a", "/nodes/n1 ab"])
    stage.answer(**job_answers([]))
    assert stage.run("cluster", "search-tags", "x").code == Exit.FAILURE


REQUESTS: list[tuple[str, str, Any, str, dict[str, Any]]] = [
    ("PUT", "/2/tags?tag=a&tag=b", None, "OP_TAGS_SET", {"kind": "cluster", "tags": ("a", "b")}),
    (
        "DELETE",
        "/2/networks/net1/tags?tag=a&dry-run=1",
        ["a"],
        "OP_TAGS_DEL",
        {"kind": "network", "name": "net1", "tags": ("a",), "dry_run": True},
    ),
    (
        "POST",
        "/2/groups",
        {"name": "rack2", "alloc_policy": None, "ndparams": {"ovs": True}},
        "OP_GROUP_ADD",
        {"group_name": "rack2", "alloc_policy": None, "ndparams": {"ovs": True}},
    ),
    (
        "PUT",
        "/2/groups/rack2/modify",
        {"custom_ipolicy": {"vcpu-ratio": 2.0}, "alloc_policy": "preferred"},
        "OP_GROUP_SET_PARAMS",
        {
            "group_name": "rack2",
            "alloc_policy": "preferred",
            "ipolicy": {"vcpu-ratio": 2.0},
        },
    ),
    (
        "PUT",
        "/2/groups/rack2/assign-nodes?force=1",
        {"nodes": ["n1"]},
        "OP_GROUP_ASSIGN_NODES",
        {"group_name": "rack2", "nodes": ("n1",), "force": True},
    ),
    (
        "PUT",
        "/2/groups/rack2/rename",
        {"new_name": "row2"},
        "OP_GROUP_RENAME",
        {"group_name": "rack2", "new_name": "row2"},
    ),
    ("DELETE", "/2/groups/rack2", None, "OP_GROUP_REMOVE", {"group_name": "rack2"}),
    (
        "POST",
        "/2/networks",
        {
            "network_name": "net1",
            "network": "192.0.2.0/24",
            "gateway": None,
            "gateway6": None,
            "network6": None,
            "mac_prefix": None,
            "add_reserved_ips": None,
            "tags": [],
            "conflicts_check": True,
        },
        "OP_NETWORK_ADD",
        {"network_name": "net1", "add_reserved_ips": None, "conflicts_check": True},
    ),
    (
        "POST",
        "/2/networks",
        {"name": "net1", "network": "192.0.2.0/24", "add_reserved_ips": "192.0.2.8, 192.0.2.9"},
        "OP_NETWORK_ADD",
        {"network_name": "net1", "add_reserved_ips": ("192.0.2.8", "192.0.2.9")},
    ),
    (
        "PUT",
        "/2/networks/net1/connect",
        {
            "group_name": "default",
            "network_mode": "bridged",
            "network_link": "br0",
            "network_vlan": "",
            "conflicts_check": False,
        },
        "OP_NETWORK_CONNECT",
        {
            "group_name": "default",
            "network_name": "net1",
            "network_link": "br0",
            "conflicts_check": False,
        },
    ),
    (
        "PUT",
        "/2/networks/net1/disconnect?dry-run=1",
        {"group_name": "default"},
        "OP_NETWORK_DISCONNECT",
        {"network_name": "net1", "group_name": "default", "dry_run": True},
    ),
    (
        "PUT",
        "/2/networks/net1/modify",
        {"mac_prefix": "aa:bb:cc", "remove_reserved_ips": "192.0.2.8"},
        "OP_NETWORK_SET_PARAMS",
        {"mac_prefix": "aa:bb:cc", "remove_reserved_ips": ("192.0.2.8",)},
    ),
    (
        "PUT",
        "/2/networks/net1/rename",
        {"new_name": "net2"},
        "OP_NETWORK_RENAME",
        {"network_name": "net1", "new_name": "net2"},
    ),
    ("DELETE", "/2/networks/net1", None, "OP_NETWORK_REMOVE", {"network_name": "net1"}),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "op", "expected"),
    REQUESTS,
    ids=[f"{method} {path}" for method, path, *_ in REQUESTS],
)
def test_a_request_becomes_a_job(
    method: str, path: str, body: Any, op: str, expected: dict[str, Any]
) -> None:
    (opcode,) = RapiHouse().job(method, path, body)
    assert opcode.op_id() == op
    found = msgspec.structs.asdict(opcode)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_tags_must_be_named(method: str) -> None:
    heard = RapiHouse().ask(method, "/2/nodes/n1.example.com/tags")
    assert heard.status == 400
    assert "tag" in heard.body["message"]
