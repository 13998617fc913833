"""From an image to a running clone, moved live and failed over, on real Ceph and libvirt."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.system.ceph_cluster import CephCluster
from tests.system.ceph_hosts import ceph_hosts

pytestmark = pytest.mark.real
PATIENCE_S = 90.0
ADD = (
    *("instance", "add", "-t", "rbd", "-n", "n2.test", "--no-install", "--no-start"),
    *("-o", "none", "-B", "memory=128", "--disk", "0:size=1G"),
)
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8 me@home"
SEEDED = "SEED disk=/dev/vdb name=web1.test id="


@pytest.fixture(scope="module")
def cluster() -> Iterator[CephCluster]:
    with ceph_hosts() as hosts:
        cluster = CephCluster(hosts)
        cluster.found()
        yield cluster


def nothing_is_left(cluster: CephCluster) -> None:
    """Neither an image in Ceph, nor an instance."""
    assert cluster.ceph.rbd("ls").stdout == ""
    assert cluster.gnt("instance", "list", "--no-headers", "-o", "name").strip() == ""


def test_without_quorum_nothing_is_begun(cluster: CephCluster) -> None:
    cluster.ceph.freeze("mon.a")
    try:
        with pytest.raises(AssertionError, match=r"'rbd' does not answer on node n2\.test"):
            cluster.gnt(*ADD, "lost1.test")
    finally:
        cluster.ceph.thaw("mon.a")
    nothing_is_left(cluster)


def test_a_job_says_that_it_waits_for_an_osd_and_goes_on(cluster: CephCluster) -> None:
    cluster.ceph.freeze("osd.0")
    try:
        said = cluster.gnt(*ADD, "--submit", "late1.test")
        number = said.split("JobID: ")[1].split()[0]
        deadline = time.monotonic() + PATIENCE_S
        while "waiting: rbd: Ceph does not answer in time" not in said:
            assert time.monotonic() < deadline, said
            assert "Status: error" not in said, said
            time.sleep(4.0)
            said = cluster.gnt("job", "info", number)
        assert "(node n2.test)" in said
    finally:
        cluster.ceph.thaw("osd.0")
    cluster.gnt("job", "wait", number)
    assert len(cluster.ceph.rbd("ls").stdout.split()) == 1
    cluster.gnt("instance", "remove", "-f", "late1.test")
    nothing_is_left(cluster)


def test_a_full_osd_is_said_before_anything_is_made(cluster: CephCluster) -> None:
    cluster.ceph.fill()
    try:
        with pytest.raises(AssertionError, match="'rbd': required 1024 MiB, available 0 MiB"):
            cluster.gnt(*ADD, "full1.test")
    finally:
        cluster.ceph.empty()
    nothing_is_left(cluster)


def test_clone_of_an_image_runs_moves_and_survives_its_node(cluster: CephCluster) -> None:
    path = cluster.image_file("golden")
    user_data = path.with_suffix(".yaml")
    user_data.write_text("#cloud-config\n")
    cluster.gnt("image", "add", "-t", "rbd", "--file", str(path), "golden")
    assert "golden" in cluster.gnt("image", "list")
    cluster.gnt(
        "instance", "add", "-t", "rbd", "--image", "golden", "-n", "n2.test",
        "-B", "memory=128", "--disk", "0:size=1G", "-H", "kvm:use_guest_agent=true",
        "--ssh-key", SSH_KEY, "--user-data", str(user_data),
        "web1.test",
    )  # fmt: skip
    cluster.wait_ticks(2, "web1.test", 3)
    assert SEEDED in cluster.console(2, "web1.test")
    with pytest.raises(AssertionError, match=r"web1\.test"):
        cluster.gnt("image", "remove", "golden")
    said = cluster.gnt("instance", "snapshot", "add", "web1.test", "before")
    assert "does not answer" not in said
    assert "FROZEN" in cluster.console(2, "web1.test")
    frozen = cluster.gnt("instance", "snapshot", "list", "--no-headers", "-o", "frozen")
    assert frozen.split() == ["Y"]
    cluster.wait_ticks(2, "web1.test", len(cluster.ticks(2, "web1.test")) + 2)
    assert "before" in cluster.gnt("instance", "snapshot", "list", "web1.test")
    # the console goes on where the guest was started: a description names its files
    for target in ("n1.test", "n2.test"):
        cluster.gnt("instance", "migrate", "-f", "-n", target, "web1.test")
        last = cluster.wait_ticks(2, "web1.test", len(cluster.ticks(2, "web1.test")) + 3)
    cluster.hosts.host(2).power_off()
    cluster.gnt("node", "modify", "--offline=yes", "n2.test")
    already = len(cluster.ticks(1, "web1.test"))
    cluster.gnt("instance", "failover", "-f", "-n", "n1.test", "web1.test")
    after = cluster.wait_ticks(1, "web1.test", already + 3)
    assert after > last - 20, "the guest found an old disk"
    assert cluster.console(1, "web1.test").count("SEED ") == 1
    assert SEEDED in cluster.console(1, "web1.test")
    assert "last=0" not in cluster.console(1, "web1.test").rpartition("BOOTED")[2]
