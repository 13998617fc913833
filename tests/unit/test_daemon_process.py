"""What all daemons share: options, lock, log, start that tells, orderly end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterd import certificates
from clusterd.pidfile import AlreadyRunning, PidFile, holder
from clusterd.settings import Settings
from tests.ports import free_port
from tests.unit.places import NODE, greet, issue, node_settings, programs, run


class Place:
    """One machine: a prefix, a program, keys."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        self.program = programs(directory / "bin") / "clusterd-node"
        self.port = free_port()
        text = node_settings(self.port).to_toml()
        self.settings = Settings.parse(text, source="test", root=str(self.root))
        for path in (self.settings.config_directory, self.settings.state_directory):
            path.mkdir(parents=True)
        self.settings.path.write_text(text)
        authority = certificates.make_authority("c", time.time())
        certificates.write_authority(self.settings.state_directory, authority)
        certificates.write_node(self.settings.state_directory, issue(authority))

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        return run(self.program, *words, root=self.root, **variables)

    def greet(self, say: bytes = b"hello") -> str:
        """Speak to the daemon."""
        return greet(self.settings.state_directory, "127.0.0.1", self.port, say).decode()

    @property
    def pid(self) -> int | None:
        """Of the daemon that runs."""
        return holder(self.settings.pid_path("clusterd-node"))

    def events(self) -> list[dict[str, object]]:
        """The log."""
        lines = self.settings.log_path("clusterd-node").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def wait_gone(self) -> None:
        """Until no daemon runs."""
        for _ in range(200):
            if self.pid is None:
                return
            time.sleep(0.05)
        raise AssertionError("the daemon still runs")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    if made.pid is not None:
        os.kill(made.pid, signal.SIGKILL)


def names(events: list[dict[str, object]]) -> list[object]:
    return [event["event"] for event in events]


def test_version_and_status_without_a_cluster(tmp_path: Path) -> None:
    program = programs(tmp_path / "bin") / "clusterd-node"
    assert run(program, "--version", root=tmp_path).stdout == "clusterd-node 0.1.0 (calls 1)\n"
    status = run(program, "--status", root=tmp_path)
    assert (status.returncode, status.stdout) == (3, "clusterd-node does not run\n")
    assert run(program, "--stop", root=tmp_path).returncode == 0
    started = run(program, root=tmp_path)
    assert started.returncode == 5
    assert "not part of a cluster" in started.stderr


def test_it_serves_when_the_start_returns_and_ends_when_told(place: Place) -> None:
    started = place.run()
    assert (started.returncode, started.stderr) == (0, "")
    assert place.greet() == NODE
    assert place.run("--status").stdout == f"clusterd-node runs as process {place.pid}\n"
    again = place.run()
    assert again.returncode == 1
    assert "runs already, as process" in again.stderr
    assert place.run("--start").returncode == 0
    assert place.run("--stop").returncode == 0
    assert place.pid is None
    events = names(place.events())
    assert events == ["serving", "spoken_to", "stopping", "stopped", "ended"]


def test_every_event_says_which_daemon_on_which_node_and_when(place: Place) -> None:
    place.run()
    place.run("--stop")
    for event in place.events():
        assert event["daemon"] == "clusterd-node"
        assert event["node"] == NODE
        assert str(event["timestamp"]).endswith("Z")


def test_a_daemon_is_alone_without_terminal_and_in_a_session_of_its_own(place: Place) -> None:
    place.run()
    assert place.pid is not None
    fields = Path(f"/proc/{place.pid}/stat").read_text().rsplit(")", 1)[1].split()
    parent, session, terminal = int(fields[1]), int(fields[3]), int(fields[4])
    assert session not in (os.getsid(0), place.pid)
    assert terminal == 0
    assert parent != os.getpid()
    assert {os.readlink(f"/proc/{place.pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}


@pytest.mark.parametrize(
    ("fault", "code", "sentence"),
    [
        ("refuse", 11, "clusterd-node cannot start: the master is another\n"),
        ("die", 1, "clusterd-node ended before it served; see its log\n"),
    ],
)
def test_a_failed_start_is_told_to_the_starter(
    place: Place, fault: str, code: int, sentence: str
) -> None:
    started = place.run(ECHO_FAULT=fault)
    assert (started.returncode, started.stderr) == (code, sentence)
    place.wait_gone()


def test_an_unexpected_error_is_one_sentence_and_a_traceback_in_the_log(place: Place) -> None:
    started = place.run(ECHO_FAULT="bug")
    assert started.returncode == 1
    (line,) = started.stderr.splitlines()
    assert "unexpected ZeroDivisionError" in line
    assert str(place.settings.log_path("clusterd-node")) in line
    (failed,) = [event for event in place.events() if event["event"] == "start_failed"]
    assert "Traceback" in str(failed["exception"])


def test_a_taken_port_is_told(place: Place) -> None:

    with socket.create_server(("127.0.0.1", place.port)):
        started = place.run()
    assert started.returncode == 1
    assert f"127.0.0.1:{place.port}" in started.stderr
    assert "Address already in use" in started.stderr


def test_one_that_does_not_finish_is_ended_all_the_same(place: Place) -> None:
    place.run(ECHO_FAULT="stuck")
    began = time.monotonic()
    assert place.run("--stop").returncode == 0
    assert place.pid is None
    assert time.monotonic() - began < 15


def test_one_that_may_not_go_on_ends_with_a_failure(place: Place) -> None:
    place.run()
    place.greet(b"end")
    place.wait_gone()
    events = place.events()
    assert {"ended", "stopped"} <= set(names(events))
    assert events[-1]["code"] == 1


def test_kill_leaves_nothing_that_hinders_the_next_start(place: Place) -> None:
    place.run()
    assert place.pid is not None
    os.kill(place.pid, signal.SIGKILL)
    place.wait_gone()
    assert place.run().returncode == 0
    assert place.greet() == NODE


def test_hangup_opens_the_log_again(place: Place) -> None:
    place.run()
    log = place.settings.log_path("clusterd-node")
    log.rename(log.with_suffix(".1"))
    assert place.pid is not None
    os.kill(place.pid, signal.SIGHUP)
    for _ in range(100):
        if log.exists():
            break
        time.sleep(0.05)
    place.greet()
    assert names(place.events()) == ["spoken_to"]


def test_in_the_foreground_it_tells_systemd_and_survives_a_lost_journal(place: Place) -> None:

    notify = place.root / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notify))
        systemd.settimeout(30)
        reader, writer = os.pipe()
        child = subprocess.Popen(
            [str(place.program), "-f"],
            env={**os.environ, "CLUSTERD_ROOT": str(place.root), "NOTIFY_SOCKET": str(notify)},
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
        )
        os.close(writer)
        assert systemd.recv(100) == b"READY=1"
        assert b'"event": "serving"' in os.read(reader, 4096)
        os.close(reader)  # the journal is gone: each write to standard error now fails
        assert place.greet() == NODE
        assert place.greet() == NODE
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
    assert names(place.events())[-1] == "ended"


def test_the_port_can_be_given_and_is_explained(place: Place) -> None:
    shown = place.run("--show-effective", "--why", "-p", "2222").stdout.splitlines()
    assert "node.port = 2222  # option --port" in shown
    assert f"node.name = '{NODE}'  # file {place.settings.path}" in shown
    assert "rapi.port = 5080  # default" in shown


def test_two_cannot_hold_one_pid_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    held = PidFile.take(path)
    child = os.fork()
    if child == 0:
        try:
            PidFile.take(path)
        except AlreadyRunning as error:
            os._exit(0 if str(os.getppid()) in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    held.release()
    assert holder(path) is None
