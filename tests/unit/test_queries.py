"""Every kind of query: its fields, jobs, locks, unknown names, the cluster itself."""

from __future__ import annotations

import msgspec
import pytest

from clusterd.defaults import GLOBAL_HVPARAMS
from clusterd.queries.answers import resources
from clusterd.queries.field import Status
from jobqueue.errors import Refused
from jobqueue.job import Status as JobStatus
from jobqueue.journal import Event, Kind
from jobqueue.lock import Level, Lock
from tests.unit.asked import Asked, Make
from tests.unit.driving import now
from tests.unit.small_cluster import (
    NODES,
)

# -- every field --------------------------------------------------------------------------------

COUNTS = {
    "cluster": 16,
    "export": 2,
    "extstorage": 4,
    "filter": 6,
    "group": 27,
    "instance": 292,
    "job": 18,
    "lock": 6,
    "image": 17,
    "network": 19,
    "snapshot": 8,
    "node": 46,
    "os": 11,
}
"""Ganeti's fields; and of jobs the verdicts of their placement and why they need an operator, of
groups the two states that Ganeti stores and shows nowhere."""


def test_each_kind_has_ganetis_fields() -> None:
    assert {what: len(resource.fields) for what, resource in resources().items()} == COUNTS


@pytest.mark.parametrize("what", sorted(COUNTS))
def test_each_field_of_each_object_can_be_read_and_sent(what: str) -> None:
    asked = Asked()
    asked.submit(Make(name="x"))
    asked.queue.locks.seize("1", (Lock(Level.NODE, "n1-uuid"),))
    fields = list(resources()[what].fields)
    response = now(asked.answers.query(what, fields, None))
    assert [field["name"] for field in response["fields"]] == fields
    assert bool(response["data"]) == (what not in ("filter", "extstorage"))
    for row in msgspec.json.decode(msgspec.json.encode(response))["data"]:
        assert all(len(cell) == 2 and cell[0] in (0, 2, 3, 4) for cell in row)
        assert all(cell[1] is None for cell in row if cell[0] != 0)


@pytest.mark.parametrize("what", sorted(COUNTS))
def test_titles_have_no_spaces_and_docs_no_full_stop(what: str) -> None:
    for field in resources()[what].fields.values():
        assert len(field.title.split()) == 1, field
        assert len(field.doc) > 1, field
        assert not field.doc.endswith("."), field
        assert field.kind in ("text", "bool", "number", "float", "unit", "timestamp", "other")


def test_no_field_is_a_hypervisor_parameter_of_the_cluster_only() -> None:
    assert not {f"hv/{name}" for name in GLOBAL_HVPARAMS} & set(resources()["instance"].fields)


# -- jobs and locks -----------------------------------------------------------------------------


def test_jobs() -> None:
    asked = Asked()
    number = asked.submit(Make(name="a", osparams_secret={"key": "hush"}), Make(name="b"))
    job = asked.queue.job(number)
    assert job is not None
    asked.queue.say(job, 0, "working")
    fields = ("id", "status", "summary", "opstatus", "received_ts", "start_ts", "oplog")
    assert asked.row("job", number, *fields) == [
        1,
        "queued",
        ["MAKE(a)", "MAKE(b)"],
        ["queued", "queued"],
        [1000, 250000],
        None,
        [[[1, [1000, 250000], "message", "working"]], []],
    ]
    (ops,) = asked.row("job", number, "ops")
    assert ops[0]["OP_ID"] == "OP_MAKE"
    assert ops[0]["osparams_secret"] == {"key": "<redacted>"}
    assert "size" not in ops[0]
    assert "hush" not in str(asked.row("job", number, *resources()["job"].fields))
    end = Event(kind=Kind.END, opcode=0, time=1002.5, status=JobStatus.SUCCESS, output=[1])
    now(asked.queue.append(job, [end]))
    assert asked.row("job", number, "status", "opresult", "opend") == [
        "running",
        [[1], None],
        [[1002, 500000], None],
    ]


def test_jobs_that_are_not_there() -> None:
    asked = Asked()
    assert now(asked.answers.job_rows([5], ["id"])) == [None]
    assert now(asked.answers.query("job", ["id", "status"], ["=", "id", 5]))["data"] == [
        [(0, 5), (Status.UNAVAILABLE, None)]
    ]


def test_jobs_are_ordered_by_number_and_found_by_text() -> None:
    asked = Asked()
    for number in range(12):
        asked.submit(Make(name=str(number)))
    data = now(asked.answers.query("job", ["id"], None))["data"]
    assert [row[0][1] for row in data] == list(range(1, 13))
    found = now(asked.answers.query("job", ["id"], ["|", ["=", "id", "12"], ["=", "id", 3]]))[
        "data"
    ]
    assert [row[0][1] for row in found] == [12, 3]
    recent = now(asked.answers.query("job", ["id"], [">=", "received_ts", 1000]))["data"]
    assert len(recent) == 12
    assert now(asked.answers.query("job", ["id"], ["<", "received_ts", 1000.2]))["data"] == []


