"""A live cluster on three node hosts: hooks, daemons killed in the middle, and a stock client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import stock_client
from tests.demo.cluster import Cluster

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("live cluster")]

GUEST = ("-o", "demo-guest", "--disk", "0:size=64M", "-B", "memory=96")
HOOK = """#!/bin/sh
env | grep -E '^GANETI_(HOOKS_PHASE|OP_CODE|INSTANCE_NAME|INSTANCE_PRIMARY|INSTANCE_DISK_COUNT)=' \
  | sort >> /var/tmp/hooks.log
"""
END_S = 240.0
SEEN_S = 60.0


@pytest.fixture(scope="module")
def cluster(live_cluster: Cluster) -> Cluster:
    """Three nodes joined, the guest's image on each."""
    return live_cluster


@pytest.fixture
def drill(cluster: Cluster) -> Iterator[str]:
    """The name of an instance that is gone afterwards."""
    yield "drill1.tb"
    cluster.gnt("gnt-instance", "remove", "-f", "--shutdown-timeout=0", "drill1.tb", allowed=(0, 1))


def ended(cluster: Cluster, job: str) -> str:
    """The status with which a job ends."""
    deadline = time.monotonic() + END_S
    while time.monotonic() < deadline:
        rows = cluster.gnt(
            "gnt-job", "list", "--no-headers", "--separator=|", "-o", "status", job, allowed=(0, 1)
        ).split()
        if rows and rows[-1] in ("success", "error", "canceled"):
            return rows[-1]
        time.sleep(1.0)
    raise AssertionError(f"job {job} does not end")


def volumes(cluster: Cluster) -> list[str]:
    """All logical volumes on all hosts."""
    found: list[str] = []
    for node in cluster.testbed.nodes():
        found += node.run("lvs --noheadings -o lv_name").stdout.split()
    return found


def test_the_stock_client_lives_a_whole_instance(cluster: Cluster, tmp_path: Path) -> None:
    stock_client.fetch()
    master = cluster.node("n1")
    authority = tmp_path / "ca.pem"
    authority.write_text(master.read("/var/lib/clusterd/ca.pem"))
    users = "/var/lib/clusterd/rapi/users"
    master.run(
        f"echo 'jack secret write' > {users}; kill -HUP $(cat /run/clusterd/clusterd-rapi.pid)"
    )
    python = Path(".venv/bin/python").absolute()
    said = cluster.testbed.outside(
        [
            str(python),
            "-m",
            "tests.system.live_rapi",
            master.address,
            str(authority),
            "jack",
            "secret",
        ],
        timeout_s=600.0,
    )
    assert "the stock client is content" in said.stdout
    assert volumes(cluster) == []


def test_hooks_run_where_they_should_and_a_veto_changes_nothing(
    cluster: Cluster, drill: str
) -> None:
    for phase in ("pre", "post"):
        cluster.node("n2").write(
            f"/etc/ganeti/hooks/instance-add-{phase}.d/50log", HOOK, mode=0o755
        )
    cluster.gnt("gnt-instance", "add", "-t", "plain", "-n", "n2.tb", "--no-start", *GUEST, drill)
    log = cluster.node("n2").read("/var/tmp/hooks.log").splitlines()
    assert "GANETI_HOOKS_PHASE=pre" in log
    assert "GANETI_HOOKS_PHASE=post" in log
    assert log.count(f"GANETI_INSTANCE_NAME={drill}") == 2
    assert log.count("GANETI_INSTANCE_PRIMARY=n2.tb") == 2
    veto = "/etc/ganeti/hooks/instance-start-pre.d/10no"
    cluster.node("n1").write(veto, "#!/bin/sh\necho not today\nexit 1\n", mode=0o755)
    said = cluster.gnt("gnt-instance", "startup", drill, allowed=(1,))
    assert "not today" in said
    assert cluster.fields("instance", drill, "admin_state", "status") == ["down", "ADMIN_down"]
    cluster.node("n1").run(f"rm {veto}; rm -r /etc/ganeti/hooks")
    cluster.node("n2").run("rm -r /etc/ganeti/hooks")


def test_a_job_survives_the_death_of_the_master_and_of_a_node_daemon(
    cluster: Cluster, drill: str
) -> None:
    add = ("gnt-instance", "add", "--submit", "-t", "drbd", "-n", "n2.tb:n3.tb", *GUEST, drill)
    job = cluster.gnt(*add).split("JobID: ")[1].split()[0]
    time.sleep(4.0)
    cluster.node("n2").run("kill -9 $(cat /run/clusterd/clusterd-node.pid)")
    cluster.node("n1").run("kill -9 $(cat /run/clusterd/clusterd-master.pid)")
    time.sleep(1.0)
    for node, daemon in (("n2", "clusterd-node"), ("n1", "clusterd-master")):
        cluster.node(node).run([daemon, "--start"])
    assert ended(cluster, job) == "success"
    # a daemon that was just begun asks libvirt for the first time, which takes it a while
    deadline = time.monotonic() + SEEN_S
    while cluster.fields("instance", drill, "status") == ["ERROR_nodedown"]:
        assert time.monotonic() < deadline, "n2 is not seen again"
        time.sleep(1.0)
    assert cluster.fields("instance", drill, "status", "pnode") == ["running", "n2.tb"]
    assert cluster.running_on(drill) == ["n2"]
    assert len(volumes(cluster)) == 4
    cluster.gnt("gnt-instance", "remove", "-f", "--shutdown-timeout=0", drill)
    assert volumes(cluster) == []


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("-t", "drbd", "-n", "n2.tb:n9.tb"), "unknown_entity", "n9.tb"),
        (("-t", "drbd", "-n", "n2.tb"), "wrong_input", "mirror node"),
        (("-t", "rbd", "-n", "n2.tb"), "wrong_input", "not enabled"),
        (("-t", "plain", "-n", "n2.tb", "-o", "nosuch"), "wrong_input", "nosuch"),
        (("-t", "plain", "-n", "n2.tb", "-B", "memory=9999"), "insufficient_resources", "memory"),
        (
            ("-t", "plain", "-n", "n2.tb", "--disk", "0:size=99G"),
            "insufficient_resources",
            "disk space",
        ),
        (("-t", "plain", "-n", "n2.tb", "--net", "0:link=nobr"), "environment_error", "nobr"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_changed(
    cluster: Cluster, words: tuple[str, ...], code: str, text: str
) -> None:
    usual = [word for word in GUEST if "-o" not in words or word not in ("-o", "demo-guest")]
    if "--disk" in words:
        usual = [word for word in usual if word not in ("--disk", "0:size=64M")]
    if "-B" in words:
        usual = [word for word in usual if word not in ("-B", "memory=96")]
    said = cluster.gnt(
        "gnt-instance", "add", "--ignore-ipolicy", *usual, *words, "bad.tb", allowed=(1,)
    )
    assert f"error type: {code}, error details:" in said
    assert text in said
    assert "bad.tb" not in cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "name")
    assert volumes(cluster) == []
