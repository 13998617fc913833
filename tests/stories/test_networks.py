"""Networks: address pools, connections to node groups, cards that live in them; and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clusterd.model import Nic
from clusterd.opcodes.backup_export import BackupExport
from clusterd.opcodes.group_add import GroupAdd
from clusterd.opcodes.group_assign_nodes import GroupAssignNodes
from clusterd.opcodes.group_remove import GroupRemove
from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.instance_failover import InstanceFailover
from clusterd.opcodes.instance_migrate import InstanceMigrate
from clusterd.opcodes.instance_move import InstanceMove
from clusterd.opcodes.instance_recreate_disks import InstanceRecreateDisks
from clusterd.opcodes.instance_remove import InstanceRemove
from clusterd.opcodes.instance_replace_disks import InstanceReplaceDisks
from clusterd.opcodes.instance_set_params import InstanceSetParams
from clusterd.opcodes.network_add import NetworkAdd
from clusterd.opcodes.network_connect import NetworkConnect
from clusterd.opcodes.network_disconnect import NetworkDisconnect
from clusterd.opcodes.network_remove import NetworkRemove
from clusterd.opcodes.network_rename import NetworkRename
from clusterd.opcodes.network_set_params import NetworkSetParams
from clusterd.opcodes.node_evacuate import NodeEvacuate
from clusterd.opcodes.tags_set import TagsSet
from clusterd.simulation.scenario import create
from jobqueue.opcode import Opcode
from tests.stories.deeds import Deeds

NET = NetworkAdd(network_name="net1", network="192.0.2.0/29", gateway="192.0.2.1")


def connect(group: str = "default", **fields: Any) -> NetworkConnect:
    """``net1`` to a group."""
    usual = {"network_mode": "bridged", "network_link": "br0", "network_name": "net1"}
    return NetworkConnect(**{"group_name": group, **usual, **fields})


def guest(name: str, *cards: dict[str, Any], **fields: Any) -> InstanceCreate:
    """An instance without disks that does not run."""
    return create("diskless", start=False, instance_name=name, nics=cards, **fields)


def changed(*items: Any, **fields: Any) -> InstanceSetParams:
    """Modifications of the cards of web1."""
    return InstanceSetParams(instance_name="web1", nics=items, **fields)


TO_NODE3: dict[str, Any] = {"instance_name": "web1", "target_node": "node3"}

POOLED = {"network": "net1", "ip": "pool"}


@pytest.fixture
def deeds(tmp_path: Path) -> Deeds:
    made = Deeds(tmp_path)
    made.done(NET, connect())
    return made


def cards(deeds: Deeds, name: str) -> tuple[Nic, ...]:
    """The network cards of an instance."""
    return deeds.configuration.instance(name).nics


def ips(deeds: Deeds, name: str) -> list[str | None]:
    """Their addresses."""
    return [card.ip for card in cards(deeds, name)]


def used(deeds: Deeds, name: str = "net1") -> str:
    """The map of a network."""
    return str(deeds.row("network", name, "map")[0])


def test_the_life_of_a_network(tmp_path: Path) -> None:
    deeds = Deeds(tmp_path, nodes=2)
    paths = ("add", "modify", "rename", "remove", "connect", "disconnect")
    deeds.watches(*(f"network-{path}" for path in paths))
    deeds.done(
        NetworkAdd(
            network_name="net1",
            network="192.0.2.0/28",
            gateway="192.0.2.1",
            network6="2001:db8::/64",
            gateway6="2001:db8::1",
            mac_prefix="AA:00:55",
            add_reserved_ips=("192.0.2.9",),
            tags=("dmz", "a"),
        )
    )
    block = {
        "NETWORK_NAME": "net1",
        "NETWORK_TAGS": "a dmz",
        "NETWORK_SUBNET": "192.0.2.0/28",
        "NETWORK_GATEWAY": "192.0.2.1",
        "NETWORK_SUBNET6": "2001:db8::/64",
        "NETWORK_GATEWAY6": "2001:db8::1",
        "NETWORK_MAC_PREFIX": "aa:00:55",
    }
    assert {**deeds.hooked[0][2], **block} == deeds.hooked[0][2]
    assert deeds.hooked[0][2]["OBJECT_TYPE"] == "NETWORK"
    assert deeds.ran() == [("node1", "network-add-pre.d"), ("node1", "network-add-post.d")]
    assert used(deeds) == "XX.......X.....X"
    deeds.done(
        NetworkSetParams(
            network_name="net1",
            gateway="192.0.2.2",
            gateway6="none",
            network6="none",
            mac_prefix="none",
            add_reserved_ips=("192.0.2.9", "192.0.2.10"),
            remove_reserved_ips=("192.0.2.2", "192.0.2.9", "192.0.2.0"),
        )
    )
    assert used(deeds) == "X.X.......X....X"
    found = deeds.configuration.network("net1")
    assert (found.gateway, found.network6, found.gateway6, found.mac_prefix) == (
        "192.0.2.2",
        None,
        None,
        None,
    )
    deeds.done(connect())
    (env,) = [env for _, place, env in deeds.hooked if place == "network-connect-pre.d"][:1]
    assert (env["GROUP_NAME"], env["GROUP_NETWORK_MODE"]) == ("default", "bridged")
    assert (env["GROUP_NETWORK_LINK"], env["GROUP_NETWORK_VLAN"]) == ("br0", "")
    deeds.hooked.clear()
    deeds.done(connect())
    assert deeds.done(NetworkRename(network_name="net1", new_name="net2")) == "net2"
    assert deeds.ran()[-4:] == [
        (node, f"network-rename-{phase}.d")
        for phase in ("pre", "post")
        for node in ("node1", "node2")
    ]
    deeds.done(NetworkDisconnect(group_name="default", network_name="net2"))
    deeds.done(NetworkDisconnect(group_name="default", network_name="net2"))
    deeds.hooked.clear()
    deeds.done(NetworkRemove(network_name="net2"))
    assert deeds.ran() == [("node1", "network-remove-pre.d"), ("node1", "network-remove-post.d")]
    assert list(deeds.configuration.networks()) == []


def test_cards_take_addresses_from_the_pool_and_give_them_back(deeds: Deeds) -> None:
    deeds.done(TagsSet(kind="network", name="net1", tags=("dmz",)))
    deeds.watches("instance-add")
    deeds.done(guest("web1", POOLED, {"network": "net1", "ip": "192.0.2.5"}, {"network": "net1"}))
    assert ips(deeds, "web1") == ["192.0.2.2", "192.0.2.5", None]
    assert [card.params for card in cards(deeds, "web1")] == [
        {"mode": "bridged", "link": "br0", "vlan": ""}
    ] * 3
    env = deeds.hooked[-1][2]
    assert env["INSTANCE_NIC0_MAC"] == cards(deeds, "web1")[0].mac
    assert deeds.hooked[0][2]["INSTANCE_NIC0_IP"] == "pool"
    assert (env["INSTANCE_NIC0_IP"], env["INSTANCE_NIC0_NETWORK_NAME"]) == ("192.0.2.2", "net1")
    assert env["INSTANCE_NIC0_NETWORK_TAGS"] == "dmz"
    assert env["INSTANCE_NIC0_NETWORK_SUBNET"] == "192.0.2.0/29"
    assert env["INSTANCE_NIC0_NETWORK_UUID"] == deeds.configuration.network("net1").uuid
    deeds.done(guest("web2", POOLED, POOLED))
    assert ips(deeds, "web2") == ["192.0.2.3", "192.0.2.4"]
    assert used(deeds) == "XXXXXX.X"
    deeds.done(guest("web3", POOLED))
    deeds.refused(guest("web4", POOLED), "insufficient_resources", "net1", "no free address")
    deeds.done(InstanceRemove(instance_name="web2"), guest("web4", POOLED))
    assert ips(deeds, "web4") == ["192.0.2.3"]
    deeds.done(NetworkSetParams(network_name="net1", mac_prefix="aa:11:22"))
    deeds.done(InstanceRemove(instance_name="web4"), guest("web5", POOLED))
    assert cards(deeds, "web5")[0].mac.startswith("aa:11:22:")


def test_cards_are_changed(deeds: Deeds) -> None:
    deeds.done(guest("web1", {"ip": "198.51.100.7"}, POOLED))
    deeds.done(changed(("modify", 1, {"ip": "192.0.2.6"})))
    assert ips(deeds, "web1") == ["198.51.100.7", "192.0.2.6"]
    assert used(deeds) == "XX....XX"
    net1 = deeds.configuration.network("net1").uuid
    assert not deeds.configuration.claims.numbers("address", net1)
    deeds.done(changed(("modify", 1, {"name": "lan"}), ("add", -1, POOLED)))
    assert ips(deeds, "web1") == ["198.51.100.7", "192.0.2.6", "192.0.2.2"]
    # a card that leaves the network keeps its wire, not its address
    deeds.done(changed(("modify", 1, {"network": "none"}), ("remove", 2, {})))
    left = cards(deeds, "web1")[1]
    assert (left.ip, left.network, left.params["link"]) == (None, None, "br0")
    assert used(deeds) == "XX.....X"
    deeds.done(changed(("modify", 1, {"network": "net1", "ip": "pool", "mode": "", "link": ""})))
    assert ips(deeds, "web1")[1] == "192.0.2.2"
    deeds.refused(
        NetworkSetParams(network_name="net1", add_reserved_ips=("192.0.2.2",)),
        "wrong_state",
        "web1",
    )
    deeds.refused(NetworkSetParams(network_name="net1", gateway="192.0.2.2"), "wrong_state", "web1")


def test_what_is_refused_of_cards(deeds: Deeds) -> None:
    deeds.done(NetworkAdd(network_name="net2", network="198.51.100.0/24"))
    deeds.done(guest("web1", {"network": "net1", "ip": "192.0.2.3"}))
    for card, code, says in (
        ({"ip": "pool"}, "wrong_input", "network must be given"),
        ({**POOLED, "link": "br0"}, "wrong_input", "leave out link"),
        ({**POOLED, "network": "net9"}, "unknown_entity", "net9"),
        ({**POOLED, "network": "net2"}, "wrong_input", "not connected"),
        ({**POOLED, "ip": "198.51.100.1"}, "resource_not_unique", "does not belong"),
        ({**POOLED, "ip": "2001:db8::1"}, "resource_not_unique", "does not belong"),
        ({**POOLED, "ip": "192.0.2.3"}, "resource_not_unique", "web1"),
        ({**POOLED, "ip": "192.0.2.1"}, "resource_not_unique", "reserved"),
        ({"ip": "192.0.2.4"}, "wrong_state", "belongs to network net1"),
    ):
        deeds.refused(guest("web2", card), code, says)
        deeds.refused(changed(("add", -1, card)), code, says if says != "web1" else "two cards")
    twice = {"network": "net1", "ip": "192.0.2.4"}
    deeds.refused(guest("web2", twice, twice), "resource_not_unique", "two cards")
    deeds.done(guest("web2", {"ip": "192.0.2.4"}, conflicts_check=False))
    deeds.done(guest("web3", {"network": "net1", "ip": "192.0.2.1"}, conflicts_check=False))


def test_what_is_refused_of_networks(deeds: Deeds) -> None:
    def add(**fields: Any) -> NetworkAdd:
        return NetworkAdd(**{"network_name": "net2", "network": "198.51.100.0/24", **fields})

    deeds.refused(NET, "already_exists", "net1")
    for fields, says in (
        ({"network": "198.51.100.0/31"}, "/30"),
        ({"network": "10.0.0.0/8"}, "/16"),
        ({"network": "198.51.100.7/24"}, "host bits"),
        ({"network": "2001:db8::/64"}, "Invalid network"),
        ({"gateway": "192.0.2.1"}, "192.0.2.1"),
        ({"gateway": "198.51.100.255"}, "no address of a host"),
        ({"gateway": "x"}, "'x'"),
        ({"network6": "x"}, "IPv6"),
        ({"gateway6": "2001:db8::1"}, "missing"),
        ({"network6": "2001:db8::/64", "gateway6": "2001:db9::1"}, "2001:db9::1"),
        ({"mac_prefix": "aa:bb"}, "prefix"),
        ({"mac_prefix": "01:bb:cc"}, "prefix"),
        ({"add_reserved_ips": ("192.0.2.1",)}, "192.0.2.1"),
        ({"tags": ("a b",)}, "Invalid tag"),
    ):
        deeds.refused(add(**fields), "wrong_input", says)
    deeds.refused(NetworkSetParams(network_name="net1"), "wrong_input", "at least one")
    deeds.refused(NetworkSetParams(network_name="x", gateway="none"), "unknown_entity", "'x'")
    deeds.refused(NetworkRemove(network_name="net1"), "wrong_state", "default", "disconnect")
    deeds.refused(NetworkRename(network_name="net1", new_name="net1"), "already_exists", "net1")
    deeds.refused(connect(network_link="br9"), "wrong_state", "already mapped", "br0")
    deeds.refused(connect("x"), "unknown_entity", "'x'")


def test_a_network_in_use_stays_connected(tmp_path: Path) -> None:
    deeds = Deeds(tmp_path, nodes=2)
    deeds.done(
        NET,
        GroupAdd(group_name="rack2"),
        guest("web1", {"ip": "192.0.2.4"}),
    )
    deeds.refused(connect(), "wrong_state", "web1", "192.0.2.4", "card 0")
    deeds.done(connect("rack2"), connect(conflicts_check=False))
    deeds.done(guest("web2", POOLED))
    leave = NetworkDisconnect(group_name="default", network_name="net1")
    deeds.refused(leave, "wrong_state", "web2", "192.0.2.2")
    deeds.done(NetworkDisconnect(group_name="rack2", network_name="net1"))
    deeds.done(connect("rack2"))
    deeds.refused(GroupRemove(group_name="rack2"), "wrong_state", "net1", "disconnect")
    deeds.done(InstanceRemove(instance_name="web2"), leave)


def test_a_card_is_wired_as_its_network_is_where_it_comes(tmp_path: Path) -> None:
    deeds = Deeds(tmp_path, nodes=2)
    deeds.cluster.hosts["node2"].place_bridge("br7")
    deeds.done(
        NET,
        GroupAdd(group_name="rack2"),
        GroupAssignNodes(group_name="rack2", nodes=("node2",)),
        connect(),
        connect("rack2", network_link="br7"),
        create("sharedfile", nics=(POOLED,)),
        InstanceFailover(instance_name="web1", target_node="node2"),
    )
    assert cards(deeds, "web1")[0].params["link"] == "br7"
    (resident,) = deeds.cluster.room.machine("node2").residents.values()
    assert resident.guest.nics[0].link == "br7"


APART = ("web1", "net1", "rack2", "node3", "gnt-network connect net1 rack2")


@pytest.mark.parametrize(
    ("made", "asked"),
    [
        (create("sharedfile", nics=(POOLED,)), InstanceMigrate(**TO_NODE3)),
        (create("sharedfile", nics=(POOLED,)), InstanceMigrate(**TO_NODE3, ignore_ipolicy=True)),
        (create("sharedfile", nics=(POOLED,)), InstanceFailover(**TO_NODE3)),
        (
            create("sharedfile", nics=(POOLED,), start=False),
            InstanceMigrate(**TO_NODE3, allow_failover=True),
        ),
        (create("plain", nics=({}, POOLED)), InstanceMigrate(**TO_NODE3)),
        (create("plain", nics=(POOLED,)), InstanceMove(**TO_NODE3)),
        (
            create("plain", nics=(POOLED,), start=False),
            InstanceSetParams(instance_name="web1", disk_template="drbd", remote_node="node3"),
        ),
        (
            create("plain", nics=(POOLED,), start=False),
            InstanceRecreateDisks(instance_name="web1", nodes=("node3",)),
        ),
        (
            create("drbd", nics=(POOLED,)),
            InstanceReplaceDisks(
                instance_name="web1", mode="replace_new_secondary", remote_node="node3"
            ),
        ),
        (
            create("drbd", nics=(POOLED,)),
            NodeEvacuate(node_name="node2", mode="secondary-only", remote_node="node3"),
        ),
    ],
)
def test_no_instance_goes_where_its_network_is_not(
    tmp_path: Path, made: Opcode, asked: Opcode
) -> None:
    deeds = split(tmp_path)
    deeds.done(made)
    deeds.refused(asked, "wrong_state", *APART)


def test_an_instance_goes_where_its_network_was_brought(tmp_path: Path) -> None:
    deeds = split(tmp_path)
    deeds.done(create("sharedfile", nics=(POOLED,)), create("plain", instance_name="web2"))
    # no card of it is in a network
    deeds.done(InstanceMove(instance_name="web2", target_node="node3"))
    deeds.refused(InstanceMigrate(**TO_NODE3), "wrong_state", *APART)
    deeds.done(connect("rack2"), InstanceMigrate(**TO_NODE3))
    assert deeds.configuration.instance("web1").primary_node == "node-node3"


def test_no_node_is_proposed_where_the_network_is_not(tmp_path: Path) -> None:
    deeds = split(tmp_path)
    deeds.done(
        create("sharedfile", nics=(POOLED,)),
        GroupAssignNodes(group_name="rack2", nodes=("node1", "node2")),
    )
    elsewhere = InstanceMigrate(instance_name="web1", iallocator="hail")
    deeds.refused(elsewhere, "insufficient_resources")
    deeds.done(connect("rack2"), elsewhere)
    assert deeds.configuration.instance("web1").primary_node != "node-node1"


def split(directory: Path) -> Deeds:
    """Two nodes in a group that the network is connected to, and a third one in another."""
    deeds = Deeds(directory, nodes=3)
    deeds.done(
        NET,
        GroupAdd(group_name="rack2"),
        GroupAssignNodes(group_name="rack2", nodes=("node3",)),
        connect(),
    )
    return deeds


def test_an_allocator_chooses_where_the_network_is(tmp_path: Path) -> None:
    deeds = Deeds(tmp_path, nodes=3)
    deeds.done(
        NET,
        GroupAdd(group_name="rack2"),
        GroupAssignNodes(group_name="rack2", nodes=("node2", "node3")),
    )
    wanted = guest("web1", POOLED, pnode=None, iallocator="hail")
    deeds.refused(wanted, "insufficient_resources", "network: 3")
    deeds.done(connect("rack2"), wanted)
    found = deeds.configuration.instance("web1")
    assert (
        deeds.configuration.node(found.primary_node).group
        == deeds.configuration.group("rack2").uuid
    )
    assert (found.nics[0].ip, found.nics[0].params["link"]) == ("192.0.2.2", "br0")


def test_an_imported_card_has_its_address_again_or_another(deeds: Deeds) -> None:
    deeds.done(
        create("plain", start=False, nics=({**POOLED, "name": "lan"}, {"network": "net1"})),
        BackupExport(instance_name="web1", target_node="node1", shutdown=False),
    )
    there = {"mode": "import", "src_node": "node1", "disks": (), "nics": (), "start": False}
    copy = create("plain", instance_name="web2", src_path="web1", **there)
    deeds.done(copy)
    assert ips(deeds, "web2") == ["192.0.2.3", None]
    assert [(card.name, card.network) for card in cards(deeds, "web2")] == [
        ("lan", deeds.configuration.network("net1").uuid),
        (None, deeds.configuration.network("net1").uuid),
    ]
    deeds.done(InstanceRemove(instance_name="web1"), create("plain", **there))
    assert ips(deeds, "web1") == ["192.0.2.2", None]
