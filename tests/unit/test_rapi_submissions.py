"""Requests that become jobs: which opcode with which fields, and what is refused before."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapi.compatibility import resource_name
from rapi.resources.table import routes
from tests.unit.rapi_house import REGISTRY, RapiHouse

CREATE = {
    "__version__": 1,
    "mode": "create",
    "name": "new9.example.com",
    "os": "noop",
    "disk_template": "diskless",
    "disks": [],
    "nics": [],
    "pnode": "n1.example.com",
}
WEB1 = "/2/instances/web1.example.com"


def fields(opcode: Any) -> dict[str, Any]:
    """An opcode's own fields."""
    values: dict[str, Any] = msgspec.to_builtins(opcode)
    return values


@pytest.mark.parametrize(
    ("method", "path", "body", "op", "expected"),
    [
        (
            "POST",
            "/2/instances?dry-run=1",
            CREATE,
            "OP_INSTANCE_CREATE",
            {
                "instance_name": "new9.example.com",
                "os_type": "noop",
                "pnode": "n1.example.com",
                "dry_run": True,
            },
        ),
        (
            "POST",
            "/2/instances",
            {**CREATE, "hvparams": {"usb_devices": "a b  c"}, "snode": None, "osparams": None},
            "OP_INSTANCE_CREATE",
            {"hvparams": {"usb_devices": "a,b,c"}, "snode": None, "dry_run": False},
        ),
        (
            "POST",
            "/2/instances",
            {key: CREATE[key] for key in CREATE if key != "pnode"} | {"iallocator": "hail"},
            "OP_INSTANCE_CREATE",
            {"pnode": None, "iallocator": "hail"},
        ),
        (
            "POST",
            "/2/instances-multi-alloc",
            {"instances": [{"name": "new9", "os": "noop", "disks": []}], "iallocator": "hail"},
            "OP_INSTANCE_MULTI_ALLOC",
            {
                "iallocator": "hail",
                "instances": (
                    {
                        "OP_ID": "OP_INSTANCE_CREATE",
                        "instance_name": "new9",
                        "os_type": "noop",
                        "disks": [],
                    },
                ),
            },
        ),
        (
            "POST",
            "/2/nodes/n1.example.com/evacuate?dry-run=1",
            {"mode": "primary-only", "early_release": True},
            "OP_NODE_EVACUATE",
            {
                "node_name": "n1.example.com",
                "mode": "primary-only",
                "early_release": True,
                "dry_run": True,
            },
        ),
        (
            "DELETE",
            WEB1,
            {"shutdown_timeout": 5},
            "OP_INSTANCE_REMOVE",
            {"instance_name": "web1.example.com", "shutdown_timeout": 5, "ignore_failures": False},
        ),
        (
            "GET",
            f"{WEB1}/info?static=1",
            None,
            "OP_INSTANCE_QUERY_DATA",
            {"instances": ("web1.example.com",), "static": True},
        ),
        (
            "POST",
            f"{WEB1}/reboot",
            {},
            "OP_INSTANCE_REBOOT",
            {"reboot_type": "hard", "ignore_secondaries": False, "dry_run": False},
        ),
        (
            "POST",
            f"{WEB1}/reboot?type=soft&ignore_secondaries=1",
            None,
            "OP_INSTANCE_REBOOT",
            {"reboot_type": "soft", "ignore_secondaries": True},
        ),
        (
            "PUT",
            f"{WEB1}/shutdown?no_remember=1",
            {"timeout": 7, "force": True},
            "OP_INSTANCE_SHUTDOWN",
            {"timeout": 7, "force": True, "no_remember": True},
        ),
        (
            "PUT",
            f"{WEB1}/startup?force=1",
            {"anything": "is ignored"},
            "OP_INSTANCE_STARTUP",
            {"force": True, "no_remember": False},
        ),
        (
            "PUT",
            f"{WEB1}/activate-disks?ignore_size=1",
            None,
            "OP_INSTANCE_ACTIVATE_DISKS",
            {"ignore_size": True},
        ),
        (
            "PUT",
            f"{WEB1}/deactivate-disks?force=1",
            None,
            "OP_INSTANCE_DEACTIVATE_DISKS",
            {"force": True},
        ),
        (
            "PUT",
            f"{WEB1}/migrate",
            {"mode": "live", "cleanup": False, "allow_failover": True, "target_node": None},
            "OP_INSTANCE_MIGRATE",
            {"mode": "live", "allow_failover": True},
        ),
        (
            "PUT",
            f"{WEB1}/failover",
            {"ignore_consistency": True},
            "OP_INSTANCE_FAILOVER",
            {"ignore_consistency": True},
        ),
        (
            "PUT",
            f"{WEB1}/modify",
            {"custom_beparams": {"vcpus": 2}, "custom_hvparams": {"acpi": True}},
            "OP_INSTANCE_SET_PARAMS",
            {"beparams": {"vcpus": 2}, "hvparams": {"acpi": True}},
        ),
        (
            "PUT",
            "/2/modify",
            {"candidate_pool_size": 3},
            "OP_CLUSTER_SET_PARAMS",
            {"candidate_pool_size": 3},
        ),
        (
            "POST",
            "/2/nodes/n2/modify",
            {"drained": True},
            "OP_NODE_SET_PARAMS",
            {"node_name": "n2", "drained": True},
        ),
        (
            "PUT",
            "/2/nodes/n2/role?force=1&auto-promote=1",
            "regular",
            "OP_NODE_SET_PARAMS",
            {
                "force": True,
                "auto_promote": True,
                "master_candidate": False,
                "offline": False,
                "drained": False,
            },
        ),
        (
            "PUT",
            "/2/nodes/n2/role",
            "drained",
            "OP_NODE_SET_PARAMS",
            {"drained": True, "offline": None, "master_candidate": None},
        ),
    ],
)
def test_a_request_becomes_an_opcode(
    method: str, path: str, body: Any, op: str, expected: dict[str, Any]
) -> None:
    (opcode,) = RapiHouse().job(method, path, body)
    assert opcode.op_id() == op
    found = {name: getattr(opcode, name) for name in expected}
    assert found == expected


