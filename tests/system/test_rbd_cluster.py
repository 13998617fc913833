"""From an image to a running clone, moved live and failed over, on real Ceph and libvirt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.ceph_cluster import CephCluster
from tests.system.ceph_hosts import ceph_hosts

pytestmark = pytest.mark.real
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8 me@home"
SEEDED = "SEED disk=/dev/vdb name=web1.test id="


@pytest.fixture(scope="module")
def cluster() -> Iterator[CephCluster]:
    with ceph_hosts() as hosts:
        cluster = CephCluster(hosts)
        cluster.found()
        yield cluster


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
