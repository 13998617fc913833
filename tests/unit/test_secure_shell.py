"""The SSH connection, against a real sshd on loopback."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from clusterd.secure_shell import File, SecureShell, ShellFailed
from tests.ports import free_port
from tests.unit.sshd import Server, make_key, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("ssh") / "s") as found:
        yield found


@pytest.fixture
def shell(server: Server) -> Iterator[SecureShell]:
    opened = SecureShell.open(server.target())
    yield opened
    opened.close()


def test_commands_and_their_codes(shell: SecureShell) -> None:
    ran = shell.run("cat; echo problem >&2; exit 3", given=b"given")
    assert (ran.code, ran.output, ran.last_words) == (3, "given", "problem")
    with pytest.raises(ShellFailed, match=r"127\.0\.0\.1: false says: exit code 1"):
        shell.check("false")


def test_a_command_that_takes_too_long_is_told(shell: SecureShell) -> None:
    with pytest.raises(ShellFailed, match="sleep did not end within 1 s"):
        shell.run("A=1 sleep 20", timeout_s=1)


def test_much_output_neither_hangs_nor_fills_memory(shell: SecureShell) -> None:
    assert len(shell.run("head -c 5000000 /dev/zero").output) == 1024 * 1024


def test_files_are_whole_private_and_replaced(shell: SecureShell, tmp_path: Path) -> None:
    path = tmp_path / "a file"
    assert shell.read(str(path)) is None
    assert shell.mode(str(path)) is None
    shell.put(File(str(path), b"one"))
    shell.put(File(str(path), b"two", 0o640))
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert shell.mode(str(path)) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["a file"]
    shell.remove(str(path))
    shell.remove(str(path))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_no_directory_is_told(shell: SecureShell, tmp_path: Path) -> None:
    with pytest.raises(ShellFailed, match="cannot write"):
        shell.put(File(f"{tmp_path}/missing/file", b""))


def test_an_unknown_key_is_refused_with_its_fingerprint(server: Server) -> None:
    asked = []

    def decline(host: str, shown: str) -> bool:
        asked.append((host, shown))
        return False

    target = server.target(known_hosts=())
    with pytest.raises(ShellFailed, match=r"not known \(ssh-ed25519 SHA256:.*--no-ssh-key-check"):
        SecureShell.open(target, decline)
    assert asked == [("127.0.0.1", asked[0][1])]
    assert not target.record.exists()


@pytest.mark.parametrize("accept", [True, False])
def test_a_key_that_was_taken_is_recorded_and_known(
    server: Server, tmp_path: Path, accept: bool
) -> None:
    record = tmp_path / "state" / "known_hosts"
    target = server.target(known_hosts=(), record=record, accept_unknown=accept)
    SecureShell.open(target, lambda host, shown: True).close()
    assert record.read_text() == server.known_line
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    # now nobody is asked
    SecureShell.open(server.target(known_hosts=(), record=record)).close()
    assert record.read_text() == server.known_line


def test_a_changed_key_is_refused_even_when_unknown_ones_are_taken(
    server: Server, tmp_path: Path
) -> None:
    other = make_key(tmp_path / "other")
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{server.port} {other}\n")
    with pytest.raises(ShellFailed, match="is not the one that is recorded") as caught:
        SecureShell.open(server.target(known_hosts=(known,), accept_unknown=True))
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in str(caught.value)


def test_the_key_is_known_by_name_wherever_the_machine_is(server: Server, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text(f"[n2.example.com]:{server.port} {server.host_key}\n")
    named = server.target(host="n2.example.com", known_hosts=(known,))
    with pytest.raises(ShellFailed, match="cannot be resolved"):
        SecureShell.open(named)
    SecureShell.open(msgspec.structs.replace(named, address="127.0.0.1")).close()
    with pytest.raises(ShellFailed, match="is not known"):
        SecureShell.open(
            server.target(host="n3.example.com", address="127.0.0.1", known_hosts=(known,))
        )


def test_a_key_that_may_not_log_in_is_told(server: Server, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    with pytest.raises(ShellFailed, match=r"takes none of our keys.*ssh-copy-id"):
        SecureShell.open(server.target(identities=(tmp_path / "stranger",)))


def test_nobody_there_is_told(server: Server) -> None:
    with pytest.raises(ShellFailed, match="is the machine up, and sshd running"):
        SecureShell.open(server.target(port=free_port()))


def test_a_name_that_does_not_resolve_is_told(server: Server) -> None:
    with pytest.raises(ShellFailed, match="cannot be resolved"):
        SecureShell.open(server.target(host="no-such-host.invalid"))


def test_a_server_without_files_is_told(tmp_path: Path) -> None:
    with serving(tmp_path / "s", files=False) as server:
        shell = SecureShell.open(server.target())
        with pytest.raises(ShellFailed, match="Subsystem sftp"):
            shell.read("/etc/hostname")
        shell.close()
