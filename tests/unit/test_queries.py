"""Queries over a small cluster: fields, statuses, filters, order, unknown names."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterd.defaults import GLOBAL_HVPARAMS
from clusterd.model import AdminState
from clusterd.observation import Sighting
from clusterd.queries.answers import ClusterAnswers, resources
from clusterd.queries.evaluate import nice, query
from clusterd.queries.field import Status
from clusterd.queries.filters import requested_names
from clusterd.queries.instance_state import STATUSES
from clusterd.queries.sources import Sources
from hypervisors.guest import GuestState
from jobqueue.errors import Refused
from jobqueue.job import Status as JobStatus
from jobqueue.journal import Event, Kind
from jobqueue.locks import Level, Lock
from jobqueue.opcode import Opcode, OpcodeKind, Registry
from jobqueue.queue import JobQueue
from jobqueue.store.memory import MemoryStore
from tests.unit.driving import now
from tests.unit.small_cluster import (
    BROKEN,
    NODES,
    SmallCluster,
    guest,
    instance,
    observed,
)


class Make(Opcode, frozen=True, kw_only=True, tag="OP_MAKE"):
    """Make something."""

    name: str
    size: int | None = None
    osparams_secret: dict[str, str] | None = None


class Asked:
    """A small cluster that is asked."""

    def __init__(self, *more: Any) -> None:
        self.cluster = SmallCluster(*more)
        kind = OpcodeKind(opcode=Make, plan=lambda _o, _v: (), summary_field="name")
        self.queue = JobQueue(MemoryStore(), Registry([kind]), lambda: 1000.25)
        self.answers = ClusterAnswers(self.cluster.view, self.queue)

    def row(self, what: str, name: Any, *fields: str) -> list[Any]:
        """Plain values of one object."""
        (row,) = self.answers.rows(what, [name], fields)
        return list(row)

    def cell(self, what: str, name: Any, field: str) -> tuple[int, Any]:
        """One cell of one object."""
        key = resources()[what].key
        (row,) = self.answers.query(what, [field], ["=", key, name])["data"]
        return tuple(row[0])  # type: ignore[return-value]

    def names(self, qfilter: Any, what: str = "instance") -> list[str]:
        """Names that a filter passes, without their domain."""
        data = self.answers.query(what, ["name"], qfilter)["data"]
        return [row[0][1].split(".")[0] for row in data]

    def submit(self, *opcodes: Opcode) -> int:
        return now(self.queue.submit([opcodes], "uid:0"))[0]


# -- every field --------------------------------------------------------------------------------

COUNTS = {
    "cluster": 16,
    "export": 2,
    "extstorage": 4,
    "filter": 6,
    "group": 25,
    "instance": 292,
    "job": 16,
    "lock": 4,
    "network": 19,
    "node": 46,
    "os": 11,
}
"""Ganeti's fields."""


def test_each_kind_has_ganetis_fields() -> None:
    assert {what: len(resource.fields) for what, resource in resources().items()} == COUNTS


@pytest.mark.parametrize("what", sorted(COUNTS))
def test_each_field_of_each_object_can_be_read_and_sent(what: str) -> None:
    asked = Asked()
    asked.submit(Make(name="x"))
    asked.queue.locks.seize("1", (Lock(Level.NODE, "n1-uuid"),))
    fields = list(resources()[what].fields)
    response = asked.answers.query(what, fields, None)
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


# -- instances ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("web1", "running"),
        ("web2", "ADMIN_down"),
        ("web10", "running"),
        ("down1", "ERROR_down"),
        ("off1", "ADMIN_offline"),
        ("dark1", "ERROR_nodeoffline"),
        ("user1", "USER_down"),
        ("lost1", "ERROR_wrongnode"),
    ],
)
def test_the_status_compares_what_is_wanted_with_what_is_seen(name: str, status: str) -> None:
    assert Asked().row("instance", name, "status") == [status]


def test_a_guest_that_should_not_run() -> None:
    asked = Asked(instance("up1.example.com", admin_state=AdminState.DOWN))
    asked.cluster.watch.sights["n1.example.com"] = observed(
        "n1.example.com", guest("up1.example.com")
    )
    assert asked.row("instance", "up1", "status", "oper_ram") == ["ERROR_up", 256]


