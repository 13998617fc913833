"""An operator asks a live cluster what would be: by commands at the door of a simulated one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cli.main import run
from cli.simulating import SimulatedSession
from clusterd.configuration import key_of
from clusterd.model import Group, Network
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.door import SimulatedDoor
from clusterd.simulation.founded import Blueprint, Founded
from clusterd.simulation.scenarios import create
from jobqueue.job import Status
from jobqueue.store.interface import Entry

NODES = ("node1", "node2", "node3", "node4")
FAR = Group(uuid="group-far", name="far")
NET = Network(uuid="net-uuid", name="net1", network="203.0.113.0/28")


def with_racks(cluster: SimulatedCluster) -> Founded:
    """What the cluster would be with a rack of two nodes, a second group with one node, and a
    network that only the first group reaches."""
    founded = cluster.founded()
    entries = dict(founded.entries)

    def put(value: Any) -> None:
        key = key_of(value)
        entries[key] = Entry(key, msgspec.json.encode(value), founded.revision)

    configuration = cluster.master.configuration
    (group,) = configuration.groups()
    put(msgspec.structs.replace(group, networks={NET.uuid: {"mode": "bridged", "link": "br0"}}))
    put(FAR)
    put(NET)
    for node in configuration.nodes():
        tags = ("rack:a",) if node.name in NODES[:2] else ()
        where = FAR.uuid if node.name == "node4" else node.group
        put(msgspec.structs.replace(node, tags=tags, group=where))
    web1 = configuration.instance("web1")
    put(
        msgspec.structs.replace(
            web1,
            nics=tuple(msgspec.structs.replace(one, network=NET.uuid) for one in web1.nics),
        )
    )
    return msgspec.structs.replace(founded, entries=entries)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> SimulatedCluster:
    """web1 is mirrored on node1 and node2, web2 on node1 and node3, web3 is on node2 alone."""
    first = SimulatedCluster(tmp_path_factory.mktemp("first"), Blueprint(nodes=NODES))
    first.wait_for_nodes()
    for opcode in (
        create("drbd"),
        create("drbd", instance_name="web2", snode="node3"),
        create("plain", instance_name="web3", pnode="node2"),
    ):
        assert first.run(opcode).status is Status.SUCCESS
    first.clock.run(30.0)
    blueprint = Blueprint(nodes=NODES, founded=with_racks(first))
    cluster = SimulatedCluster(tmp_path_factory.mktemp("live"), blueprint)
    assert cluster.wait_for_nodes()
    cluster.clock.run(30.0)
    return cluster


def asked(live: SimulatedCluster, tool: str, *words: str) -> tuple[int, list[str]]:
    """A command's exit code and what it says."""
    door = SimulatedDoor(live, 7200.0)
    door.begin()
    session = SimulatedSession(door, live.clock, {})
    return run(tool, words, session), session.lines


def capacity(live: SimulatedCluster, *words: str) -> tuple[int, list[str]]:
    return asked(live, "cluster", "capacity", "-t", "drbd", "--limit", "2", *words)


def fits(lines: list[str]) -> int:
    """How many of the standard size."""
    (line,) = [one for one in lines if one.startswith("Of the standard size")]
    return int(line.split(": ")[1].split()[0])


def test_what_the_loss_of_a_node_brings(live: SimulatedCluster) -> None:
    code, lines = capacity(live, "--without-node", "node1")
    assert code == 0
    assert lines[0] == "Without node1:"
    assert "  web1 restarts on node2" in lines
    assert "  web2 restarts on node3" in lines
    assert "  2 instances run on without their mirror: web1, web2" in lines
    assert fits(lines) == 2


def test_what_the_loss_of_a_rack_brings(live: SimulatedCluster) -> None:
    code, lines = capacity(live, "--without-rack", "rack:a")
    assert (code, fits(lines)) == (0, 0)
    assert lines[:5] == [
        "Without node1, node2:",
        "  web2 restarts on node3",
        "  web1 is lost: its mirror on node2 is lost or offline, too",
        "  web3 is lost: its disks are on node2 only",
        "  1 instances run on without their mirror: web2",
    ]
    code, lines = capacity(live, "--without-rack", "rack:z")
    assert (code, "rack:z" in lines[-1]) == (1, True)


def test_what_the_loss_of_a_group_brings(live: SimulatedCluster) -> None:
    code, lines = capacity(live, "--without-group", "default")
    assert (code, lines[0]) == (0, "Without node1, node2, node3:")
    assert sum(" is lost: " in line for line in lines) == 3
    code, lines = capacity(live, "--without-group", "far")
    assert (code, lines[0], fits(lines)) == (0, "Without node4:", 2)


