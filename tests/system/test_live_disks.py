"""Disks under a running guest on three node hosts: grown, replaced, moved, added and taken away,
with a peer that loses power in the middle. The guest counts on its disk all the time, and what it
wrote is read back below the mirror.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.demo import guest
from tests.demo.cluster import Cluster
from tests.demo.steps import INSTANCE, add_instance

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("live cluster")]

PATIENCE_S = 60.0
TAKES_ALL = """#!/bin/sh
exec /sbin/lvcreate -q -y -Wn -Zn -l 100%FREE -n filler xenvg
"""


@pytest.fixture(scope="module")
def cluster(live_cluster: Cluster) -> Iterator[Cluster]:
    """A mirrored guest runs on n2 with its copy on n3."""
    add_instance(live_cluster)
    yield live_cluster
    live_cluster.gnt("gnt-instance", "remove", "-f", "--shutdown-timeout=0", INSTANCE)


def counts_on(cluster: Cluster, secondary: str) -> None:
    """The guest counts without a gap since it started, and both copies have its count."""
    seen = len(guest.ticks(cluster.console("n2", INSTANCE)))
    console = cluster.wait_ticks("n2", INSTANCE, seen + 2)
    assert not guest.gap(guest.ticks(console))
    assert len(guest.boots(console)) == 1
    first, other, second = (cluster.disk_counter(name) for name in ("n2", secondary, "n2"))
    assert first <= other <= second


def volumes(cluster: Cluster, node: str) -> list[str]:
    """The logical volumes of a node."""
    return cluster.node(node).run("lvs --noheadings -o lv_name").stdout.split()


def dstate(cluster: Cluster) -> str:
    """How DRBD on n2 sees both copies."""
    return cluster.node("n2").run("drbdsetup dstate 0").stdout.strip()


def test_a_disk_grows_under_its_guest(cluster: Cluster) -> None:
    cluster.gnt("gnt-instance", "grow-disk", INSTANCE, "0", "32m")
    sizes = cluster.node("n2").run(
        f"virsh -c qemu:///system domblkinfo {INSTANCE} vda | sed -n 's/^Capacity: *//p';"
        " blockdev --getsize64 /dev/drbd0"
    )
    assert sizes.stdout.split() == [str(96 * 2**20)] * 2
    assert dstate(cluster) == "UpToDate/UpToDate"
    counts_on(cluster, "n3")


def test_a_secondary_without_room_leaves_the_disk_as_it_is(cluster: Cluster) -> None:
    n3, hooks = cluster.node("n3"), "/etc/ganeti/hooks/disk-grow-pre.d"
    before = volumes(cluster, "n3")
    n3.write(f"{hooks}/10taken", TAKES_ALL, mode=0o755)  # the room goes after the job has looked
    grow = ("gnt-instance", "grow-disk", INSTANCE, "0", "32m")
    said = cluster.gnt(*grow, allowed=(1,))
    n3.run(f"rm -r {hooks}")
    assert "the volume group has too little free space" in said
    assert "(node n3.tb)" in said
    said = cluster.gnt(*grow, allowed=(1,))
    assert "Not enough disk space on target node n3.tb in 'xenvg'" in said
    n3.run("lvremove -q -y xenvg/filler")
    assert volumes(cluster, "n3") == before
    for node in ("n2", "n3"):
        sizes = cluster.node(node).run("lvs --noheadings --units m --nosuffix -o lv_size xenvg")
        assert "96.00" in sizes.stdout.split()
    assert dstate(cluster) == "UpToDate/UpToDate"
    counts_on(cluster, "n3")


@pytest.mark.parametrize("side", ["-s", "-p"])
def test_a_copy_is_made_anew_on_either_node(cluster: Cluster, side: str) -> None:
    node = {"-s": "n3", "-p": "n2"}[side]
    before = volumes(cluster, node)
    cluster.gnt("gnt-instance", "replace-disks", side, INSTANCE)
    after = volumes(cluster, node)
    assert len(after) == len(before) == 2
    assert set(after).isdisjoint(before)
    assert dstate(cluster) == "UpToDate/UpToDate"
    counts_on(cluster, "n3")


def test_disks_come_and_go_under_their_guest(cluster: Cluster) -> None:
    cluster.gnt("gnt-instance", "modify", "--disk", "add:size=32m,name=data", INSTANCE)
    listed = "virsh -c qemu:///system domblklist " + INSTANCE
    assert "vdb" in cluster.node("n2").run(listed).stdout
    cluster.gnt("gnt-instance", "modify", "--disk", "data:remove", INSTANCE)
    assert "vdb" not in cluster.node("n2").run(listed).stdout
    assert [len(volumes(cluster, node)) for node in ("n1", "n2", "n3")] == [0, 2, 2]
    counts_on(cluster, "n3")


def submitted(cluster: Cluster, *argv: str) -> str:
    """The number of the job."""
    return cluster.gnt(*argv).split("JobID: ")[1].split()[0]


def power_lost(cluster: Cluster, job: str) -> None:
    """n3 loses power and comes back while the guest counts on n2; its job ends, and both copies
    are whole again."""
    cluster.node("n3").kill()
    seen = len(guest.ticks(cluster.console("n2", INSTANCE)))
    cluster.wait_ticks("n2", INSTANCE, seen + 3)
    cluster.node("n3").start()
    cluster.node("n3").run(["clusterd-node", "--start"])
    cluster.gnt("gnt-job", "wait", job, allowed=(0, 1))
    cluster.gnt("gnt-instance", "activate-disks", "--wait-for-sync", INSTANCE)
    assert len(volumes(cluster, "n3")) == 2
    assert dstate(cluster) == "UpToDate/UpToDate"
    counts_on(cluster, "n3")


def test_the_peer_loses_power_while_its_copy_is_made_anew(cluster: Cluster) -> None:
    job = submitted(cluster, "gnt-instance", "replace-disks", "-s", "--submit", INSTANCE)
    deadline = time.monotonic() + PATIENCE_S
    while len(volumes(cluster, "n3")) < 4:
        assert time.monotonic() < deadline, "no new copy is made"
        time.sleep(0.1)
    power_lost(cluster, job)


def test_the_target_loses_power_while_the_guest_is_on_its_way(cluster: Cluster) -> None:
    job = submitted(cluster, "gnt-instance", "migrate", "-f", "--submit", INSTANCE)
    deadline = time.monotonic() + PATIENCE_S
    while "memory transfer: " not in cluster.gnt("gnt-job", "info", job):
        assert time.monotonic() < deadline, "no migration begins"
        time.sleep(0.1)
    power_lost(cluster, job)
    assert cluster.fields("job", job, "status") == ["error"]
    assert cluster.fields("instance", INSTANCE, "pnode", "status") == ["n2.tb", "running"]
    assert cluster.node("n3").run("virsh -c qemu:///system list --name").stdout.strip() == ""


def test_the_mirror_moves_to_another_node(cluster: Cluster) -> None:
    cluster.gnt("gnt-instance", "replace-disks", "-n", "n1.tb", INSTANCE)
    assert cluster.fields("instance", INSTANCE, "pnode", "snodes") == ["n2.tb", "n1.tb"]
    assert [len(volumes(cluster, node)) for node in ("n1", "n2", "n3")] == [2, 2, 0]
    assert dstate(cluster) == "UpToDate/UpToDate"
    counts_on(cluster, "n1")
    said = cluster.gnt("gnt-cluster", "verify-disks")
    assert "Activating" not in said