def test_locks() -> None:
    asked = Asked()
    table = asked.queue.locks
    now(table.acquire("3", (Lock(Level.NODE, "n1-uuid", True),)))
    data = now(asked.answers.query("lock", ["name", "mode", "owner", "pending"], None))["data"]
    assert data == [[(0, "node/n1-uuid"), (0, "shared"), (0, ["3"]), (Status.UNAVAILABLE, None)]]


# -- unknown fields and kinds -------------------------------------------------------------------


def test_an_unknown_field_is_shown_as_such_in_every_row() -> None:
    response = now(Asked().answers.query("node", ["name", "nosuch"], None))
    assert response["fields"][1] == {
        "name": "nosuch",
        "title": "nosuch",
        "kind": "unknown",
        "doc": "Unknown field 'nosuch'",
    }
    assert [row[1] for row in response["data"]] == [(Status.UNKNOWN, None)] * len(NODES)
    with pytest.raises(Refused, match="nosuch"):
        Asked().answers.rows("node", None, ["name", "nosuch"])


def test_fields_can_be_listed() -> None:
    fields = Asked().answers.query_fields("node", None)["fields"]
    assert [field["name"] for field in fields] == sorted(resources()["node"].fields)
    (one,) = Asked().answers.query_fields("node", ["role"])["fields"]
    assert one["title"] == "Role"


def test_unknown_kinds_values_and_tags() -> None:
    answers = Asked().answers
    for call in (
        lambda: now(answers.query("nosuch", [], None)),
        lambda: answers.config_values(["nosuch"]),
        lambda: answers.tags("nosuch", None),
        lambda: answers.tags("node", None),
        lambda: now(answers.query("node", ["x"] * 2000, None)),
    ):
        with pytest.raises(Refused):
            call()


# -- the cluster --------------------------------------------------------------------------------

INFO_KEYS = {
    "software_version",
    "protocol_version",
    "config_version",
    "os_api_version",
    "export_version",
    "vcs_version",
    "architecture",
    "name",
    "master",
    "default_hypervisor",
    "enabled_hypervisors",
    "hvparams",
    "os_hvp",
    "beparams",
    "osparams",
    "ipolicy",
    "nicparams",
    "ndparams",
    "diskparams",
    "candidate_pool_size",
    "max_running_jobs",
    "max_tracked_jobs",
    "job_archive_age",
    "mac_prefix",
    "master_netdev",
    "master_netmask",
    "use_external_mip_script",
    "volume_group_name",
    "drbd_usermode_helper",
    "file_storage_dir",
    "shared_file_storage_dir",
    "gluster_storage_dir",
    "maintain_node_health",
    "ctime",
    "mtime",
    "uuid",
    "tags",
    "uid_pool",
    "default_iallocator",
    "default_iallocator_params",
    "reserved_lvs",
    "primary_ip_version",
    "prealloc_wipe_disks",
    "hidden_os",
    "blacklisted_os",
    "enabled_disk_templates",
    "install_image",
    "instance_communication_network",
    "zeroing_image",
    "compression_tools",
    "enabled_user_shutdown",
    "enabled_data_collectors",
    "data_collector_interval",
    "modify_ssh_setup",
    "ssh_key_type",
    "ssh_key_bits",
    "vg_name",
    "drbd_helper",
}


def test_the_cluster_in_one_dictionary() -> None:
    info = Asked().answers.cluster_info()
    assert set(info) == INFO_KEYS
    assert info["master"] == "n1.example.com"
    assert info["default_hypervisor"] == "kvm"
    assert sorted(info["hvparams"]) == ["kvm", "memory"]
    assert info["hvparams"]["kvm"]["accel"] == "tcg"
    assert info["beparams"]["default"]["maxmem"] == 256
    assert info["ipolicy"]["vcpu-ratio"] == 8.0
    assert info["drbd_usermode_helper"] is None
    assert info["architecture"][0] in ("32bits", "64bits")


def test_values_and_tags() -> None:
    asked = Asked()
    now(asked.queue.set_drained(True))
    names = ["cluster_name", "master_node", "drain_flag", "watcher_pause"]
    assert asked.answers.config_values(names) == [
        "cluster.example.com",
        "n1.example.com",
        True,
        None,
    ]
    assert asked.answers.tags("cluster", None) == ["a", "b"]
    assert asked.answers.tags("instance", "web1") == ["t1", "t2"]
    assert asked.answers.tags("nodegroup", "default") == []
