"""A guest on logical volumes of one node: exported while it counts, imported as another on mirrors,
and moved to another node with its disk while it runs. What it wrote is read back each time.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo import guest
from tests.demo.cluster import Cluster

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("live cluster")]

FIRST, SECOND = "exported1.tb", "imported1.tb"
GUEST = ("-o", "demo-guest", "--disk", "0:size=64M", "-B", "memory=96", "--ignore-ipolicy")


@pytest.fixture(scope="module")
def cluster(live_cluster: Cluster) -> Iterator[Cluster]:
    """A guest runs on n2, its disk is there alone."""
    live_cluster.gnt("gnt-instance", "add", "-t", "plain", "-n", "n2.tb", *GUEST, FIRST)
    live_cluster.wait_ticks("n2", FIRST, 3)
    yield live_cluster
    for name in (FIRST, SECOND):
        live_cluster.gnt(
            "gnt-instance", "remove", "-f", "--shutdown-timeout=0", name, allowed=(0, 1)
        )


def volumes(cluster: Cluster, node: str) -> list[str]:
    """The logical volumes of a node."""
    return cluster.node(node).run("lvs --noheadings -o lv_name").stdout.split()


def test_a_running_guest_is_exported_and_comes_back_as_another(cluster: Cluster) -> None:
    cluster.gnt("gnt-backup", "export", "--noshutdown", "-n", "n3.tb", FIRST)
    seen = guest.ticks(cluster.console("n2", FIRST))
    assert FIRST in cluster.gnt("gnt-backup", "list", "-n", "n3.tb")
    listed = cluster.node("n3").run(f"ls -A /var/lib/clusterd/export/{FIRST}").stdout.split()
    assert "config.ini" in listed
    assert len(listed) == 3
    assert len(volumes(cluster, "n2")) == 1
    imported = ("-t", "drbd", "-n", "n1.tb:n2.tb", "--src-node=n3.tb", f"--src-dir={FIRST}")
    cluster.gnt("gnt-backup", "import", *imported, SECOND)
    cluster.gnt("gnt-instance", "startup", SECOND)
    (boot,) = guest.boots(cluster.wait_ticks("n1", SECOND, 3))
    assert boot.number == 2
    assert 0 < boot.last <= seen[-1]
    cluster.gnt("gnt-instance", "remove", "-f", "--shutdown-timeout=0", SECOND)
    cluster.gnt("gnt-backup", "remove", FIRST)
    assert cluster.node("n3").run("ls -A /var/lib/clusterd/export").stdout.split() == []
    assert not guest.gap(guest.ticks(cluster.console("n2", FIRST)))


def test_it_moves_to_another_node_with_its_disk(cluster: Cluster) -> None:
    before = guest.ticks(cluster.console("n2", FIRST))[-1]
    said = cluster.gnt("gnt-instance", "migrate", "-f", "-n", "n3.tb", FIRST)
    assert "migration done" in said
    cluster.wait_ticks("n3", FIRST, 3)
    assert cluster.running_on(FIRST) == ["n3"]
    assert [len(volumes(cluster, node)) for node in ("n2", "n3")] == [0, 1]
    whole = cluster.console("n2", FIRST) + cluster.console("n3", FIRST)
    assert not guest.gap([tick for tick in guest.ticks(whole) if tick >= before])
    assert len(guest.boots(whole)) == 1
    cluster.gnt("gnt-instance", "shutdown", "--timeout=0", FIRST)
    offset = len(cluster.console("n3", FIRST))
    cluster.gnt("gnt-instance", "startup", FIRST)
    (again,) = guest.boots(cluster.wait_ticks("n3", FIRST, 3, offset=offset))
    assert again.number == 2
    assert again.last >= before