def test_the_job_says_who_asked_and_why() -> None:
    house = RapiHouse()
    (opcode,) = house.job("PUT", f"{WEB1}/startup?reason=because")
    assert opcode.reason == (
        ("gnt:user", "because", 1000_000_000_000),
        ("gnt:library:rlib2:instances_name_startup", "", 1000_000_000_000),
    )
    job = house.queue.job(1)
    assert job is not None
    assert job.submitter == "rapi:jack"
    house.ask("GET", f"{WEB1}/info", user="")
    job = house.queue.job(2)
    assert job is not None
    assert job.submitter == "rapi:"


def test_jobs_may_depend_on_others() -> None:
    house = RapiHouse()
    house.job("PUT", f"{WEB1}/startup")
    (opcode,) = house.job("PUT", f"{WEB1}/shutdown", {"depends": [[1, ["success"]]]})
    assert opcode.depends == ((1, ("success",)),)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/2/instances", "instances"),
        ("/2/instances/{name}", "instances_name"),
        ("/2/instances/{name}/replace-disks", "instances_name_replace_disks"),
        ("/2/instances/{name}/disk/{disk}/grow", "instances_name_disk_grow"),
        ("/2/redistribute-config", "redist_config"),
        ("/2/modify", "cluster_modify"),
        ("/2/tags", "tags"),
        ("/2/nodes/{name}/role", "nodes_name_role"),
        ("/2/jobs/{id}", "jobs_id"),
    ],
)
def test_names_of_resources_in_reasons(path: str, name: str) -> None:
    assert resource_name(path) == name


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        (
            "POST",
            "/2/instances",
            {**CREATE, "nosuchparam": 1},
            "Invalid body parameters: Object OpInstanceCreate doesn&#x27;t support the parameter "
            "&#x27;nosuchparam&#x27;",
        ),
        (
            "POST",
            "/2/instances",
            {"name": "x"},
            "Instance creation request version 0 is no longer supported",
        ),
        (
            "POST",
            "/2/instances",
            {**CREATE, "__version__": 2},
            "Unsupported request data version 2",
        ),
        (
            "POST",
            "/2/instances",
            {**CREATE, "os_type": "noop"},
            "Parameter &#x27;os&#x27; was renamed to &#x27;os_type&#x27;, but both are specified",
        ),
        (
            "POST",
            "/2/instances",
            {**CREATE, "dry_run": True},
            "Can&#x27;t overwrite static parameters {&#x27;dry_run&#x27;}",
        ),
        (
            "PUT",
            "/2/nodes/n2/role",
            "nosuchrole",
            "Can&#x27;t set &#x27;nosuchrole&#x27; role",
        ),
        ("PUT", "/2/nodes/n2/role", {"role": "x"}, "Invalid body contents, not a string"),
        ("PUT", "/2/nodes/n2/role", None, "Invalid body contents, not a string"),
        ("PUT", f"{WEB1}/shutdown?no_remember=x", {}, "no_remember"),
        ("PUT", f"{WEB1}/shutdown", [1], "Body contents should be an object"),
        ("PUT", f"{WEB1}/shutdown", {"timeout": -1}, "timeout"),
        ("PUT", f"{WEB1}/shutdown", {"timeout": "soon"}, "timeout"),
        ("PUT", f"{WEB1}/shutdown", {"instance_name": "web2"}, "static parameters"),
        ("PUT", f"{WEB1}/shutdown", {"OP_ID": "OP_CLUSTER_DESTROY"}, "OP_ID"),
        ("POST", f"{WEB1}/reboot?type=gentle", None, "reboot_type"),
        ("POST", "/2/instances", {**CREATE, "name": "a b"}, "instance_name"),
        ("POST", "/2/instances", {**CREATE, "depends": [[9, []]]}, "not an earlier job"),
        ("POST", f"{WEB1}/reinstall?os=x", {"os": "y"}, "combine"),
        ("POST", f"{WEB1}/reinstall", {"start": "yes"}, "start"),
    ],
)
def test_what_is_refused_leaves_no_job(method: str, path: str, body: Any, message: str) -> None:
    house = RapiHouse()
    heard = house.ask(method, path, body)
    assert heard.status == 400
    assert message in heard.body["message"]
    assert heard.body["explain"] == "Bad request syntax or unsupported method"
    assert house.queue.jobs() == []


