"""``gnt-cluster simulate``: a copy of a cluster answers what would happen to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.main import run
from cli.simulating import SimulatedSession
from clusterd.configuration import Configuration
from clusterd.likeness import HostLikeness, Likeness
from clusterd.simulation.cluster import SimulatedCluster
from clusterd.simulation.door import SimulatedDoor
from clusterd.simulation.live import Copy
from clusterd.simulation.portrait import portrait
from clusterd.simulation.scenarios import create
from clusterd.simulation.script import BadScript, parse
from jobqueue.job import Status


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> SimulatedCluster:
    """web1 is mirrored on node1 and node2, web2 has one copy on node2, web3 is down."""
    cluster = SimulatedCluster(tmp_path_factory.mktemp("original"))
    cluster.wait_for_nodes()
    for opcode in (
        create("drbd"),
        create("plain", instance_name="web2", pnode="node2"),
        create("drbd", instance_name="web3", pnode="node3", snode="node1", start=False),
    ):
        assert cluster.run(opcode).status is Status.SUCCESS
    cluster.clock.run(30.0)
    return cluster


class Asked(SimulatedSession):
    """The operator's session at the original's door."""

    def __init__(self, original: SimulatedCluster) -> None:
        door = SimulatedDoor(original, 60.0)
        door.begin()
        super().__init__(door, original.clock, {})


def simulate(original: SimulatedCluster, *words: str) -> list[str]:
    session = Asked(original)
    assert run("cluster", ["simulate", *words], session) == 0, session.lines
    return session.lines


def answered(original: SimulatedCluster, *words: str) -> Any:
    return json.loads("\n".join(simulate(original, "--json", *words)))


def likeness_of(original: SimulatedCluster) -> Likeness:
    return msgspec.convert(Asked(original).door.call("QueryLikeness"), Likeness)


def test_the_copy_is_like_the_original(original: SimulatedCluster, tmp_path: Path) -> None:
    copy = Copy(likeness_of(original), tmp_path)
    made = copy.cluster()
    assert copy.notes == []
    hosts = [line for line in portrait(made) if not line.startswith("config")]
    assert hosts == [line for line in portrait(original) if not line.startswith("config")]
    for name in original.hosts:
        seen, wanted = (c.master.sights.sight(name).observation for c in (made, original))
        assert seen is not None
        assert wanted is not None
        assert seen.hardware == wanted.hardware
        drbd = [
            {one.pool: one.free_mib for one in sight.capacity if one.template == "drbd"}
            for sight in (seen, wanted)
        ]
        assert drbd[0] == drbd[1]


def test_what_the_copy_is_made_of_has_no_secrets(original: SimulatedCluster) -> None:
    told = msgspec.json.encode(likeness_of(original)).decode()
    for instance in original.master.configuration.instances():
        for disk in instance.disks:
            assert disk.drbd is None or disk.drbd.secret not in told


def test_the_power_of_a_node_goes(original: SimulatedCluster) -> None:
    before = portrait(original)
    lines = simulate(original, "power-off node2")
    assert lines[0] == "0:00:00 power-off node2"
    assert "    web2 stops (it ran on node2)" in lines
    assert "    web1 goes on with one copy of its disks" in lines
    assert "    should run and does not: web2" in lines
    assert portrait(original) == before


def test_a_cluster_without_its_master_is_not_called_well(original: SimulatedCluster) -> None:
    lines = simulate(original, "kill master")
    assert lines[-1] == "    there is no master: no command is answered"
    assert simulate(original, "kill master", "start master")[-1] == (
        "    everything that should run runs"
    )


def test_commands_answer_as_they_would(original: SimulatedCluster) -> None:
    story = answered(
        original,
        "power-off node1",
        "after 1m power-on node1",
        "after 2m gnt-instance migrate -f web1",
        "gnt-instance failover -f nosuch",
    )
    off, on, migrate, failover = story["events"][:4]
    assert "the master stops: no command is answered" in off["effects"]
    assert on["at_s"] >= 60
    assert "the master answers" in on["effects"]
    assert migrate["exit_code"] in (0, 1)
    assert migrate["output"]
    assert failover["exit_code"] == 1
    assert "Instance 'nosuch' not known" in " ".join(failover["output"])
    assert story["wrong"] == []


def test_a_migration_moves_the_guest_of_the_copy_only(original: SimulatedCluster) -> None:
    story = answered(original, "gnt-instance migrate -f web1")
    assert story["events"][0]["exit_code"] == 0
    assert "web1 has moved from node1 to node2" in story["events"][0]["effects"]
    assert original.runs_on("web1") == ("node1",)
    assert [job["status"] for job in story["jobs"]] == ["success"]


def test_a_failed_disk_ends_what_has_no_other_copy(original: SimulatedCluster) -> None:
    lines = simulate(original, "fail disk node2")
    assert "    web2 stops (it ran on node2)" in lines
    assert "    should run and does not: web2" in lines
    assert "    on one copy of its disks: web1" in lines


def test_a_command_that_nobody_answers(original: SimulatedCluster) -> None:
    story = answered(original, "kill master", "gnt-instance list", "start master")
    assert story["events"][1]["exit_code"] != 0
    assert story["events"][2]["effects"] == ["the master answers"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Nothing is asked"),
        ("power node3", "'power node3' is not understood at 'power node3'"),
        ("cut node1", "is not understood at its end"),
        ("at 3q power-off node1", "is not understood"),
        ("gnt-instance add 'x", "is not understood"),
        ("power-off node9", "there is no node 'node9'; there are node1, node2, node3"),
    ],
)
def test_what_cannot_be_understood_says_what_can(
    original: SimulatedCluster, text: str, says: str
) -> None:
    session = Asked(original)
    assert run("cluster", ["simulate", text], session) == 1
    assert says in "\n".join(session.lines)


def test_statements_are_read_in_order_with_their_times() -> None:
    events = parse("at 30s power-off n1; after 1.5m cut n1 n2\nwait 5; gnt-node list -o 'name x'")
    assert [(one.verb, one.words, one.at_s, one.after_s) for one in events] == [
        ("power-off", ("n1",), 30.0, 0.0),
        ("cut", ("n1", "n2"), None, 90.0),
        ("wait", ("5.0",), None, 0.0),
        ("command", ("gnt-node", "list", "-o", "name x"), None, 0.0),
    ]
    with pytest.raises(BadScript, match="known are power-off NODE"):
        parse("reboot n1")


def test_nodes_that_do_not_answer_and_disks_without_a_twin_are_noted(
    original: SimulatedCluster, tmp_path: Path
) -> None:
    likeness = likeness_of(original)
    objects = dict(likeness.objects)
    for key, value in objects.items():
        if value["name"] == "web2":
            objects[key] = {**value, "disk_template": "tape"}
    silent = HostLikeness(name="node3", reachable=False)
    hosts = (*likeness.hosts[:2], silent)
    changed = msgspec.structs.replace(likeness, objects=objects, hosts=hosts)
    copy = Copy(changed, tmp_path)
    cluster = copy.cluster()
    assert copy.notes == [
        "instance web2 is left out: disks of template tape are not simulated",
        "node node3 does not answer: it is taken to have no power",
    ]
    assert not cluster.hosts["node3"].powered
    configuration: Configuration = cluster.master.configuration
    assert [one.name for one in configuration.instances()] == ["web1", "web3"]
