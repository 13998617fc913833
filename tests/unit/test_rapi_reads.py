"""Reading over the RAPI: lists, single objects, queries, jobs, with Ganeti's shapes."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from rapi.field_sets import INSTANCE_FIELDS, JOB_BULK_FIELDS, JOB_FIELDS, NODE_FIELDS
from tests.unit.rapi_house import RapiHouse
from tests.unit.small_cluster import CLUSTER


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", None),
        ("/2", None),
        ("/2/", None),
        ("/version", 2),
        (
            "/2/features",
            [
                "node-evac-res1",
                "instance-reinstall-reqv1",
                "instance-create-reqv1",
                "node-migrate-reqv1",
            ],
        ),
        (
            "/2/nodes",
            [{"id": f"n{n}.example.com", "uri": f"/2/nodes/n{n}.example.com"} for n in (1, 2, 3)],
        ),
        (
            "/2/groups",
            [
                {"name": "default", "uri": "/2/groups/default"},
                {"name": "rack2", "uri": "/2/groups/rack2"},
            ],
        ),
        ("/2/networks", [{"name": "net1", "uri": "/2/networks/net1"}]),
        ("/2/jobs", []),
        ("/2/filters", []),
        ("/2/tags", ["a", "b"]),
        ("/2/instances/web1.example.com/tags", ["t1", "t2"]),
        ("/2/nodes/n1.example.com/tags", []),
        ("/2/groups/default/tags", []),
        ("/2/networks/net1/tags", []),
        ("/2/os", ["noop+default"]),
        ("/2/nodes/n1.example.com/role", "master"),
        ("/2/nodes/n2.example.com/role", "regular"),
        ("/2/nodes/n3.example.com/role", "offline"),
    ],
)
def test_what_a_path_answers(path: str, body: Any) -> None:
    heard = RapiHouse().ask("GET", path, user="")
    assert (heard.status, heard.body) == (200, body)
    assert heard.text.endswith(b"\n")
    assert heard.headers["content-type"] == "application/json"


def test_instances() -> None:
    house = RapiHouse()
    names = [row["id"] for row in house.ask("GET", "/2/instances").body]
    assert names[:2] == ["dark1.example.com", "down1.example.com"]
    assert names[-2:] == ["web2.example.com", "web10.example.com"]
    rows = house.ask("GET", "/2/instances?bulk=1").body
    assert [row["name"] for row in rows] == names
    one = house.ask("GET", "/2/instances/web1.example.com").body
    assert one == next(row for row in rows if row["name"] == "web1.example.com")
    assert list(one) == INSTANCE_FIELDS
    assert one["beparams"]["memory"] == one["beparams"]["maxmem"] == 256
    assert (one["status"], one["oper_state"], one["disk.sizes"]) == ("running", True, [1024, 512])
    dark = house.ask("GET", "/2/instances/dark1.example.com").body
    assert (dark["oper_state"], dark["oper_ram"], dark["status"]) == (
        None,
        None,
        "ERROR_nodeoffline",
    )


def test_nodes_and_groups() -> None:
    house = RapiHouse()
    one = house.ask("GET", "/2/nodes/n1.example.com").body
    assert list(one) == [*NODE_FIELDS, "secondary_ip"]
    assert (one["role"], one["mtotal"], one["secondary_ip"]) == ("M", 4096, "198.51.100.1")
    rows = house.ask("GET", "/2/nodes?bulk=1").body
    assert [row["mtotal"] for row in rows] == [4096, 4096, None]
    (default, _rack2) = house.ask("GET", "/2/groups?bulk=1").body
    assert default["node_list"] == ["n1.example.com", "n2.example.com"]
    assert default["ndparams"]["spindle_count"] == 7
    assert house.ask("GET", "/2/networks/net1").body["free_count"] == 12


@pytest.mark.parametrize("name", ["web1", "web1.example.com", "web1-uuid"])
def test_names_may_be_short_or_uuids(name: str) -> None:
    assert RapiHouse().ask("GET", f"/2/instances/{name}").body["name"] == "web1.example.com"


def test_info() -> None:
    body = RapiHouse().ask("GET", "/2/info", user="").body
    assert (body["name"], body["uuid"]) == (CLUSTER.name, CLUSTER.uuid)
    assert body["software_version"].count(".") == 2


def test_operating_systems_in_bulk() -> None:
    rows = {row["name"]: row for row in RapiHouse().ask("GET", "/2/os?bulk=1").body}
    assert sorted(rows) == ["broken", "noop", "secret"]
    assert rows["noop"]["variants"] == ["default"]
    assert rows["noop"]["parameters"] == []
    assert (rows["broken"]["valid"], rows["secret"]["hidden"]) == (False, True)


NOT_FOUND = {"code": 404, "message": "Not Found", "explain": "Nothing matches the given URI"}


@pytest.mark.parametrize(
    "path",
    [
        "/1/info",
        "/2/nosuch",
        "/2/instances/nosuch",
        "/2/instances/nosuch/console",
        "/2/instances/nosuch/tags",
        "/2/instances/new1.example.com",
        "/2/nodes/nosuch",
        "/2/nodes/nosuch/role",
        "/2/groups/nosuch",
        "/2/networks/nosuch",
        "/2/filters/nosuch",
        "/2/jobs/abc",
        "/2/jobs/999999",
        "/2/instances/a%2Fb",
        "/2/instances/web1/nosuch",
        "//2/info",
    ],
)
def test_what_is_not_there(path: str) -> None:
    heard = RapiHouse().ask("GET", path)
    assert (heard.status, heard.body) == (404, NOT_FOUND)


# -- queries ------------------------------------------------------------------------------------


def test_queries() -> None:
    house = RapiHouse()
    body = house.ask("GET", "/2/query/instance?fields=name,nosuch").body
    assert [field["kind"] for field in body["fields"]] == ["text", "unknown"]
    assert body["data"][0] == [[0, "dark1.example.com"], [1, None]]
    asked = {"fields": ["name", "status"], "filter": ["=", "name", "web1.example.com"]}
    assert house.ask("PUT", "/2/query/instance", asked).body["data"] == [
        [[0, "web1.example.com"], [0, "running"]]
    ]
    both = {**asked, "qfilter": ["=", "name", "web2.example.com"]}
    data = house.ask("PUT", "/2/query/instance", both).body["data"]
    assert data == [[[0, "web2.example.com"], [0, "ADMIN_down"]]]
    named = house.ask("PUT", "/2/query/node?fields=name", {}).body["data"]
    assert len(named) == 3


def test_fields_of_queries() -> None:
    house = RapiHouse()
    assert len(house.ask("GET", "/2/query/node/fields", user="").body["fields"]) == 46
    (one,) = house.ask("GET", "/2/query/node/fields?fields=role").body["fields"]
    assert (one["name"], one["kind"], one["title"]) == ("role", "text", "Role")


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("GET", "/2/query/instance", None, "fields"),
        ("PUT", "/2/query/instance", {}, "fields"),
        ("PUT", "/2/query/instance", {"fields": "name"}, "fields"),
        ("PUT", "/2/query/instance", {"fields": [5]}, "fields"),
        ("PUT", "/2/query/instance", {"fields": ["name"], "qfilter": ["%"]}, "filter"),
        ("PUT", "/2/query/instance", [], "object"),
        ("GET", "/2/query/nosuch?fields=a", None, "nosuch"),
        ("GET", "/2/instances?lock=1&bulk=1", None, "Sync queries are not allowed"),
        ("GET", "/2/instances?bulk=x", None, "bulk"),
    ],
)
def test_queries_that_are_refused(method: str, path: str, body: Any, words: str) -> None:
    heard = RapiHouse().ask(method, path, body)
    assert heard.status == 400
    assert words in heard.body["message"]


# -- the console --------------------------------------------------------------------------------


def test_the_console_of_a_running_instance() -> None:
    house = RapiHouse()
    body = house.ask("GET", "/2/instances/web1.example.com/console").body
    assert (body["kind"], body["instance"]) == ("ssh", "web1.example.com")
    assert house.ask("GET", "/2/instances/web2.example.com/console").status == 503


# -- jobs ---------------------------------------------------------------------------------------


def test_jobs() -> None:
    house = RapiHouse()
    number = house.ask("PUT", "/2/instances/web2.example.com/startup").body
    assert house.ask("GET", "/2/jobs", user="").body == [{"id": 1, "uri": "/2/jobs/1"}]
    one = house.ask("GET", f"/2/jobs/{number}").body
    assert list(one) == JOB_FIELDS
    assert (one["status"], one["summary"]) == ("queued", ["INSTANCE_STARTUP(web2.example.com)"])
    assert one["ops"][0]["OP_ID"] == "OP_INSTANCE_STARTUP"
    assert one["received_ts"] == [1000, 0]
    (bulk,) = house.ask("GET", "/2/jobs?bulk=1").body
    assert list(bulk) == JOB_BULK_FIELDS
    house.end(number, [["x"]])
    one = house.ask("GET", f"/2/jobs/{number}").body
    assert (one["status"], one["opresult"], one["end_ts"]) == (
        "success",
        [[["x"]]],
        [1001, 500000],
    )


def test_cancelling() -> None:
    house = RapiHouse()
    done, words = house.ask("DELETE", "/2/jobs/77?dry-run=1").body
    assert done is False
    assert "77" in words


def test_waiting_for_a_change() -> None:
    house = RapiHouse()
    number = house.ask("PUT", "/2/instances/web2.example.com/startup").body
    asked = {"fields": ["status"], "previous_job_info": None, "previous_log_serial": None}
    path = f"/2/jobs/{number}/wait"
    assert house.ask("GET", path, asked).body == {"job_info": ["queued"], "log_entries": []}
    seen = {**asked, "previous_job_info": ["queued"], "previous_log_serial": 0}
    answers = house.begin("GET", path, seen)
    house.clock.advance(9)
    assert answers == []
    house.clock.advance(1.5)
    assert answers[0].body is None
    answers = house.begin("GET", path, seen)
    house.end(number)
    assert answers[0].body == {"job_info": ["success"], "log_entries": []}
    assert house.ask("GET", "/2/jobs/99/wait", asked).status == 404


def test_a_client_that_goes_away_while_it_waits_is_forgotten() -> None:
    house = RapiHouse()
    house.ask("PUT", "/2/instances/web2.example.com/startup")
    seen = {"fields": ["status"], "previous_job_info": ["queued"], "previous_log_serial": 0}
    house.begin("GET", "/2/jobs/1/wait", seen)
    timers = len(house.clock.getDelayedCalls())
    assert len(house.doors.waiting) == 1
    with capture_logs() as lines:
        house.site.cut()
        house.clock.advance(0)
    assert lines == []
    assert len(house.clock.getDelayedCalls()) < timers
    assert len(house.doors.waiting) == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"fields": "status", "previous_job_info": None, "previous_log_serial": None},
        {"fields": [1], "previous_job_info": None, "previous_log_serial": None},
        {"fields": ["status"], "previous_job_info": "x", "previous_log_serial": None},
        {"fields": ["status"], "previous_job_info": None, "previous_log_serial": "x"},
        {"fields": ["status"], "previous_log_serial": None},
        {"fields": ["nosuch"], "previous_job_info": None, "previous_log_serial": None},
        [],
    ],
)
def test_waits_that_are_refused(body: Any) -> None:
    house = RapiHouse()
    house.ask("PUT", "/2/instances/web2.example.com/startup")
    assert house.ask("GET", "/2/jobs/1/wait", body).status == 400