def test_what_nobody_may_set_over_the_network() -> None:
    heard = RapiHouse().ask("PUT", "/2/modify", {"compression_tools": ["x"]})
    assert heard.status == 403


def test_a_drained_queue_is_not_available_now() -> None:
    house = RapiHouse()
    house.queue.drained = True
    heard = house.ask("PUT", f"{WEB1}/startup")
    assert (heard.status, heard.body["code"]) == (503, 503)
    assert "drained" in heard.body["message"]


def test_every_route_that_submits_is_served_or_says_what_is_missing() -> None:
    house = RapiHouse()
    known = {kind.opcode.op_id() for kind in REGISTRY}
    missing = 0
    for route in routes():
        if route.submit is None or route.submit.op in known:
            continue
        missing += 1
        path = route.path.replace("{name}", "web1").replace("{disk}", "0")
        heard = house.ask(route.method, path)
        assert heard.status == 501, path
        assert route.submit.op in heard.body["message"]
    assert house.queue.jobs() == []
    assert missing + sum(r.submit is not None and r.submit.op in known for r in routes()) > 40


# -- any body -----------------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
NAMES = st.sampled_from(
    [*CREATE, "instance_name", "beparams", "hvparams", "depends", "reason", "OP_ID", "priority"]
)
PATHS = [
    (route.method, route.path.replace("{name}", "web1").replace("{id}", "1").replace("{disk}", "0"))
    for route in routes()
    if route.method != "GET" and "{resource}" not in route.path
]
NEARLY_CREATE = st.fixed_dictionaries({key: st.just(value) | JSON for key, value in CREATE.items()})
HOUSE = RapiHouse()


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*PATHS, ("GET", "/2/jobs/1/wait"), ("PUT", "/2/query/node")]),
    JSON | st.dictionaries(NAMES, JSON) | NEARLY_CREATE,
)
def test_any_body_is_taken_or_refused_and_nothing_breaks(
    target: tuple[str, str], body: Any
) -> None:
    before = len(HOUSE.queue.jobs())
    heard = HOUSE.ask(*target, body)
    assert heard.status in (200, 400, 403, 404, 501), heard
    if heard.status != 200:
        assert sorted(heard.body) == ["code", "explain", "message"]
        assert heard.body["code"] == heard.status
        assert len(HOUSE.queue.jobs()) == before


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PATHS), st.binary(max_size=60))
def test_any_bytes_are_refused_as_json(target: tuple[str, str], raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    heard = HOUSE.ask(*target, raw=raw, headers=headers)
    assert heard.status in (200, 400, 403, 404, 501)