def test_a_crashed_guest_does_not_run() -> None:
    asked = Asked()
    asked.cluster.watch.sights["n1.example.com"] = observed(
        "n1.example.com", guest("web1.example.com", state=GuestState.CRASHED)
    )
    assert asked.row("instance", "web1", "status", "oper_state") == ["ERROR_down", False]


def test_a_guest_that_is_being_moved_is_where_it_should_be() -> None:
    moving = instance("move1.example.com", moving_to="n2-uuid")
    asked = Asked(moving)
    asked.cluster.watch.sights["n2.example.com"] = observed(
        "n2.example.com", guest("move1.example.com")
    )
    assert asked.row("instance", "move1", "status") == ["running"]


def test_every_status_word_is_reached() -> None:
    asked = Asked(instance("up1.example.com", admin_state=AdminState.DOWN))
    watch = asked.cluster.watch
    here = observed("n1.example.com", guest("web1.example.com"), guest("up1.example.com"))
    watch.sights["n1.example.com"] = here
    seen = {row[0] for row in asked.answers.rows("instance", None, ["status"])}
    watch.sights["n2.example.com"] = msgspec.structs.replace(
        watch.sights["n2.example.com"], connected=False
    )
    seen |= {row[0] for row in asked.answers.rows("instance", None, ["status"])}
    assert seen == set(STATUSES)


def test_live_values_say_why_they_are_missing() -> None:
    asked = Asked()
    for field in ("oper_state", "oper_ram", "oper_vcpus", "console"):
        assert asked.cell("instance", "dark1", field) == (Status.OFFLINE, None)
    asked.cluster.watch.sights["n1.example.com"] = Sighting()
    for field in ("oper_state", "oper_ram", "oper_vcpus", "console"):
        assert asked.cell("instance", "web1", field) == (Status.NODATA, None)
    for field in ("oper_ram", "oper_vcpus", "console"):
        assert Asked().cell("instance", "web2", field) == (Status.UNAVAILABLE, None)
    assert asked.cell("instance", "web2", "status") == (0, "ERROR_nodedown")


def test_a_hypervisor_that_does_not_answer_says_nothing_of_its_guests() -> None:
    asked = Asked()
    sight = asked.cluster.watch.sights["n1.example.com"]
    assert sight.observation is not None
    deaf = msgspec.structs.replace(sight.observation, guests={})
    asked.cluster.watch.sights["n1.example.com"] = msgspec.structs.replace(sight, observation=deaf)
    assert asked.cell("instance", "web1", "oper_state") == (Status.NODATA, None)


def test_disks_and_cards_by_position_and_as_lists() -> None:
    asked = Asked()
    assert asked.row("instance", "web1", "disk.sizes", "disk.size/1", "sdb_size", "disk.count") == [
        [1024, 512],
        512,
        512,
        2,
    ]
    assert asked.row("instance", "web1", "disk_usage", "disk_template") == [
        1024 + 512 + 256,
        "drbd",
    ]
    assert asked.row("instance", "web2", "disk_usage", "disk_template") == [0, "diskless"]
    assert asked.row("instance", "web1", "disk.names", "disk.uuid/0") == [[None, "data"], "d0"]
    assert asked.cell("instance", "web1", "disk.name/0") == (Status.UNAVAILABLE, None)
    assert asked.cell("instance", "web1", "disk.size/2") == (Status.UNAVAILABLE, None)
    fields = ("nic.ips", "nic.modes", "nic.links", "nic.bridges", "nic.networks.names", "nic.count")
    assert asked.row("instance", "web1", *fields) == [
        ["203.0.113.5", None],
        ["bridged", "routed"],
        ["xen-br0", "r0"],
        ["xen-br0", None],
        ["net1", None],
        2,
    ]
    aliases = ("ip", "mac", "bridge", "nic_mode", "nic_link", "nic_network")
    assert asked.row("instance", "web1", *aliases) == [
        "203.0.113.5",
        "aa:00:00:00:00:01",
        "xen-br0",
        "bridged",
        "xen-br0",
        "net-uuid",
    ]
    assert asked.row("instance", "web1", "custom_nicparams") == [
        [{}, {"mode": "routed", "link": "r0"}]
    ]


