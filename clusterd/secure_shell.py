"""One SSH connection to a machine that is not ours yet: commands, small files, whose key it has.

Decided here: a host whose key changed is always refused; an unknown one is refused unless somebody
confirms the fingerprint, or the caller says that unknown keys are taken and recorded. Blocking:
this runs in an operator's command, never in a daemon.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import posixpath
import shlex
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import paramiko

from clusterd.errors import ClusterError

Confirm = Callable[[str, str], bool]
"""Asked with the host and its key's fingerprint; True takes the key."""

COMMAND_TIMEOUT_S = 60.0
OUTPUT_MAX_BYTES = 1024 * 1024
FILE_MAX_BYTES = 1024 * 1024


class ShellFailed(ClusterError):
    """A machine cannot be reached over SSH, or does not do what it was told."""

    code = "ssh_failed"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Which machine, and how it may be trusted."""

    host: str
    """The name that its key is known by."""
    address: str = ""
    """Where it is; empty: what the name resolves to."""
    port: int = 22
    user: str = "root"
    identities: tuple[Path, ...] | None = None
    """Private keys; None: the agent's and those in ``~/.ssh``."""
    known_hosts: tuple[Path, ...] = ()
    record: Path
    """Where keys that were confirmed or taken are written to; read like ``known_hosts``."""
    accept_unknown: bool = False
    connect_s: float = 10.0


class File(msgspec.Struct, frozen=True):
    """A small file to be delivered."""

    path: str
    data: bytes
    mode: int = 0o600


