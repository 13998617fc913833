"""Three candidates as processes of this machine, each below a prefix, at an address of its own.

The real daemons and a real etcd of three members, without the cost of node hosts: everything of the
master's host is killed at once, as a power failure would, and another one goes on.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from clusterd import certificates
from clusterd.certificates import Subject
from clusterd.pidfile import holder
from clusterd.settings import DAEMONS, NodeSection, RapiSection, Settings, StoreSection
from tests.unit.places import free_port

pytestmark = pytest.mark.real

PROGRAMS = Path(sys.executable).parent
PATIENCE_S = 60.0
USERS = "jack secret write\n"


class Host:
    """One machine: a prefix and a loopback address."""

    def __init__(self, number: int, root: Path, ports: tuple[int, int, int, int]) -> None:
        node, rapi, client, peer = ports
        self.name = f"n{number}.example.com"
        self.address = f"127.0.0.{number}"
        self.root = root
        self.own = Settings(
            node=NodeSection(port=node, bind_address=self.address),
            rapi=RapiSection(port=rapi, bind_address=self.address),
            store=StoreSection(client_port=client, peer_port=peer),
            root=str(root),
        )
        self.own.path.parent.mkdir(parents=True)
        self.own.path.write_text(self.own.to_toml())

    def run(self, *words: str, code: int | None = 0) -> str:
        """A command of the operator; what it says."""
        done = subprocess.run(
            [str(PROGRAMS / words[0]), *words[1:]],
            env={**os.environ, "CLUSTERD_ROOT": str(self.root), "CLUSTERD_HOSTNAME": self.name},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        assert code in (None, done.returncode), f"{words}: {done.returncode}: {done.stdout}"
        return done.stdout

    def power_off(self) -> None:
        """Everything that runs here dies at once; etcd with the daemon that runs it."""
        for daemon in DAEMONS:
            pid = holder(self.own.pid_path(daemon))
            if pid is not None:
                os.kill(pid, signal.SIGKILL)

    def be_joined(self, master: Host) -> None:
        """What ``gnt-node add`` does over SSH."""
        state = self.own.state_directory
        state.mkdir(parents=True)
        authority = certificates.read_authority(master.own.state_directory)
        subject = Subject(name=self.name, addresses=(self.address,))
        certificates.write_node(state, certificates.issue_node(authority, subject, time.time()))
        (state / certificates.AUTHORITY_FILE).write_bytes(authority.certificate)
        joined = msgspec.structs.replace(
            self.own,
            cluster=Settings.load(master.own.path).cluster,
            node=NodeSection(
                name=self.name,
                primary_ip=self.address,
                secondary_ip=self.address,
                port=self.own.node.port,
                bind_address=self.address,
            ),
        )
        joined.path.write_text(joined.to_toml())
        self.run("clusterd-node", "--start")
        address = f"--primary-ip={self.address}"
        master.run("gnt-node", "add", "--no-node-setup", address, self.name)

    def ask(self, path: str, body: object = None, timeout_s: float = 5.0) -> object:
        """The remote API of this host, believing only the cluster's own authority."""
        tls = ssl.create_default_context(cafile=str(self.own.state_directory / "ca.pem"))
        request = urllib.request.Request(
            f"https://{self.address}:{self.own.rapi.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Basic amFjazpzZWNyZXQ=",
                "Content-Type": "application/json",
            },
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
        )
        with opener.open(request, timeout=timeout_s) as answer:
            return json.load(answer)

    def statuses(self) -> dict[str, str]:
        rows = self.run("gnt-job", "list", "--no-headers", "--separator=|", "-o", "id,status")
        return dict(row.split("|") for row in rows.split())

    def members(self) -> list[str]:
        known = json.loads((self.own.state_directory / "store-members").read_bytes())
        return sorted(one["name"] for one in known)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Host]]:
    """Three candidates, the first is master."""
    directory = tmp_path_factory.mktemp("three")
    ports = (free_port(), free_port(), free_port(), free_port())
    made = [Host(number, directory / f"n{number}", ports) for number in (1, 2, 3)]
    try:
        made[0].run(
            *("gnt-cluster", "init", "--store=etcd", "--enabled-disk-templates=diskless"),
            *("--enabled-hypervisors=memory", "--master-netdev=lo", "--primary-ip=127.0.0.1"),
            *("--master-ip=127.0.0.1", "c.example.com"),
        )
        made[0].own.users_path.write_text(USERS)
        for host in made[1:]:
            host.be_joined(made[0])
        yield made
    finally:
        for host in made:
            host.power_off()