def test_parameters_are_filled_from_defaults_cluster_and_instance() -> None:
    asked = Asked()
    fields = ("be/maxmem", "be/memory", "be/minmem", "vcpus", "custom_beparams")
    assert asked.row("instance", "web1", *fields) == [256, 256, 128, 2, {"vcpus": 2}]
    hvparams, custom, acpi = asked.row("instance", "web1", "hvparams", "custom_hvparams", "hv/acpi")
    assert (hvparams["accel"], hvparams["disk_cache"], custom, acpi) == ("tcg", "default", {}, True)
    assert not set(GLOBAL_HVPARAMS) & set(hvparams)
    assert asked.cell("instance", "web1", "hv/pae") == (Status.UNAVAILABLE, None)
    assert asked.row("instance", "web1", "osparams", "custom_osparams") == [
        {"colour": "red", "size": "big"},
        {"size": "big"},
    ]


def test_nodes_and_groups_of_an_instance() -> None:
    fields = ("pnode", "snodes", "pnode.group", "snodes.group", "snodes.group.uuid")
    assert Asked().row("instance", "web1", *fields) == [
        "n1.example.com",
        ["n2.example.com"],
        "default",
        ["default"],
        ["g1-uuid"],
    ]


def test_the_console_says_how() -> None:
    asked = Asked(instance("m1.example.com", hypervisor="memory"))
    (console,) = asked.row("instance", "web1", "console")
    assert (console["kind"], console["host"], console["instance"]) == (
        "ssh",
        "n1.example.com",
        "web1.example.com",
    )
    assert console["command"][-1] == "web1.example.com"
    (none,) = asked.row("instance", "m1", "console")
    assert none is None


@pytest.mark.parametrize(
    ("hvparams", "expected"),
    [
        (
            {"serial_console": False, "vnc_bind_address": "0.0.0.0"},
            {"kind": "vnc", "host": "192.0.2.1", "port": 11001, "display": 5101},
        ),
        (
            {"serial_console": False, "spice_bind": "127.0.0.1"},
            {"kind": "spice", "host": "127.0.0.1", "port": 11001},
        ),
        ({"serial_console": False}, {"kind": "msg"}),
    ],
)
def test_graphical_consoles(hvparams: Any, expected: dict[str, Any]) -> None:
    asked = Asked(instance("vnc1.example.com", hvparams=hvparams, network_port=11001))
    asked.cluster.watch.sights["n1.example.com"] = observed(
        "n1.example.com", guest("vnc1.example.com")
    )
    (console,) = asked.row("instance", "vnc1", "console")
    assert {name: console.get(name) for name in expected} == expected


def test_an_instance_that_is_still_being_made_is_not_there() -> None:
    asked = Asked()
    assert "new1" not in asked.names(None)
    with pytest.raises(Refused) as caught:
        asked.row("instance", "new1", "name")
    assert caught.value.reason == "unknown_entity"
    assert "new1.example.com" not in asked.row("node", "n1", "pinst_list")[0]


# -- nodes, groups, networks, OS ---------------------------------------------------------------


def test_roles() -> None:
    asked = Asked()
    assert [asked.row("node", name, "role")[0] for name in ("n1", "n2", "n3")] == ["M", "R", "O"]
    for change, letter in (
        ({"master_candidate": True}, "C"),
        ({"drained": True}, "D"),
        ({"offline": True}, "O"),
    ):
        found = asked.cluster.configuration.node("n2")
        asked.cluster.commit(asked.cluster.configuration.changed(found, 1.0, **change))
        assert asked.row("node", "n2", "role") == [letter]


def test_live_values_of_nodes() -> None:
    asked = Asked()
    fields = ("mtotal", "mfree", "mnode", "dtotal", "dfree", "ctotal", "csockets", "bootid")
    assert asked.row("node", "n1", *fields) == [
        4096,
        3000,
        200,
        9000,
        5000,
        4,
        1,
        "boot-n1.example.com",
    ]
    for field in fields:
        assert asked.cell("node", "n3", field) == (Status.OFFLINE, None)
    asked.cluster.watch.sights["n1.example.com"] = Sighting()
    for field in fields:
        assert asked.cell("node", "n1", field) == (Status.NODATA, None)
    found = asked.cluster.configuration.node("n2")
    asked.cluster.commit(asked.cluster.configuration.changed(found, 1.0, vm_capable=False))
    for field in fields:
        assert asked.cell("node", "n2", field) == (Status.UNAVAILABLE, None)