class Ran(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        """The end of what it said, for a message."""
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        return " / ".join(lines[-3:])[:400] or f"exit code {self.code}"


def usual_known_hosts() -> tuple[Path, ...]:
    """Where OpenSSH's client looks."""
    return (Path("~/.ssh/known_hosts").expanduser(), Path("/etc/ssh/ssh_known_hosts"))


def key_fingerprint(key: paramiko.PKey) -> str:
    """As ``ssh-keygen -l`` shows it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


class _Unknown(paramiko.MissingHostKeyPolicy):
    def __init__(self, target: Target, confirm: Confirm) -> None:
        self._target = target
        self._confirm = confirm

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        """Take and record, or raise."""
        shown = key_fingerprint(key)
        if not self._target.accept_unknown and not self._confirm(self._target.host, shown):
            raise ShellFailed(
                f"the host key of {self._target.host} is not known ({shown}); compare it with the"
                " key on the machine itself, then confirm it, add it to ~/.ssh/known_hosts, or use"
                " --no-ssh-key-check",
                subject=self._target.host,
            )
        record = self._target.record
        record.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{hostname} {key.get_name()} {key.get_base64()}\n")


class SecureShell:
    """An open connection; close it."""

    def __init__(self, client: paramiko.SSHClient, host: str) -> None:
        self.host = host
        self._client = client
        self._files: paramiko.SFTPClient | None = None

    @classmethod
    def open(cls, target: Target, confirm: Confirm = lambda host, shown: False) -> SecureShell:
        """Connect. Raises ShellFailed with what to do about it."""
        client = paramiko.SSHClient()
        for path in (*target.known_hosts, target.record):
            if path.exists():
                client.load_system_host_keys(str(path))
        client.set_missing_host_key_policy(_Unknown(target, confirm))
        own = target.identities is None
        keys = None if own else [str(path) for path in target.identities or ()]
        sock = None
        try:
            if target.address:
                sock = socket.create_connection(
                    (target.address, target.port), timeout=target.connect_s
                )
            client.connect(
                target.host,
                target.port,
                target.user,
                sock=sock,
                # a list is documented, the stubs know only one
                key_filename=keys,  # type: ignore[arg-type]
                allow_agent=own,
                look_for_keys=own,
                timeout=target.connect_s,
                banner_timeout=target.connect_s,
                auth_timeout=target.connect_s,
            )
        except (ShellFailed, paramiko.SSHException, OSError) as error:
            client.close()
            if sock is not None:
                sock.close()
            raise _explained(target, error) from error
        return cls(client, target.host)

    def run(self, command: str, *, given: bytes = b"", timeout_s: float = COMMAND_TIMEOUT_S) -> Ran:
        """Run a line of shell; ``given`` is its standard input. Any exit code is an answer."""
        try:
            stdin, stdout, stderr = self._client.exec_command(command, timeout=timeout_s)
            stdin.write(given)
            stdin.channel.shutdown_write()
            # read before asking for the code: it comes only after the output was taken
            output, errors = _read_bounded(stdout), _read_bounded(stderr)
            if not stdout.channel.status_event.wait(timeout_s):
                raise TimeoutError("no exit code")
            code = stdout.channel.recv_exit_status()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise ShellFailed(
                f"{self.host}: {_program(command)} did not end within {timeout_s:.0f} s or the"
                f" connection broke ({error or type(error).__name__})",
                subject=self.host,
            ) from error
        if code < 0:
            raise ShellFailed(
                f"{self.host}: the connection broke during {_program(command)}", subject=self.host
            )
        return Ran(code, output.decode(errors="replace"), errors.decode(errors="replace"))

    def check(self, command: str, *, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Like ``run``, but a code other than 0 raises."""
        ran = self.run(command, timeout_s=timeout_s)
        if ran.code:
            raise ShellFailed(
                f"{self.host}: {_program(command)} says: {ran.last_words}", subject=self.host
            )
        return ran.output

    def read(self, path: str) -> bytes | None:
        """A small file; None when there is none."""
        try:
            with self._sftp().open(path, "rb") as file:
                return file.read(FILE_MAX_BYTES)
        except FileNotFoundError:
            return None
        except (paramiko.SSHException, OSError) as error:
            raise self._file_failed("read", path, error) from error

    def mode(self, path: str) -> int | None:
        """Permission bits; None when nothing is there."""
        try:
            found = self._sftp().stat(path).st_mode
        except FileNotFoundError:
            return None
        except (paramiko.SSHException, OSError) as error:
            raise self._file_failed("look at", path, error) from error
        return None if found is None else stat.S_IMODE(found)

    def put(self, *files: File) -> None:
        """Each whole or absent, in this order, on the disk when this returns; never readable by
        others before."""
        asides = [
            posixpath.join(posixpath.dirname(file.path), f".{posixpath.basename(file.path)}.new")
            for file in files
        ]
        try:
            for file, aside in zip(files, asides, strict=True):
                self._write(aside, file)
            self.check(f"sync {shlex.join(asides)}")
            for file, aside in zip(files, asides, strict=True):
                self._sftp().posix_rename(aside, file.path)
        except BaseException as error:
            for aside in asides:
                with contextlib.suppress(ShellFailed):
                    self.remove(aside)
            if isinstance(error, paramiko.SSHException | OSError):
                raise self._file_failed("rename", files[-1].path, error) from error
            raise
        directories = dict.fromkeys(posixpath.dirname(file.path) for file in files)
        self.check(f"sync {shlex.join(directories)}")

    def remove(self, path: str) -> None:
        """Gone already is success."""
        try:
            with contextlib.suppress(FileNotFoundError):
                self._sftp().remove(path)
        except (paramiko.SSHException, OSError) as error:
            raise self._file_failed("remove", path, error) from error

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def _write(self, path: str, file: File) -> None:
        try:
            with contextlib.suppress(FileNotFoundError):
                self._sftp().remove(path)
            with self._sftp().open(path, "wx") as remote:
                remote.chmod(file.mode)
                remote.write(file.data)
        except (paramiko.SSHException, OSError) as error:
            raise self._file_failed("write", file.path, error) from error

    def _sftp(self) -> paramiko.SFTPClient:
        if self._files is None:
            try:
                self._files = self._client.open_sftp()
            except (paramiko.SSHException, OSError, EOFError) as error:
                raise ShellFailed(
                    f"{self.host}: files cannot be copied ({error}); its sshd_config needs a line"
                    " 'Subsystem sftp internal-sftp'",
                    subject=self.host,
                ) from error
        return self._files

    def _file_failed(self, verb: str, path: str, error: Exception) -> ShellFailed:
        return ShellFailed(f"{self.host}: cannot {verb} {path}: {error}", subject=self.host)


def _program(command: str) -> str:
    """The program of a line of shell, behind the variables that are set for it."""
    words = [word for word in command.split() if "=" not in word]
    return words[0] if words else command


def _read_bounded(file: paramiko.ChannelFile) -> bytes:
    """Everything is read, so that the other end can finish; only the beginning is kept."""
    kept = file.read(OUTPUT_MAX_BYTES)
    while file.read(OUTPUT_MAX_BYTES):
        pass
    return kept


def _explained(target: Target, error: Exception) -> ShellFailed:
    """The sentence for a connection that did not come about."""
    where = f"{target.user}@{target.host}"
    if isinstance(error, ShellFailed):
        return error
    if isinstance(error, paramiko.BadHostKeyException):
        entry = target.host if target.port == 22 else f"[{target.host}]:{target.port}"
        text = (
            f"the host key of {target.host} is not the one that is recorded for it (it shows"
            f" {key_fingerprint(error.key)}): either the machine was set up anew, or somebody"
            f" stands in between; if it was, run ssh-keygen -R {shlex.quote(entry)}"
            f" (and the same with -f {target.record})"
        )
    elif isinstance(error, paramiko.AuthenticationException):
        text = (
            f"{where} takes none of our keys; add a public key of this machine to"
            f" ~{target.user}/.ssh/authorized_keys there (ssh-copy-id {where})"
        )
    elif isinstance(error, socket.gaierror):
        text = f"the name {target.host} cannot be resolved; add it to DNS or /etc/hosts"
    else:
        text = (
            f"cannot reach the SSH server of {target.host} on port {target.port}"
            f" ({error or type(error).__name__}); is the machine up, and sshd running?"
        )
    return ShellFailed(text, subject=target.host)
