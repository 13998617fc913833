"""An image in files of one node that others get once, and a guest that begins as it there, by copy
on write, on three node hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo.cluster import Cluster
from tests.demo.image import OWN_DISK, PLACE
from tests.demo.report import DemoFailed

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("live cluster")]

DIRECTORY = "/srv/ganeti/file-storage"
IMAGE = "golden"
NAME = "seeded.tb"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8 me@home"


@pytest.fixture(scope="module")
def cluster(live_cluster: Cluster) -> Iterator[Cluster]:
    """It also keeps disks in files, as qcow2."""
    templates = live_cluster.gnt("gnt-cluster", "info")
    enabled = next(
        line.split(":", 1)[1] for line in templates.splitlines() if "enabled disk" in line
    )
    for node in live_cluster.testbed.nodes():
        node.run(["mkdir", "-p", DIRECTORY])
    live_cluster.gnt(
        *(
            "gnt-cluster",
            "modify",
            f"--enabled-disk-templates={enabled.strip()},file".replace(" ", ""),
        ),
        *(f"--file-storage-dir={DIRECTORY}", "-D", "file:format=qcow2"),
    )
    yield live_cluster
    live_cluster.gnt(
        *("gnt-cluster", "modify", "-D", "file:format=raw"),
        f"--enabled-disk-templates={enabled.strip()}".replace(" ", ""),
    )


def its_file_travels_and_becomes_a_logical_volume(cluster: Cluster) -> None:
    """What the guest wrote into the qcow2 file is read back after each."""
    cluster.gnt("gnt-instance", "shutdown", "--timeout=0", NAME)
    with pytest.raises(DemoFailed, match="flatten"):
        cluster.gnt("gnt-instance", "move", "-f", "-n", "n1.tb", NAME)
    cluster.gnt("gnt-instance", "flatten", NAME)
    written = contents(cluster, "n2", f"{DIRECTORY}/{NAME}/*.disk0")
    cluster.gnt("gnt-instance", "move", "-f", "-n", "n1.tb", NAME)
    assert contents(cluster, "n1", f"{DIRECTORY}/{NAME}/*.disk0") == written
    cluster.gnt("gnt-instance", "modify", "-t", "plain", NAME)
    cluster.gnt("gnt-instance", "activate-disks", NAME)
    assert contents(cluster, "n1", "/dev/xenvg/*.disk0") == written


def contents(cluster: Cluster, node: str, place: str) -> str:
    """The sum of all that a guest would read."""
    copy = "/tmp/contents"
    made = f"qemu-img convert -O raw {place} {copy} && sha256sum {copy}; rm {copy}"
    return cluster.node(node).run(made).stdout.split()[0]


def test_a_guest_begins_as_an_image_that_its_node_has_to_get(cluster: Cluster) -> None:
    cluster.gnt("gnt-image", "add", "-t", "file", "--file", PLACE, "-n", "n1.tb", IMAGE)
    job = cluster.gnt(
        *("gnt-instance", "add", "-t", "file", "--image", IMAGE, "-n", "n2.tb"),
        *("--disk", "0:size=64M", "-B", "memory=96", "--ssh-key", KEY, *OWN_DISK, NAME),
    )
    assert f"copying image '{IMAGE}' from node n1.tb to n2.tb, once" in job
    assert "by copy on write" in job
    console = cluster.wait_ticks("n2", NAME, 2)
    assert f"SEED disk=/dev/vdb name={NAME} id=" in console
    assert "keys=1 user-data=#cloud-config" in console
    cluster.gnt("gnt-instance", "grow-disk", NAME, "0", "32m")
    seen = cluster.node("n2").run(f"virsh -c qemu:///system domblkinfo {NAME} vda").stdout
    assert str(96 * 2**20) in seen
    told = cluster.gnt("gnt-image", "info", IMAGE)
    assert "default: n2.tb" in told
    found = cluster.node("n2").run(f"qemu-img info -U {DIRECTORY}/{NAME}/*.disk0").stdout
    assert "file format: qcow2" in found
    assert f"backing file: {DIRECTORY}/{IMAGE}/" in found
    with pytest.raises(DemoFailed, match=NAME):
        cluster.gnt("gnt-image", "remove", IMAGE)
    its_file_travels_and_becomes_a_logical_volume(cluster)
    cluster.gnt("gnt-instance", "remove", "-f", "--shutdown-timeout=0", NAME)
    cluster.gnt("gnt-image", "remove", IMAGE)
    for node in cluster.testbed.nodes():
        left = node.run(f"find {DIRECTORY} /run/clusterd/instance-seeds -type f", check=False)
        assert left.stdout == ""
