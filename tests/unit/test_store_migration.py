"""A living cluster's store is moved to etcd and back; a move that is killed is gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterd.doorway.client import Door, door_path
from clusterd.moving import ASIDE, MARKER
from clusterd.settings import DAEMONS, Settings
from tests.unit.test_first_cluster import NODE, PROGRAMS, Host

pytestmark = pytest.mark.real

PATIENCE_S = 30.0


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A machine whose daemons are gone afterwards."""
    found = Host(tmp_path)
    yield found
    for daemon in DAEMONS:
        pid = found.pid(daemon)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


def jobs_of(host: Host) -> list[list[str]]:
    """All jobs: number, status, summary, result."""
    listed = host.run(
        "gnt-job", "list", "--no-headers", "--separator=|", "-o", "id,status,summary,opresult"
    )
    return [line.split("|") for line in listed.splitlines()]


def store_of(host: Host) -> str:
    """What the settings say."""
    return Settings.load(environment={"CLUSTERD_ROOT": str(host.root)}).store.engine


def test_everything_moves_to_etcd_and_back_with_a_job_under_way(host: Host) -> None:
    host.init()
    host.run("gnt-debug", "delay", "0")
    host.run("gnt-cluster", "modify", "--mac-prefix=aa:01:02")
    before = jobs_of(host)
    file = Settings.load(environment={"CLUSTERD_ROOT": str(host.root)}).store_path
    assert "Engine: sqlite" in host.run("gnt-cluster", "store", "info")

    host.run("gnt-debug", "delay", "--submit", "4")
    said = host.run("gnt-cluster", "store", "migrate", "--to=etcd", "--yes-do-it")
    assert "copied, read back and equal" in said
    assert store_of(host) == "etcd"
    assert not file.exists()
    assert file.with_name(file.name + ASIDE).exists()
    assert jobs_of(host)[: len(before)] == before
    assert "State: leader" in host.run("gnt-cluster", "store", "info")
    number = jobs_of(host)[-1][0]
    host.run("gnt-job", "wait", number)
    host.run("gnt-debug", "delay", "0")
    assert "aa:01:02" in host.run("gnt-cluster", "info")
    assert "already" in host.run("gnt-cluster", "store", "migrate", "--to=etcd")

    there = jobs_of(host)
    epoch = epoch_of(host)
    host.run("gnt-cluster", "store", "migrate", "--to=sqlite", "--yes-do-it")
    assert store_of(host) == "sqlite"
    assert jobs_of(host) == there
    assert epoch_of(host) > epoch
    assert host.pid("clusterd-store") is None
    host.run("gnt-debug", "delay", "0")
    assert not (host.own.state_directory / MARKER).exists()
    host.run("gnt-cluster", "destroy", "--yes-do-it")


def epoch_of(host: Host) -> int:
    """The number of the mastership that the node has seen."""
    door = Door(door_path({"CLUSTERD_ROOT": str(host.root)}))
    try:
        return int(json.loads(json.dumps(door.call("QueryMastership")))["epoch"])
    finally:
        door.close()


@pytest.mark.parametrize("words", ["starting an empty etcd", "copying to"])
def test_a_move_that_is_killed_is_gone_on_with(host: Host, words: str) -> None:
    host.init()
    before = jobs_of(host)
    command = [str(PROGRAMS / "gnt-cluster"), "store", "migrate", "--to=etcd", "--yes-do-it"]
    own = {"CLUSTERD_ROOT": str(host.root), "CLUSTERD_HOSTNAME": NODE}
    with subprocess.Popen(
        command,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as moving:
        assert moving.stdout is not None
        for line in moving.stdout:
            if line.startswith(words):
                break
        os.killpg(moving.pid, signal.SIGKILL)
    _until_no_mover(host)
    if store_of(host) == "sqlite":
        host.run("clusterd-master", "--start")
        assert jobs_of(host) == before
    host.run("gnt-cluster", "store", "migrate", "--to=etcd", "--yes-do-it")
    assert store_of(host) == "etcd"
    assert jobs_of(host)[: len(before)] == before
    assert NODE in host.run("gnt-node", "list")


def _until_no_mover(host: Host) -> None:
    """Its process group was killed with the command; the lock tells that it is gone."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = subprocess.run(
            ["pgrep", "-f", f"move-store-to.*{host.root}"], check=False, stdout=subprocess.PIPE
        )
        if not found.stdout:
            return
        time.sleep(0.05)
