"""The master's host loses its power: three real node hosts, the store on a real etcd of three."""

from __future__ import annotations

import io
import json
import shlex
import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.demo.cluster import Cluster
from tests.demo.report import Report
from tests.testbed.fixtures import three_hosts  # noqa: F401
from tests.testbed.node import Node
from tests.testbed.testbed import Testbed

pytestmark = pytest.mark.real

USER = ("jack", "secret")
PATIENCE_S = 120.0
DAEMONS = ("clusterd-node", "clusterd-store", "clusterd-master", "clusterd-rapi")


@pytest.fixture(scope="module")
def cluster(three_hosts: Testbed) -> Cluster:  # noqa: F811
    """Three candidates; the first is master."""
    made = Cluster(three_hosts, Report(Console(file=io.StringIO())))
    # node hosts are slow: an etcd on them may need seconds for an answer while others test
    made.node("n1").write("/etc/clusterd/clusterd.toml", "[store]\nlease_s = 20.0\n")
    made.gnt(
        *("gnt-cluster", "init", "--store=etcd", "--enabled-disk-templates=diskless"),
        *("--enabled-hypervisors=memory", "--master-netdev=br0", "cluster.tb"),
    )
    made.node("n1").run(f"echo {' '.join(USER)} write >/var/lib/clusterd/rapi/users")
    for name in ("n2.tb", "n3.tb"):
        made.gnt("gnt-node", "add", name)
    return made


def on(node: Node, *words: str, code: int = 0) -> str:
    """A command on this node."""
    done = node.run(shlex.join(words), check=False, timeout_s=150.0)
    assert done.code == code, f"{words} on {node.name} ended with {done.code}: {done}"
    return done.stdout + done.stderr


def roles(node: Node) -> dict[str, str]:
    rows = on(node, "gnt-node", "list", "--no-headers", "--separator=|", "-o", "name,role")
    return dict(row.split("|") for row in rows.split())


def members(node: Node) -> list[str]:
    """Of the store, as this node knows them."""
    return sorted(one["name"] for one in json.loads(node.read("/var/lib/clusterd/store-members")))


def statuses(node: Node) -> dict[str, str]:
    rows = on(node, "gnt-job", "list", "--no-headers", "--separator=|", "-o", "id,status")
    return dict(row.split("|") for row in rows.split())


def test_nodes_that_join_become_candidates_and_members_of_the_store(cluster: Cluster) -> None:
    one, two, three = cluster.testbed.nodes()
    assert roles(one) == {"n1.tb": "M", "n2.tb": "C", "n3.tb": "C"}
    deadline = time.monotonic() + PATIENCE_S
    while members(three) != ["n1.tb", "n2.tb", "n3.tb"]:
        assert time.monotonic() < deadline, members(three)
        time.sleep(0.5)
    assert on(two, "gnt-cluster", "getmaster").strip() == "n1.tb"
    said = on(three, "gnt-node", "list", code=11)
    assert "please connect to node 'n1.tb'" in said


def test_the_power_of_the_master_is_cut_while_jobs_run(cluster: Cluster) -> None:
    one, two, three = cluster.testbed.nodes()
    delay = "gnt-debug delay --submit --no-master -n n2.tb"
    listed = "gnt-job list --no-headers --separator='|' -o id,status"
    words = f"({delay} 0.1; {delay} 20; {delay} 0.2; {listed}) 2>&1"
    said = one.run(words, timeout_s=120.0).stdout
    numbers = [line.split("JobID: ")[1] for line in said.splitlines() if "JobID: " in line]
    before = dict(line.split("|") for line in said.splitlines() if "|" in line)
    assert [before[number] for number in numbers[1:]] == ["running", "waiting"]
    python = str(Path(".venv/bin/python").absolute())
    begun = time.monotonic()
    one.kill()
    probe = [python, "-m", "tests.system.recovery_probe", *USER, str(PATIENCE_S)]
    said = cluster.testbed.outside([*probe, two.address, three.address], timeout_s=PATIENCE_S + 30)
    taken_s = time.monotonic() - begun
    print(f"master_recovery_s={taken_s:.1f}")
    accepted = said.stdout.split()[1]
    deadline = time.monotonic() + PATIENCE_S
    known = {"n2.tb": two, "n3.tb": three}
    while (said := two.run("gnt-cluster getmaster", check=False)).stdout.strip() not in known:
        # it had not yet heard of the new master
        assert time.monotonic() < deadline, said
        time.sleep(0.5)
    next_ = known[said.stdout.strip()]
    while {"running", "queued", "waiting"} & set((found := statuses(next_)).values()):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    assert found == {**before, **dict.fromkeys([*numbers, accepted], "success")}
    wanted = f"{cluster.testbed.settings.net}.10/"
    assert wanted in next_.run(["ip", "-o", "-4", "addr", "show", "br0"]).stdout
    # clients that know only the cluster's name go on as before
    cluster.testbed.outside([*probe, wanted[:-1]], timeout_s=PATIENCE_S + 30)


def test_the_former_master_comes_back_and_is_made_master_again(cluster: Cluster) -> None:
    one = cluster.testbed.node("n1")
    one.start()
    for daemon in DAEMONS:
        on(one, daemon, "--start")
    assert "please connect to node" in on(one, "gnt-node", "list", code=11)
    assert "n1.tb is the master now" in on(one, "gnt-cluster", "master-failover")
    assert roles(one) == {"n1.tb": "M", "n2.tb": "C", "n3.tb": "C"}


def test_a_node_that_is_candidate_no_more_has_no_secrets_and_no_vote(cluster: Cluster) -> None:
    one, _two, three = cluster.testbed.nodes()
    on(one, "gnt-node", "modify", "--master-candidate=no", "--force", "n3.tb")
    left = three.run(["ls", "/var/lib/clusterd"]).stdout.split()
    assert not {"ca.key", "store.key", "store-ca.key", "rapi.pem", "etcd"} & set(left), left
    assert members(one) == ["n1.tb"]
    assert on(one, "gnt-cluster", "getmaster").strip() == "n1.tb"
