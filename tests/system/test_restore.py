"""The master's machine is lost and its state was in a file: another candidate is made master from a
backup, by its operator's commands on its own directories; the lost one comes back and does no harm.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest

from clusterd.pidfile import holder
from clusterd.settings import DAEMONS
from tests.three_candidates import PATIENCE_S, Host, machines

pytestmark = pytest.mark.real

BACKUP = "cluster.tar.gz"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Host]]:
    """Two candidates, the first is master, its store a file."""
    with machines(tmp_path_factory.mktemp("two"), 2, store="sqlite") as made:
        yield made


def running(host: Host) -> list[str]:
    """Which daemons do."""
    return [one for one in DAEMONS if holder(host.own.pid_path(one)) is not None]


def test_a_candidate_has_the_keys_and_cannot_take_over_by_itself(hosts: list[Host]) -> None:
    one, two = hosts
    assert running(two) == ["clusterd-node"]
    there = {path.name for path in two.own.state_directory.iterdir()}
    assert {"ca.pem", "ca.key", "node.pem", "node.key", "rapi.pem", "rapi"} <= there
    assert not two.own.store_path.exists()
    said = two.run("gnt-cluster", "master-failover", code=1)
    assert "run 'gnt-cluster backup' on the master and 'gnt-cluster restore' here" in said
    assert one.run("gnt-cluster", "getmaster").strip() == one.name


def test_the_state_of_a_backup_lives_on_elsewhere(hosts: list[Host]) -> None:
    one, two = hosts
    one.run("gnt-cluster", "modify", "--mac-prefix=aa:01:02")
    one.run("gnt-debug", "delay", "0")
    waiting = one.run("gnt-debug", "delay", "--submit", "4").split("JobID: ")[1].split()[0]
    one.run("gnt-cluster", "backup", str(one.root / BACKUP))
    before = one.statuses()
    assert before[waiting] == "running"
    one.run("gnt-debug", "delay", "0")
    shutil.copy(one.root / BACKUP, two.root / BACKUP)
    restore = ("gnt-cluster", "restore", "--yes-do-it", str(two.root / BACKUP))
    assert "still answers" in two.run(*restore, code=1)
    assert not two.own.store_path.exists()
    one.power_off()
    assert f"{two.name} is the master" in two.run(*restore)
    assert two.run("gnt-cluster", "getmaster").strip() == two.name
    assert "aa:01:02" in two.run("gnt-cluster", "info")
    deadline = time.monotonic() + PATIENCE_S
    while (found := two.statuses())[waiting] == "running":
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    # what was asked for since the backup is lost; what ran then has gone on to its end
    assert found == {**before, waiting: "success"}
    two.run("gnt-debug", "delay", "--no-master", "-n", two.name, "0.1")


def test_the_former_master_comes_back_and_is_refused(hosts: list[Host]) -> None:
    one, two = hosts
    one.run("clusterd-node", "--start")
    deadline = time.monotonic() + PATIENCE_S
    delay = ("gnt-debug", "delay", "--no-master", "-n", one.name, "0.1")
    while "success" not in _said(two, *delay):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    # its old store still says that it is master; its own node has seen a higher epoch
    one.run("clusterd-master", code=None)
    while holder(one.own.pid_path("clusterd-master")) is not None:
        assert time.monotonic() < deadline, "a deposed master goes on"
        time.sleep(0.2)
    assert "deposed" in (one.own.log_path("clusterd-master")).read_text()
    two.run(*delay)
    assert two.run("gnt-cluster", "getmaster").strip() == two.name


def _said(host: Host, *words: str) -> str:
    """``success`` when a command ends well."""
    try:
        host.run(*words)
    except AssertionError as error:
        return str(error)
    return "success"