def test_what_more_nodes_bring_and_whether_forty_fit(live: SimulatedCluster) -> None:
    forty = ("--add", "40:memory=4g,disk=4g,vcpus=1,template=drbd")
    code, lines = asked(live, "cluster", "capacity", *forty)
    assert code == 1
    assert 0 < int(lines[0].split()[0]) < 40
    assert "the next does not: No place for new-" in lines[-1]
    code, lines = asked(live, "cluster", "capacity", *forty, "--add-nodes", "20")
    assert (code, lines[0]) == (0, "40 of 40 instances fit (drbd):")
    assert any(" on new-node-" in line for line in lines)
    code, lines = capacity(live, "--without-node", "node1", "--add-nodes", "2", *forty)
    assert (code, lines[0]) == (1, "Without node1:")
    assert "  web1 restarts on node2" in lines
    assert len(list(live.master.configuration.nodes())) == 4, "nothing is changed"
    assert {one.primary_node for one in live.master.configuration.instances()} == {
        "node-node1",
        "node-node2",
    }


def test_health_reboots_and_moves_of_a_live_cluster(live: SimulatedCluster) -> None:
    code, lines = asked(live, "cluster", "check")
    assert (code, lines[-1]) == (0, "The cluster is healthy")
    code, lines = asked(live, "cluster", "reboot-plan", "--offline-maintenance")
    assert (code, lines) == (0, ["Batch 1: node2, node3", "Batch 2: node4, node1"])
    code, lines = asked(live, "cluster", "balance")
    assert code == 0
    assert [line.split(" (")[0] for line in lines if "=>" in line] == [
        "    web2: node1:node3 => node3:node1"
    ]


def test_a_group_that_does_not_reach_the_network_takes_nothing(live: SimulatedCluster) -> None:
    code, lines = asked(live, "instance", "change-group", "--to", "far", "web1")
    assert code == 1
    assert any("group far is not connected to network net1" in line for line in lines)
    code, lines = asked(live, "network", "list", "--no-headers", "-o", "name,group_list")
    assert (code, " ".join(lines[0].split())) == (0, "net1 default (bridged, br0, )")


NEW = ("-t", "drbd", "-s", "1g", "-o", "pretended", "--no-ip-check", "--no-name-check")


def test_why_these_nodes_is_told_before_and_kept_after(live: SimulatedCluster) -> None:
    code, told = asked(live, "instance", "add", *NEW, "--explain", "web9")
    assert (code, told[0]) == (0, "web9: would go to node3, node2 (iallocator hail)")
    assert live.instance("web9") is None
    code, lines = asked(live, "instance", "add", *NEW, "web9")
    assert code == 0
    assert any(line.endswith("via iallocator hail: node3, node2") for line in lines)
    job = max(one.id for one in live.master.queue.jobs())
    code, lines = asked(live, "job", "info", str(job))
    kept = [" ".join(line.split()) for line in lines]
    assert code == 0
    verdicts = [line.split(maxsplit=1) for line in told[2:]]
    assert [node for node, _text in verdicts] == list(NODES), "a verdict for every node"
    assert verdicts[2][1].startswith("chosen as primary (score ")
    assert verdicts[3][1] == "refused: it fits, but with no other node beside it"
    for node, text in verdicts:
        assert f"{node}: {text}" in kept
    assert "Chosen: node3, node2" in kept
    code, lines = asked(live, "instance", "add", *NEW, "-B", "memory=20g", "--explain", "web8")
    assert (code, lines[0]) == (1, "web8: fits nowhere (iallocator hail)")
    assert sum(" refused: as primary: memory short by " in line for line in lines) == 4


def test_a_node_that_fails_in_mid_plan_ends_the_plan(live: SimulatedCluster) -> None:
    """Last: it leaves a node without power."""

    def places() -> dict[str, tuple[str, str | None]]:
        configured = live.master.configuration.instances()
        return {one.name: (one.primary_node, one.secondary_node) for one in configured}

    before, ran = places(), {name: live.runs_on(name) for name in ("web1", "web2", "web9")}
    live.hosts["node3"].power_off()
    code, lines = asked(live, "cluster", "balance", "--apply", "-f")
    moves = [line.split() for line in lines if " => " in line]
    assert moves
    assert all("node3" in f"{move[1]}:{move[3]}" for move in moves), "the plan needs the node"
    assert code == 1
    assert any(" has failed: " in line for line in lines)
    assert places() == before
    assert {name: live.runs_on(name) for name in ran if "node3" not in ran[name]} == {
        name: nodes for name, nodes in ran.items() if "node3" not in nodes
    }