def test_instances_of_nodes() -> None:
    asked = Asked()
    assert asked.row("node", "n2", "pinst_list", "pinst_cnt", "sinst_list", "sinst_cnt") == [
        ["web10.example.com"],
        1,
        ["web1.example.com"],
        1,
    ]


def test_node_parameters_come_from_defaults_group_and_node() -> None:
    asked = Asked()
    assert asked.row("node", "n1", "ndp/spindle_count", "ndp/ssh_port", "custom_ndparams") == [
        7,
        22,
        {},
    ]
    assert asked.row("group", "rack2", "ndp/spindle_count") == [1]


def test_groups() -> None:
    asked = Asked()
    assert asked.row("group", "default", "node_cnt", "node_list", "pinst_cnt", "alloc_policy") == [
        2,
        ["n1.example.com", "n2.example.com"],
        7,
        "preferred",
    ]
    policy, own = asked.row("group", "rack2", "ipolicy", "custom_ipolicy")
    assert (policy["vcpu-ratio"], policy["spindle-ratio"], own) == (8.0, 32.0, {})
    assert asked.row("group", "g2-uuid", "name") == ["rack2"]


def test_networks() -> None:
    fields = ("map", "free_count", "reserved_count", "inst_list", "external_reservations")
    assert Asked().row("network", "net1", *fields) == [
        "XX...X.........X",
        12,
        4,
        ["web1.example.com"],
        "203.0.113.0, 203.0.113.1, 203.0.113.15",
    ]


def test_an_os_is_what_all_nodes_have() -> None:
    asked = Asked()
    assert asked.row("os", "noop", "valid", "variants", "api_versions", "parameters") == [
        True,
        ["default"],
        [20],
        [],
    ]
    assert asked.row("os", "broken", "valid", "variants") == [False, []]
    assert asked.row("os", "secret", "hidden", "blacklisted") == [True, False]
    (status,) = asked.row("os", "broken", "node_status")
    assert status["n1.example.com"][0][:3] == [BROKEN.path, False, "no create script"]


def test_an_os_that_a_node_lacks_is_not_valid() -> None:
    asked = Asked()
    asked.cluster.watch.sights["n2.example.com"] = observed("n2.example.com")
    assert asked.row("os", "noop", "valid") == [False]


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
    assert asked.answers.job_rows([5], ["id"]) == [None]
    assert asked.answers.query("job", ["id", "status"], ["=", "id", 5])["data"] == [
        [(0, 5), (Status.NODATA, None)]
    ]


def test_jobs_are_ordered_by_number_and_found_by_text() -> None:
    asked = Asked()
    for number in range(12):
        asked.submit(Make(name=str(number)))
    data = asked.answers.query("job", ["id"], None)["data"]
    assert [row[0][1] for row in data] == list(range(1, 13))
    found = asked.answers.query("job", ["id"], ["|", ["=", "id", "12"], ["=", "id", 3]])["data"]
    assert [row[0][1] for row in found] == [12, 3]
    recent = asked.answers.query("job", ["id"], [">=", "received_ts", 1000])["data"]
    assert len(recent) == 12
    assert asked.answers.query("job", ["id"], ["<", "received_ts", 1000.2])["data"] == []


def test_locks() -> None:
    asked = Asked()
    table = asked.queue.locks
    now(table.acquire("3", (Lock(Level.NODE, "n1-uuid", True),)))
    data = asked.answers.query("lock", ["name", "mode", "owner", "pending"], None)["data"]
    assert data == [[(0, "node/n1-uuid"), (0, "shared"), (0, ["3"]), (Status.UNAVAILABLE, None)]]


# -- filters and order --------------------------------------------------------------------------


def test_rows_come_in_a_nice_order() -> None:
    assert Asked().names(["=~", "name", "^web"]) == ["web1", "web2", "web10"]


def test_names_that_are_asked_for_come_in_that_order_each_once() -> None:
    wanted = ["|", ["=", "name", "web2"], ["==", "name", "web1.example.com"], ["=", "name", "web2"]]
    assert Asked().names(wanted) == ["web2", "web1"]


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refused, match="Instance name nosuch not found") as caught:
        Asked().names(["=", "name", "nosuch"])
    assert caught.value.reason == "unknown_entity"


