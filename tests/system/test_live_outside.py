"""Instances on disks that something outside keeps, by the commands of an operator: an ext-storage
provider, adopted logical volumes and devices."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.demo import guest
from tests.demo.cluster import Cluster
from tests.demo.image import PLACE
from tests.system.outside_worlds import PROVIDERS

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("live cluster")]

NODE, HOST = "n1", "n1.tb"
STORE = "/srv/volumes"
DEVICE = "/dev/disk/by-id/lun-1"
MIB = 1024 * 1024
PATIENCE_S = 60.0
USUAL = (
    *("-n", HOST, "-o", "demo-guest", "-B", "memory=96", "--no-nics"),
    *("--no-name-check", "--no-ip-check", "--ignore-ipolicy"),
)


@pytest.fixture(scope="module")
def cluster(live_cluster: Cluster) -> Iterator[Cluster]:
    """The templates are enabled, each node has the provider, the first a place for its volumes."""
    enabled = live_cluster.gnt("gnt-cluster", "info")
    templates = next(line for line in enabled.splitlines() if "enabled disk templates" in line)
    before = ",".join(word.strip(" []") for word in templates.split(":", 1)[1].split(","))
    for node in live_cluster.testbed.nodes():
        node.run(f"mkdir -p /srv/ganeti/extstorage {STORE}")
        node.run(f"ln -sfn {PROVIDERS / 'loopfiles'} /srv/ganeti/extstorage/loopfiles")
    allow(live_cluster, f"{before},ext,blockdev")
    yield live_cluster
    allow(live_cluster, before)
    for node in live_cluster.testbed.nodes():
        node.run(f"rm -rf /srv/ganeti/extstorage/loopfiles {STORE}")


def allow(cluster: Cluster, templates: str) -> None:
    """Disks may be of these templates."""
    options = [f"--{name}-disk-templates={templates}" for name in ("enabled", "ipolicy")]
    cluster.gnt("gnt-cluster", "modify", *options)


def counts(cluster: Cluster, name: str) -> None:
    """The guest has started once and counts without a gap."""
    console = cluster.wait_ticks(NODE, name, 3)
    assert not guest.gap(guest.ticks(console))
    assert len(guest.boots(console)) == 1


def remove(cluster: Cluster, name: str) -> None:
    cluster.gnt("gnt-instance", "remove", "-f", "--shutdown-timeout=0", name)


def test_a_guest_on_a_provider_s_volume(cluster: Cluster) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        told = cluster.gnt("gnt-storage", "diagnose", allowed=(0, 1))
        if "Provider: loopfiles" in told and "missing" not in told:
            break
        # a node looks for what is new at its own pace
        assert time.monotonic() < deadline, told
        time.sleep(1)
    assert "Provider: loopfiles" in told
    assert f"Node: {HOST}, status: valid (path: /srv/ganeti/extstorage/loopfiles)" in told
    assert "      store: directory" in cluster.gnt("gnt-storage", "info", "loopfiles")
    disk = f"0:size=64M,provider=loopfiles,store={STORE}"
    wrong = ("gnt-instance", "add", "-t", "ext", *USUAL, "--disk", f"{disk},colour=red", "ext1")
    assert "has no parameter 'colour'" in cluster.gnt(*wrong, allowed=(1,))
    cluster.gnt("gnt-instance", "add", "-t", "ext", *USUAL, "--disk", disk, "ext1")
    counts(cluster, "ext1")
    cluster.gnt("gnt-instance", "grow-disk", "ext1", "0", "32m")
    seen = "virsh -c qemu:///system domblkinfo ext1 vda | sed -n 's/^Capacity: *//p'"
    assert cluster.node(NODE).run(seen).stdout.split() == [str(96 * MIB)]
    assert "loopfiles" in cluster.gnt("gnt-instance", "info", "ext1")
    verified = cluster.gnt("gnt-cluster", "verify")
    assert "ERROR" not in verified
    remove(cluster, "ext1")
    assert cluster.node(NODE).run(f"ls {STORE}; losetup -a").stdout == ""


def test_a_guest_on_an_adopted_logical_volume(cluster: Cluster) -> None:
    node = cluster.node(NODE)
    node.run("lvcreate -q -y -Wn -L 64m -n old-data xenvg")
    node.run(f"dd if={PLACE} of=/dev/xenvg/old-data bs=1M oflag=direct status=none")
    add = ("gnt-instance", "add", "-t", "plain", *USUAL)
    said = cluster.gnt(*add, "--disk", "0:adopt=nothing", "old1", allowed=(1,))
    assert "There is no 'nothing' in 'xenvg' to adopt" in said
    cluster.gnt(*add, "--disk", "0:adopt=old-data", "old1")
    counts(cluster, "old1")
    assert cluster.fields("instance", "old1", "disk.sizes") == ["64"]
    (name,) = node.run("lvs --noheadings -o lv_name xenvg").stdout.split()
    assert name.endswith(".disk0")
    remove(cluster, "old1")
    assert node.run("lvs --noheadings xenvg").stdout == ""


def test_a_guest_on_an_adopted_device(cluster: Cluster) -> None:
    node = cluster.node(NODE)
    node.run(f"mkdir -p {DEVICE.rpartition('/')[0]}; cp --sparse=always {PLACE} {STORE}/lun")
    node.run(f"truncate -s 64M {STORE}/lun; ln -s $(losetup -f --show {STORE}/lun) {DEVICE}")
    add = ("gnt-instance", "add", "-t", "blockdev", *USUAL, "--disk")
    assert "requires disk adoption" in cluster.gnt(*add, "0:size=64M", "lun1", allowed=(1,))
    assert "below /dev/disk" in cluster.gnt(*add, "0:adopt=/dev/loop0", "lun1", allowed=(1,))
    cluster.gnt(*add, f"0:adopt={DEVICE}", "lun1")
    counts(cluster, "lun1")
    twice = cluster.gnt(*add, f"0:adopt={DEVICE}", "lun2", allowed=(1,))
    assert "is a disk of instance 'lun1' already" in twice
    remove(cluster, "lun1")
    counter = f"dd if={DEVICE} bs=4096 skip=129 count=1 status=none | tr -d '\\000'"
    assert node.run(counter).stdout.startswith("TICK")
    node.run(f"losetup -d $(readlink {DEVICE}); rm {DEVICE} {STORE}/lun")
