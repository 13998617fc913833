"""The unmodified GanetiRapiClient against clusterd-rapi: real processes, real TLS, on loopback.

Behind the door is a simulated cluster, so that the whole life of an instance takes seconds; the
system tests run the same exercise on real node hosts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clusterd.certificates import issue_rapi, make_authority, write_rapi
from clusterd.settings import ClusterSection, NodeSection, RapiSection, Settings
from clusterd.simulation.pretended_site import OS_NAME
from tests.acceptance import stock_client
from tests.acceptance.exercise import Plan, exercise, finish
from tests.acceptance.furnishing import CARDS, laboratory, network, regroup, tag
from tests.ports import free_port
from tests.unit.places import CHECKOUT

pytestmark = pytest.mark.real

PLAN = Plan(
    instance="web1.example.com",
    nodes=("node2", "node3"),
    os=OS_NAME,
    hypervisor="memory",
    job_s=60,
)
START_S = 60


class Front:
    """A RAPI with a simulated cluster behind it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.settings = Settings(
            cluster=ClusterSection(name="cluster", uuid="6b1f9a0e-0000-4000-8000-000000000002"),
            node=NodeSection(name="node1", role="master-candidate", primary_ip="127.0.0.1"),
            rapi=RapiSection(port=self.port, bind_address="127.0.0.1", user=""),
            root=str(root),
        )
        self.authority = root / "authority.pem"
        self.processes: list[subprocess.Popen[str]] = []

    def prepare(self) -> None:
        """Settings, certificate and users, as the cluster's beginning makes them."""
        self.settings.path.parent.mkdir(parents=True)
        self.settings.path.write_text(self.settings.to_toml())
        state = self.settings.state_directory
        state.mkdir(parents=True)
        authority = make_authority("cluster", time.time())
        self.authority.write_bytes(authority.certificate)
        pair = issue_rapi(authority, ("localhost", "127.0.0.1"), time.time())
        write_rapi(state, pair, authority.certificate)
        self.settings.users_path.parent.mkdir()
        self.settings.users_path.write_text("jack secret write\nreader pass read\n")
        self.settings.run_directory.mkdir(parents=True)
        self.settings.log_directory.mkdir(parents=True)

    def start(self) -> None:
        """Both processes; returns once they serve."""
        master = self._process(
            sys.executable,
            "-m",
            "tests.acceptance.simulated_master",
            str(self.root / "simulation"),
            str(self.settings.socket_directory),
        )
        assert master.stdout is not None
        while (line := master.stdout.readline()) != "ready\n":
            assert line, "the simulated master ended"
        self._process(str(Path(sys.executable).parent / "clusterd-rapi"), "--foreground")
        self._wait_until_it_serves()

    def _process(self, *words: str) -> subprocess.Popen[str]:
        with (self.root / "output.txt").open("a") as output:
            process = subprocess.Popen(
                words,
                cwd=CHECKOUT,
                env={**os.environ, "CLUSTERD_ROOT": str(self.root), "PYTHONPATH": str(CHECKOUT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if not self.processes else output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def _wait_until_it_serves(self) -> None:
        client = self.client()
        deadline = time.monotonic() + START_S
        while True:
            try:
                client.GetVersion()
            except stock_client.load().GanetiApiError:
                assert time.monotonic() < deadline, (self.root / "output.txt").read_text()
                assert self.processes[-1].poll() is None, (self.root / "output.txt").read_text()
                time.sleep(0.1)
            else:
                return

    def client(self, user: str = "jack", password: str = "secret") -> Any:
        return stock_client.client(self.port, user, password, self.authority)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    made = Front(tmp_path_factory.mktemp("rapi"))
    made.prepare()
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_the_life_of_an_instance(front: Front) -> None:
    exercise(front.client(), PLAN)


def test_the_life_of_an_instance_without_a_mirror(front: Front) -> None:
    plan = msgspec.structs.replace(
        PLAN, instance="plain1.example.com", disk_template="plain", nics=CARDS
    )
    client = front.client()
    with laboratory(client, plan):
        exercise(client, plan)


def test_tags_of_everything(front: Front) -> None:
    client = front.client()
    tag(client, PLAN, "Cluster")
    tag(client, PLAN, "Node", PLAN.nodes[0])
    tag(client, PLAN, "Group", client.GetGroups()[0])


def test_the_life_of_a_node_group(front: Front) -> None:
    regroup(front.client(), PLAN)


def test_the_life_of_a_network(front: Front) -> None:
    network(front.client(), PLAN)


def test_what_the_client_makes_of_errors(front: Front) -> None:
    module = stock_client.load()
    client = front.client()
    with pytest.raises(module.GanetiApiError, match="404 Not Found") as caught:
        client.GetInstance("nosuch")
    assert caught.value.code == 404
    with pytest.raises(module.GanetiApiError) as caught:
        client.ModifyInstance("web9", nosuchparam=1)
    assert caught.value.code == 400
    with pytest.raises(module.GanetiApiError) as caught:
        front.client("reader", "pass").StartupInstance("web9")
    assert caught.value.code == 403
    with pytest.raises(module.GanetiApiError) as caught:
        front.client("jack", "wrong").StartupInstance("web9")
    assert caught.value.code == 401
    with pytest.raises(module.GanetiApiError) as caught:
        client.PowercycleNode("node9", force=True)
    assert caught.value.code == 501


def test_what_is_refused_is_seen_in_the_job(front: Front) -> None:
    client = front.client()
    job_id = client.StartupInstance("nosuch.example.com")
    assert client.WaitForJobCompletion(job_id, period=0.1, retries=200) is False
    (result,) = client.GetJobStatus(job_id)["opresult"]
    assert result[0] == "OpPrereqError"
    assert result[1][1] == "unknown_entity"


def test_a_dry_run_changes_nothing(front: Front) -> None:
    client = front.client()
    job_id = client.CreateInstance(
        "create",
        "dry1.example.com",
        "plain",
        [{"size": 1024}],
        [{}],
        dry_run=True,
        os=PLAN.os,
        hypervisor=PLAN.hypervisor,
        pnode="node1",
    )
    finish(client, PLAN, job_id)
    assert "dry1.example.com" not in client.GetInstances()


def test_a_job_that_waits_can_be_cancelled(front: Front) -> None:
    client = front.client()
    assert client.CancelJob(999999)[0] is False
    role = client.SetNodeRole("node3", "drained")
    finish(client, PLAN, role)
    assert client.GetNodeRole("node3") == "drained"
    finish(client, PLAN, client.SetNodeRole("node3", "regular", force=True))
    assert client.GetNodeRole("node3") == "regular"
