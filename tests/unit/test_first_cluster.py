"""A cluster of one node from the operator's commands: three real daemons below a prefix."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.submission import AGAIN
from clusterd.doorway.client import SOCKET_VARIABLE
from clusterd.doorway.protocol import MASTER_SOCKET
from clusterd.pidfile import holder
from clusterd.settings import DAEMONS, NodeSection, RapiSection, Settings, StoreSection
from tests.ports import free_port
from tests.unit.go_between import swallowing

PROGRAMS = Path(sys.executable).parent
NODE = "n1.example.com"


class Host:
    """One machine below a prefix, on loopback."""

    def __init__(self, root: Path) -> None:
        self.root = root
        own = Settings(
            node=NodeSection(port=free_port(), bind_address="127.0.0.1"),
            rapi=RapiSection(port=free_port(), bind_address="127.0.0.1"),
            store=StoreSection(client_port=free_port(), peer_port=free_port()),
            root=str(root),
        )
        own.path.parent.mkdir(parents=True)
        own.path.write_text(own.to_toml())
        self.own = own

    @property
    def environment(self) -> dict[str, str]:
        """Of its commands."""
        return {**os.environ, "CLUSTERD_ROOT": str(self.root), "CLUSTERD_HOSTNAME": NODE}

    def kill_master(self) -> None:
        """And see it gone."""
        pid = self.pid("clusterd-master")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            if self.pid("clusterd-master") is None:
                break
            time.sleep(0.05)

    def run(self, *words: str, code: int = 0) -> str:
        """A command of the operator; what it says."""
        done = subprocess.run(
            [str(PROGRAMS / words[0]), *words[1:]],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}: {done.stdout}"
        return done.stdout

    def init(self, *more: str, code: int = 0) -> str:
        """gnt-cluster init"""
        return self.run(
            "gnt-cluster",
            "init",
            *more,
            "--enabled-disk-templates=file,diskless",
            "--enabled-hypervisors=kvm",
            f"--file-storage-dir={self.root}/files",
            "--master-netdev=lo",
            "--primary-ip=127.0.0.1",
            "--master-ip=127.0.0.1",
            "c.example.com",
            code=code,
        )

    def pid(self, daemon: str) -> int | None:
        """Of a daemon that runs."""
        return holder(self.own.pid_path(daemon))

    def rapi(self, path: str) -> object:
        """GET, believing only the cluster's own authority."""
        tls = ssl.create_default_context(cafile=str(self.own.state_directory / "ca.pem"))
        url = f"https://localhost:{self.own.rapi.port}{path}"
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls)
        )
        with opener.open(url, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    for daemon in DAEMONS:
        pid = made.pid(daemon)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


def test_from_nothing_to_a_cluster_and_back(host: Host) -> None:
    host.run("gnt-cluster", "getmaster", code=5)
    host.init()
    assert host.run("gnt-cluster", "getmaster") == f"{NODE}\n"
    assert "CLUSTER_POST_INIT" in host.run("gnt-job", "list")
    assert "already initialised" in host.init(code=1)
    info = host.rapi("/2/info")
    assert isinstance(info, dict)
    assert (info["name"], info["master"]) == ("c.example.com", NODE)
    host.run("gnt-cluster", "destroy", "--yes-do-it")
    assert [host.pid(daemon) for daemon in DAEMONS] == [None] * 4
    assert list(host.own.state_directory.rglob("*.pem")) == []
    host.run("gnt-cluster", "getmaster", code=5)
    assert host.own.path.read_text() == host.own.to_toml()


def test_a_killed_master_comes_back_and_only_here(host: Host) -> None:
    host.init()
    host.kill_master()
    assert "Cannot communicate with the master daemon" in host.run("gnt-node", "list", code=1)
    host.run("clusterd-master", "--start")
    assert NODE in host.run("gnt-node", "list")
    a_submission_whose_answer_is_lost(host)
    host.run("clusterd-master", "--stop")
    # a copy of the disk in another machine is not the master
    text = host.own.path.read_text()
    host.own.path.write_text(text.replace(NODE, "n9.example.com"))
    said = host.run("clusterd-master", code=11)
    assert said == f"clusterd-master cannot start: the master is {NODE}, this is n9.example.com\n"


def a_submission_whose_answer_is_lost(host: Host) -> None:
    """The master is killed when the job is stored and nobody was told; the command goes on."""
    killed = threading.Event()

    def kill() -> None:
        host.kill_master()
        killed.set()

    door = host.own.socket_directory / MASTER_SOCKET
    with (
        swallowing(door, host.root / "between", kill) as between,
        subprocess.Popen(
            [str(PROGRAMS / "gnt-debug"), "delay", "--print-jobid", "0.1"],
            env={**host.environment, SOCKET_VARIABLE: str(between)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as asking,
    ):
        assert killed.wait(60)
        host.run("clusterd-master", "--start")
        out, err = asking.communicate(timeout=60)
    assert asking.returncode == 0, err
    assert AGAIN in err
    rows = host.run("gnt-job", "list", "--no-headers", "-o", "id,summary").splitlines()
    assert [row.split()[0] for row in rows if "DELAY" in row] == out.split()[:1]


@pytest.mark.real
def test_a_cluster_on_etcd_from_nothing_and_back(host: Host) -> None:
    host.init("--store=etcd")
    assert host.run("gnt-cluster", "getmaster") == f"{NODE}\n"
    assert "CLUSTER_POST_INIT" in host.run("gnt-job", "list")
    assert all(host.pid(daemon) for daemon in DAEMONS)
    pid = host.pid("clusterd-master")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    host.run("clusterd-master", "--start")
    assert NODE in host.run("gnt-node", "list")
    host.run("gnt-debug", "delay", "0.1")
    # what the store knows outlives all daemons
    for daemon in reversed(DAEMONS):
        host.run(daemon, "--stop")
    for daemon in DAEMONS:
        host.run(daemon, "--start")
    assert "TEST_DELAY" in host.run("gnt-job", "list")
    host.run("gnt-cluster", "destroy", "--yes-do-it")
    assert [host.pid(daemon) for daemon in DAEMONS] == [None] * 4
    assert list(host.own.state_directory.rglob("*.pem")) == []
    assert not (host.own.state_directory / "etcd").exists()


def test_a_backup_that_was_taken_while_a_job_ran_is_restored(host: Host, tmp_path: Path) -> None:
    host.init()
    kept = tmp_path / "backup"
    host.run("gnt-debug", "delay", "--submit", "3")
    host.run("gnt-cluster", "backup", str(kept))
    assert "exists" in host.run("gnt-cluster", "backup", str(kept), code=1)
    host.run("gnt-debug", "delay", "0.1")
    assert "--yes-do-it" in host.run("gnt-cluster", "restore", str(kept), code=1)
    said = host.run("gnt-cluster", "restore", "--yes-do-it", str(kept), code=1)
    assert "clusterd-master runs here" in said
    host.run("clusterd-master", "--stop")
    host.run("gnt-cluster", "restore", "--yes-do-it", str(kept))
    # what had begun when the backup was taken goes on, what came later is not there
    assert host.run("gnt-job", "wait", "2", code=0) is not None
    rows = host.run("gnt-job", "list", "--no-headers", "--separator=|", "-o", "id,status")
    assert dict(row.split("|") for row in rows.split()) == {"1": "success", "2": "success"}
    assert "gnt-cluster backup" in host.run("gnt-cluster", "master-failover", code=1)
