"""Disks that become those of another template, and files that move, on three node hosts: a pattern
is written once, and read back below what it has become.

The changes are the opcodes of one job, as each command costs a second of its own here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.demo.cluster import MASTER, Cluster

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("live cluster")]

NAME = "conv1.tb"
MIB = 16
LINES = MIB * 2**16
GROUP = "xenvg"
DIRECTORY = "/srv/ganeti/file-storage"
WRITE = f"awk 'BEGIN{{for(i=0;i<{LINES};i++)printf \"%015d\\n\",i}}'"
JOB = "/var/tmp/conversions.json"


@pytest.fixture
def cluster(live_cluster: Cluster) -> Iterator[Cluster]:
    """A mirrored instance on n2 and n3 with one disk that has the pattern."""
    for node in live_cluster.testbed.nodes():
        node.run(f"mkdir -p {DIRECTORY}")
    live_cluster.gnt(
        *("gnt-instance", "add", "-t", "drbd", "-n", "n2.tb:n3.tb", "--no-install", "--no-start"),
        *("--disk", f"0:size={MIB}m", "-B", "memory=96", "-o", "demo-guest", NAME),
    )
    for node in ("n2", "n3"):  # the same on both, as on any mirror
        (path,) = found(live_cluster, node)
        into = f"dd of={path} bs=1M iflag=fullblock conv=fsync status=none"
        live_cluster.node(node).run(f"lvchange -ay {path} && {WRITE} | {into}")
    yield live_cluster
    live_cluster.gnt("gnt-instance", "remove", "-f", NAME)
    assert [found(live_cluster, node) for node in ("n1", "n2", "n3")] == [[], [], []]


def found(cluster: Cluster, node: str) -> list[str]:
    """The disks' data on a node: logical volumes that are no metadata, and files."""
    told = cluster.node(node).run(
        f"lvs --noheadings -o lv_path {GROUP} | grep -v _meta; ls -d {DIRECTORY}/{NAME}/*"
        " 2>/dev/null; true"
    )
    return told.stdout.split()


def check(cluster: Cluster, **nodes: str) -> None:
    """These nodes alone have the disk, of this kind (the end of its name), with the pattern."""
    lines = "".join(f"{number:015d}\n" for number in range(LINES))
    wanted = hashlib.sha256(lines.encode()).hexdigest()
    disks = {node: found(cluster, node) for node in ("n1", "n2", "n3")}
    assert sorted(node for node, paths in disks.items() if paths) == sorted(nodes)
    for node, kind in nodes.items():
        (path,) = disks[node]
        assert path.endswith(kind)
        read = f"dd if={path} bs=1M count={MIB} iflag=direct,fullblock status=none"
        told = cluster.node(node).run(f"{read} | sha256sum").stdout.split()[0]
        assert told == wanted, cluster.node(node).run(
            f"{WRITE} >/var/tmp/wanted; for n in 1 2; do {read} | cmp -l - /var/tmp/wanted |"
            ' awk \'NR == 1 {print "first", $0} END {print NR, "bytes differ, last", $0}\'; done;'
            f" ls -l {path}; dmesg | tail -n 5"
        )


def becomes(template: str, **fields: Any) -> dict[str, Any]:
    """The opcode of a conversion."""
    return {"OP_ID": "OP_INSTANCE_SET_PARAMS", "disk_template": template, **fields}


def carry_out(cluster: Cluster, *opcodes: dict[str, Any]) -> None:
    """One job of these, to its end."""
    asked = [{"instance_name": NAME, **opcode} for opcode in opcodes]
    cluster.node(MASTER).write(JOB, json.dumps(asked))
    cluster.gnt("gnt-debug", "submit-job", JOB)


def test_disks_are_converted_and_moved_and_keep_every_byte(cluster: Cluster) -> None:
    carry_out(
        cluster,
        becomes("plain"),
        becomes("file"),
        {"OP_ID": "OP_INSTANCE_MOVE", "target_node": "n1.tb"},
        becomes("plain"),
        becomes("drbd", remote_node="n3.tb"),
    )
    check(cluster, n1=".disk0_data", n3=".disk0_data")
    carry_out(cluster, becomes("file"))
    check(cluster, n1="")