@pytest.mark.parametrize(
    ("qfilter", "names"),
    [
        (["&", ["=", "pnode", "n2"], ["?", "admin_up"]], ["web10"]),
        (["!", ["=", "pnode", "n1"]], ["dark1", "web10"]),
        (["!=", "pnode", "n1.example.com"], ["dark1", "web10"]),
        (["=[]", "tags", "t1"], ["web1"]),
        (["=[]", "snodes", "n2.example.com"], ["web1"]),
        ([">", "be/vcpus", 1], ["web1"]),
        (["<=", "disk_usage", 0], ["dark1", "down1", "lost1", "off1", "user1", "web2", "web10"]),
        (["=", "status", "ERROR_down"], ["down1"]),
        (["&", ["=", "admin_state", "up"], [">=", "name", "web"]], ["web1", "web10"]),
        (["=", "admin_up", 1], []),
        (["|", ["=", "os", "x"], ["=", "status", "ADMIN_down"]], ["web2"]),
    ],
)
def test_filters(qfilter: Any, names: list[str]) -> None:
    assert Asked().names(qfilter) == names


def test_what_is_not_known_passes_a_comparison() -> None:
    names = Asked().names(["=", "oper_ram", 512])
    assert {"dark1", "web10"} <= set(names)
    assert "web1" not in names


@pytest.mark.parametrize(
    "qfilter",
    [
        [],
        "name",
        {"a": 1},
        ["?"],
        ["?", "nosuch"],
        ["=", "name"],
        ["=", 5, "x"],
        ["&"],
        ["%", "name", "x"],
        ["<", "name", 5],
        ["=~", "name", "("],
        ["=~", "name", "x" * 2000],
        ["=[]", "name", "x"],
        ["!", ["!", []]],
    ],
)
def test_what_is_no_filter_is_refused(qfilter: Any) -> None:
    with pytest.raises(Refused) as caught:
        Asked().names(qfilter)
    assert caught.value.reason == "wrong_input"


def test_a_filter_has_a_depth() -> None:
    deep: Any = ["?", "admin_up"]
    for _ in range(200):
        deep = ["!", deep]
    with pytest.raises(Refused, match="nested"):
        Asked().names(deep)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["name", "|"]),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_filter_or_refused(qfilter: Any) -> None:
    with suppress(Refused):
        ASKED.answers.query("instance", ["name"], qfilter)


ASKED = Asked()


@given(st.lists(st.sampled_from(["web1", "web2", "off1", "down1"]), min_size=1))
def test_requested_names_keep_their_order(names: list[str]) -> None:
    qfilter = ["|", *(["=", "name", name] for name in names)]
    assert requested_names(qfilter, "name") == list(dict.fromkeys(names))
    assert ASKED.names(qfilter) == list(dict.fromkeys(names))


def test_a_query_by_name_does_not_walk_over_the_cluster() -> None:
    sources = Sources(SmallCluster().view(), ASKED.queue)
    walked: list[str] = []

    def walk(_sources: Sources) -> tuple[Any, ...]:
        walked.append("all")
        return ()

    watched = msgspec.structs.replace(resources()["instance"], all=walk)
    response = query(watched, sources, ["name"], ["=", "name", "web1.example.com"])
    assert len(response["data"]) == 1
    assert walked == []
    query(watched, sources, ["name"], ["=~", "name", "web1"])
    assert walked == ["all"]


@given(st.lists(st.from_regex(r"[a-z]{0,2}[0-9]{0,3}[a-z]?", fullmatch=True)))
def test_the_nice_order_is_an_order(names: list[str]) -> None:
    ordered = sorted(names, key=nice)
    assert sorted(ordered, key=nice) == ordered
    assert sorted(["n10", "n9", "n1a", "n"], key=nice) == ["n", "n1a", "n9", "n10"]


# -- unknown fields and kinds -------------------------------------------------------------------


def test_an_unknown_field_is_shown_as_such_in_every_row() -> None:
    response = Asked().answers.query("node", ["name", "nosuch"], None)
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
        lambda: answers.query("nosuch", [], None),
        lambda: answers.config_values(["nosuch"]),
        lambda: answers.tags("nosuch", None),
        lambda: answers.tags("node", None),
        lambda: answers.query("node", ["x"] * 2000, None),
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