def test_all_are_candidates_and_members(hosts: list[Host]) -> None:
    rows = hosts[0].run("gnt-node", "list", "--no-headers", "--separator=|", "-o", "name,role")
    assert [row.split("|")[1] for row in rows.split()] == ["M", "C", "C"]
    deadline = time.monotonic() + PATIENCE_S
    while len(hosts[2].members()) < 3:
        assert time.monotonic() < deadline, hosts[2].members()
        time.sleep(0.2)
    info = hosts[2].ask("/2/info")
    assert isinstance(info, dict)
    assert info["master"] == hosts[0].name
    said = hosts[1].run("gnt-node", "list", code=11)
    assert f"please connect to node '{hosts[0].name}'" in said
    assert hosts[1].run("gnt-cluster", "getmaster").strip() == hosts[0].name


def accepted(hosts: list[Host]) -> tuple[Host, str]:
    """Who accepts a job first, and its number."""
    deadline = time.monotonic() + PATIENCE_S
    said: object = "nothing"
    while time.monotonic() < deadline:
        for host in hosts:
            try:
                return host, str(host.ask(f"/2/nodes/{host.name}/modify", {"drained": False}, 1.0))
            except (OSError, ValueError) as error:
                said = error
        time.sleep(0.05)
    raise AssertionError(f"nobody accepts a job: {said}")


def test_another_one_goes_on_when_the_master_s_host_is_gone(hosts: list[Host]) -> None:
    one, two, three = hosts
    delay = ("gnt-debug", "delay", "--submit", "--no-master", "-n", two.name)
    numbers = [one.run(*delay, "6").split("JobID: ")[1].split()[0] for _ in range(3)]
    before = one.statuses()
    assert [before[number] for number in numbers] == ["running", "waiting", "waiting"]
    begun = time.monotonic()
    one.power_off()
    _host, number = accepted([two, three])
    print(f"master_recovery_s={time.monotonic() - begun:.2f}")
    master = two.run("gnt-cluster", "getmaster").strip()
    now = next(host for host in hosts if host.name == master)
    deadline = time.monotonic() + PATIENCE_S
    while {"running", "queued", "waiting"} & set((found := now.statuses()).values()):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    assert found == {**before, **dict.fromkeys([*numbers, number], "success")}


def test_the_former_master_comes_back_and_is_chosen(hosts: list[Host]) -> None:
    one = hosts[0]
    for daemon in DAEMONS:
        one.run(daemon, "--start")
    assert "please connect to node" in one.run("gnt-node", "list", code=11)
    assert f"{one.name} is the master now" in one.run("gnt-cluster", "master-failover")
    assert "master already" in one.run("gnt-cluster", "master-failover", code=1)
    one.run("gnt-debug", "delay", "0.1")


def test_who_is_candidate_no_more_has_no_secrets_and_no_vote(hosts: list[Host]) -> None:
    one, _, three = hosts
    one.run("gnt-node", "modify", "--master-candidate=no", "--force", three.name)
    left = {path.name for path in three.own.state_directory.iterdir()}
    assert not {"ca.key", "store.key", "store-ca.key", "rapi.pem", "etcd"} & left
    assert [holder(three.own.pid_path(daemon)) for daemon in DAEMONS[1:]] == [None] * 3
    deadline = time.monotonic() + PATIENCE_S
    while one.members() != [one.name]:
        assert time.monotonic() < deadline, one.members()
        time.sleep(0.2)
    assert one.run("gnt-cluster", "getmaster").strip() == one.name
