"""The verbs that are no plugin's, on real files and with real scripts."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from clusterd import certificates, names
from clusterd.verbs.checks import CHECKS, observe, parse_volume_groups, verify
from clusterd.verbs.errors import WrongCluster, WrongInput
from clusterd.verbs.host import Host
from clusterd.verbs.instance_disks import link_disks
from clusterd.verbs.life import STATE_FILES, delay, greet, leave, peers, watch
from tests.unit.call_rig import volume
from tests.unit.node_host import make_host, script
from tests.waiting import settled


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


def test_disk_links_follow_what_is_asked(host: Host, tmp_path: Path) -> None:
    place = tmp_path / "run" / "instance-disks"
    links = settled(link_disks(host, "inst1", ("/dev/a", "/dev/b")))
    assert links == (f"{place}/inst1:0", f"{place}/inst1:1")
    settled(link_disks(host, "inst10", ("/dev/x",)))
    assert [os.readlink(link) for link in links] == ["/dev/a", "/dev/b"]
    settled(link_disks(host, "inst1", ("/dev/c",)))
    assert sorted(path.name for path in place.iterdir()) == ["inst10:0", "inst1:0"]
    assert os.readlink(links[0]) == "/dev/c"
    assert settled(link_disks(host, "inst1", ())) == ()
    assert settled(link_disks(host, "inst1", ())) == ()
    assert [path.name for path in place.iterdir()] == ["inst10:0"]


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a:0"])
def test_disk_links_stay_in_their_directory(host: Host, name: str) -> None:
    with pytest.raises(WrongInput):
        settled(link_disks(host, name, ("/dev/a",)))


def test_greeting_tells_who_is_there(host: Host) -> None:
    assert settled(greet(host, "cl")) == {
        "version": names.PRODUCT_VERSION,
        "software_version": names.SOFTWARE_VERSION,
        "calls_version": names.CALLS_VERSION,
        "name": "n1",
        "cluster": "cl",
        "cluster_uuid": "cluster-uuid",
    }
    for other in ("other", ""):
        with pytest.raises(WrongCluster):
            settled(greet(host, other))


def test_leaving_removes_keys_state_and_settings_and_nothing_else(
    host: Host, tmp_path: Path
) -> None:
    ended: list[bool] = []
    host = replace(host, end=lambda: ended.append(True))
    for name in STATE_FILES:
        (tmp_path / "lib" / name).write_text("x")
    (tmp_path / "lib" / "store.sqlite").write_text("x")
    (tmp_path / "etc" / names.SETTINGS_FILE).write_text("x")
    for _ in range(2):
        settled(leave(host))
    assert [path.name for path in (tmp_path / "lib").iterdir()] == ["store.sqlite"]
    assert list((tmp_path / "etc").iterdir()) == []
    assert ended == [True, True]


def test_the_small_ones(host: Host) -> None:
    settled(peers(host, {"n2": "192.0.2.2"}))
    assert host.peers.told == {"n2": "192.0.2.2"}  # type: ignore[attr-defined]
    settled(watch(host, (volume(),)))
    assert host.sight.watched == (volume(),)  # type: ignore[attr-defined]
    assert settled(observe(host)).node == "n1"
    for duration_s in (-1.0, float("nan"), 1e9):
        with pytest.raises(WrongInput):
            settled(delay(host, duration_s))


def test_each_check_finds_what_is_there(host: Host, tmp_path: Path) -> None:
    (tmp_path / "net" / "br0" / "bridge").mkdir(parents=True)
    script(tmp_path / "drbd" / "parameters" / "usermode_helper", "").write_text("/bin/true\n")
    (tmp_path / "drbd" / "version").write_text("8.4.11\n")
    (tmp_path / "etc" / "file").write_text("abc")
    host.commands.answers["vgs"] = "  xenvg|10236.00\n"  # type: ignore[attr-defined]
    pair = certificates.make_authority("c1", 1_800_000_000.0)
    certificates.write_node(host.places.state, pair)
    (host.places.state / "store.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n")
    end = certificates.describe(pair.certificate).not_after
    asked = {
        "bridges": ["br0", "br1"],
        "certificates": None,
        "drbd-helper": None,
        "drbd-version": None,
        "filelist": [str(tmp_path / "etc" / "file"), "/no/such"],
        "node-net-test": {"port": 1811, "nodes": {"n2": ["192.0.2.1", "192.0.2.9"], "n3": []}},
        "time": None,
        "version": None,
        "vglist": None,
    }
    assert set(asked) == set(CHECKS)
    assert settled(verify(host, asked)) == {
        "bridges": ["br1"],
        "certificates": {"node.pem": end, "store.pem": 0.0},
        "drbd-helper": "/bin/true",
        "drbd-version": "8.4.11",
        "filelist": {str(tmp_path / "etc" / "file"): hashlib.sha256(b"abc").hexdigest()},
        "node-net-test": {"n2": "no TCP connection to 192.0.2.9 port 1811: Connection refused"},
        "time": host.clock.seconds(),
        "version": [names.PROTOCOL_VERSION, names.PRODUCT_VERSION],
        "vglist": {"xenvg": 10236.0},
    }


def test_nodes_are_reached_where_those_of_this_cluster_listen(host: Host) -> None:
    other = replace(host, port=1999)
    found = settled(verify(other, {"node-net-test": {"nodes": {"n2": ["192.0.2.9"]}}}))
    assert found == {
        "node-net-test": {"n2": "no TCP connection to 192.0.2.9 port 1999: Connection refused"}
    }


def test_a_check_that_fails_hides_no_other(host: Host) -> None:
    found = settled(verify(host, {"vglist": None, "node-net-test": 3, "drbd-helper": None}))
    assert found["vglist"] == {"error": "CommandFailed: vgs cannot be started"}
    assert found["node-net-test"]["error"].startswith("TypeError")
    assert found["drbd-helper"] is None
    with pytest.raises(WrongInput, match="no such checks: smell"):
        settled(verify(host, {"smell": None}))


def test_reports_of_another_shape_are_passed_over() -> None:
    assert parse_volume_groups("\n  a|1.5\nnonsense\n b|x\n c|12\n") == {"a": 1.5, "c": 12.0}
