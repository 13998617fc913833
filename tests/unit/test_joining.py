"""A machine joins, against a real sshd and the real node daemon; the other host is a prefix."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from clusterd import certificates
from clusterd.certificates import KeyPair
from clusterd.errors import ClusterError, NodeAway
from clusterd.joining import (
    STAGES,
    Facts,
    Join,
    JoinFailed,
    join_node,
    look_command,
    membership_problem,
    parse_facts,
    same_host,
)
from clusterd.pidfile import holder
from clusterd.secure_shell import SecureShell
from clusterd.settings import NodeSection, Settings
from tests.ports import free_port
from tests.unit.places import NODE, UUID, greet, issue, node_settings
from tests.unit.sshd import Server, serving

PROGRAMS = Path(sys.executable).parent
OTHER = "6b1f9a0e-0000-4000-8000-000000000002"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("ssh") / "s") as found:
        yield found


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    return certificates.make_authority("c.example.com", time.time())


class Elsewhere:
    """The other host, and the master that wants it."""

    def __init__(self, directory: Path, server: Server, authority: KeyPair) -> None:
        self.root = directory / "there"
        self.root.mkdir()
        self.here = directory / "here"
        self.here.mkdir()
        self.server = server
        self.authority = authority
        certificates.write_authority(self.here, authority)
        certificates.write_node(self.here, issue(authority, "n1.example.com"))
        self.port = free_port()
        self.lines: list[str] = []
        self.now: Callable[[], float] = time.time

    def wanted(self, **changes: object) -> Join:
        """What is wanted of it."""
        join = Join(
            settings=node_settings(self.port),
            pair=issue(self.authority),
            authority=self.authority.certificate,
            programs=str(PROGRAMS),
            environment={"CLUSTERD_ROOT": str(self.root), "CLUSTERD_HOSTNAME": NODE},
        )
        return msgspec.structs.replace(join, **changes)

    def greet(self, address: str, port: int) -> None:
        """A handshake with the certificates of this cluster, by the node's name."""
        try:
            answer = greet(self.here, address, port)
        except OSError as error:
            raise NodeAway(f"does not answer: {error}", node=NODE) from error
        # under TLS 1.3 only its first word says that it took our certificate
        if not answer:
            raise NodeAway("hangs up", node=NODE)

    def join(self, join: Join | None = None) -> None:
        """Do it."""
        shell = SecureShell.open(self.server.target())
        try:
            join_node(
                shell,
                self.wanted() if join is None else join,
                report=self.lines.append,
                greet=self.greet,
                now=self.now,
            )
        finally:
            shell.close()

    def refused(self, join: Join | None = None) -> JoinFailed:
        """Do it and answer why not."""
        with pytest.raises(JoinFailed) as caught:
            self.join(join)
        assert NODE in str(caught.value)
        return caught.value

    @property
    def settings(self) -> Settings:
        """What is delivered, where it is delivered."""
        return msgspec.structs.replace(node_settings(self.port), root=str(self.root))

    @property
    def pid(self) -> int | None:
        """Of the daemon there."""
        return holder(self.settings.pid_path("clusterd-node"))

    def files(self) -> dict[str, bytes]:
        """Everything there but logs and what is gone with a reboot."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
            and not path.is_relative_to(self.settings.run_directory)
            and not path.is_relative_to(self.settings.log_directory)
        }


@pytest.fixture
def there(tmp_path: Path, server: Server, authority: KeyPair) -> Iterator[Elsewhere]:
    made = Elsewhere(tmp_path, server, authority)
    yield made
    if made.pid is not None:
        os.kill(made.pid, signal.SIGKILL)


def test_a_machine_joins_and_answers(there: Elsewhere) -> None:
    there.join()
    assert len(there.lines) == len(STAGES)
    assert there.lines[0] == f"{NODE}: has clusterd 0.1.0"
    assert there.lines[-1] == f"{NODE}: answers on 127.0.0.1 port {there.port}"
    assert there.pid is not None
    files = there.files()
    state, config = "var/lib/clusterd/", "etc/clusterd/"
    assert {
        config + "clusterd.toml",
        state + "ca.pem",
        state + "node.pem",
        state + "node.key",
    } <= set(files)
    assert state + "ca.key" not in files
    assert (there.settings.state_directory / "node.key").stat().st_mode & 0o777 == 0o600
    loaded = Settings.load(environment={"CLUSTERD_ROOT": str(there.root)})
    assert (loaded.node, loaded.cluster) == (there.settings.node, there.settings.cluster)


def test_only_a_candidate_gets_the_authority_s_key(there: Elsewhere) -> None:
    there.join(there.wanted(authority_key=there.authority.key))
    assert (there.settings.state_directory / "ca.key").read_bytes() == there.authority.key


def test_again_only_with_readd_and_the_new_keys_count(there: Elsewhere) -> None:
    there.join()
    before, first = there.files(), there.pid
    failed = there.refused()
    assert failed.stage == "membership"
    assert "--readd" in str(failed)
    assert (there.files(), there.pid) == (before, first)
    again = there.wanted(readd=True)
    there.join(again)
    assert there.pid not in (None, first)
    assert (there.settings.state_directory / "node.pem").read_bytes() == again.pair.certificate


def test_a_member_of_another_cluster_stays_there_unless_forced(there: Elsewhere) -> None:
    there.join(there.wanted(settings=node_settings(there.port, uuid=OTHER)))
    (there.settings.state_directory / "node-epoch").write_bytes(b"7")
    before = there.files()
    for readd in (False, True):
        failed = there.refused(there.wanted(readd=readd))
        assert (failed.stage, OTHER in str(failed)) == ("membership", True)
        assert "--force-join" in str(failed)
    assert there.files() == before
    there.join(there.wanted(force=True))
    assert Settings.load(environment={"CLUSTERD_ROOT": str(there.root)}).cluster.uuid == UUID
    # the other cluster's mastership may have a higher number than ours
    assert not (there.settings.state_directory / "node-epoch").exists()


def test_a_failed_greeting_takes_everything_back(there: Elsewhere) -> None:
    stranger = certificates.make_authority("c.example.com", time.time())
    failed = there.refused(there.wanted(authority=stranger.certificate, pair=issue(stranger)))
    assert failed.stage == "greet"
    assert there.pid is None
    assert there.files() == {}
    assert not there.settings.config_directory.exists()
    assert f"{NODE}: taken back: its daemon started" in there.lines


def test_a_failed_readd_leaves_it_as_it_was_and_running(there: Elsewhere) -> None:
    there.join()
    before = there.files()
    stranger = certificates.make_authority("c.example.com", time.time())
    there.refused(there.wanted(readd=True, authority=stranger.certificate, pair=issue(stranger)))
    assert there.files() == before
    there.greet("127.0.0.1", there.port)


def test_a_daemon_that_does_not_start_takes_everything_back(there: Elsewhere) -> None:

    with socket.create_server(("127.0.0.1", there.port)):
        failed = there.refused()
    assert failed.stage == "start"
    assert "Address already in use" in str(failed)
    assert there.files() == {}


def test_an_interrupted_join_takes_everything_back(there: Elsewhere) -> None:
    def interrupt(line: str) -> None:
        if "runs its daemon" in line:
            raise KeyboardInterrupt

    shell = SecureShell.open(there.server.target())
    with contextlib.closing(shell), pytest.raises(KeyboardInterrupt):
        join_node(shell, there.wanted(), report=interrupt, greet=there.greet, now=time.time)
    assert there.pid is None
    assert there.files() == {}


def on(there: Elsewhere, **changes: object) -> Settings:
    node = msgspec.structs.replace(node_settings(there.port).node, **changes)
    return msgspec.structs.replace(node_settings(there.port), node=node)


@pytest.mark.parametrize(
    ("section", "stage", "what"),
    [
        ({"name": "n3.example.com"}, "hostname", "it calls itself n2.example.com"),
        ({"primary_ip": "192.0.2.7"}, "addresses", "primary address 192.0.2.7 is not configured"),
        ({"secondary_ip": "192.0.2.8"}, "addresses", "secondary address 192.0.2.8"),
    ],
)
def test_what_it_is_not_is_refused_before_anything_changed(
    there: Elsewhere, section: dict[str, str], stage: str, what: str
) -> None:
    with pytest.raises(JoinFailed) as caught:
        there.join(there.wanted(settings=on(there, **section)))
    assert caught.value.stage == stage
    assert what in str(caught.value)
    assert there.files() == {}


@pytest.mark.parametrize(("off_s", "word"), [(400.0, "behind"), (-400.0, "ahead")])
def test_a_wrong_clock_is_refused(there: Elsewhere, off_s: float, word: str) -> None:
    there.now = lambda: time.time() + off_s
    failed = there.refused()
    assert failed.stage == "clock"
    assert f"s {word}" in str(failed)
    assert "399" in str(failed) or "400" in str(failed)


def program(directory: Path, text: str) -> str:
    directory.mkdir()
    (directory / "clusterd-node").write_text(f"#!/bin/sh\n{text}\n")
    (directory / "clusterd-node").chmod(0o755)
    return str(directory)


def test_a_machine_without_the_package_is_told_what_to_do(there: Elsewhere) -> None:
    failed = there.refused(there.wanted(programs="/opt/none/bin"))
    assert failed.stage == "program"
    assert "not installed in /opt/none/bin" in str(failed)


@pytest.mark.parametrize(
    ("says", "what"),
    [
        ("echo 'clusterd-node 9.0.0 (calls 99)'", "speaks calls 99"),
        ("echo nonsense; exit 1", "--version there fails: nonsense"),
    ],
)
def test_another_version_is_refused(there: Elsewhere, tmp_path: Path, says: str, what: str) -> None:
    failed = there.refused(there.wanted(programs=program(tmp_path / "bin", says)))
    assert failed.stage == "program"
    assert what in str(failed)


def test_facts_are_read_off_this_machine(server: Server) -> None:
    with contextlib.closing(SecureShell.open(server.target())) as shell:
        facts = parse_facts(shell.check(look_command({})))
    assert abs(facts.time - time.time()) < 5
    assert "127.0.0.1" in facts.addresses
    assert facts.hostname


def test_other_output_is_no_facts() -> None:
    for text in ("", "1\nhost\nno json", "x\nhost\n[]"):
        with pytest.raises(ValueError):
            parse_facts(text)
    assert parse_facts("1.5\nn1\n[]") == Facts(hostname="n1", time=1.5, addresses=())


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ("n2.example.com", "n2.example.com", True),
        ("n2.example.com", "n2", True),
        ("n2", "n2.example.com", False),
        ("n2.example.com", "n2.other.com", False),
        ("n20.example.com", "n2", False),
    ],
)
def test_names_of_hosts(wanted: str, found: str, same: bool) -> None:
    assert same_host(wanted, found) is same


def test_settings_without_a_cluster_do_not_hinder(there: Elsewhere) -> None:
    text = Settings(node=NodeSection(port=5)).to_toml().encode()
    assert membership_problem(there.wanted(), text) == ""
    assert "unreadable" in membership_problem(there.wanted(), b"[[[")
    assert membership_problem(there.wanted(force=True), b"[[[") == ""


def test_undo_that_fails_is_told(there: Elsewhere, tmp_path: Path) -> None:
    """The program there can start its daemon but not stop it."""
    broken = program(
        tmp_path / "bin",
        f'[ "$1" = --stop ] && echo stuck && exit 1; exec {PROGRAMS}/clusterd-node "$@"',
    )

    def refuse(address: str, port: int) -> None:
        raise ClusterError("no")

    shell = SecureShell.open(there.server.target())
    with contextlib.closing(shell), pytest.raises(JoinFailed):
        join_node(
            shell,
            there.wanted(programs=broken),
            report=there.lines.append,
            greet=refuse,
            now=time.time,
        )
    assert any("could not be taken back: its daemon started" in line for line in there.lines)
    assert there.files() == {}
