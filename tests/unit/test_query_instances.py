"""Instances, nodes, groups, networks and OS definitions as they are queried."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clusterd.defaults import GLOBAL_HVPARAMS
from clusterd.model import AdminState
from clusterd.observation import Sighting
from clusterd.queries.field import Status
from clusterd.queries.instance_state import STATUSES
from hypervisors.guest import GuestState
from jobqueue.errors import Refused
from tests.unit.asked import Asked
from tests.unit.small_cluster import (
    BROKEN,
    guest,
    instance,
    observed,
)

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


def test_a_network_tells_the_groups_that_reach_it() -> None:
    found = Asked().row("network", "net1", "group_cnt", "group_list")
    assert found == [1, [["default", "bridged", "br7", ""]]]
