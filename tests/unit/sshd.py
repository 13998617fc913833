"""An sshd of our own on loopback: own host key, own configuration, one key that may log in."""

from __future__ import annotations

import contextlib
import getpass
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from clusterd.secure_shell import Target
from tests.ports import free_port

SSHD = "/usr/sbin/sshd"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where it listens and who may come in."""

    directory: Path
    port: int
    host_key: str
    """Public."""

    @property
    def known_line(self) -> str:
        """Its line of a known_hosts file."""
        return f"[127.0.0.1]:{self.port} {self.host_key}\n"

    def target(self, **changes: object) -> Target:
        """As one who knows its host key."""
        known = self.directory / "known_hosts"
        known.write_text(self.known_line)
        wanted = Target(
            host="127.0.0.1",
            port=self.port,
            user=getpass.getuser(),
            identities=(self.directory / "login",),
            known_hosts=(known,),
            record=self.directory / "recorded",
        )
        return msgspec.structs.replace(wanted, **changes)


def make_key(path: Path) -> str:
    """A new key pair; answers the public part."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@contextlib.contextmanager
def serving(directory: Path, *, files: bool = True) -> Iterator[Server]:
    """Run it until the block ends; ``files``: whether it serves SFTP."""
    directory.mkdir()
    host_key = make_key(directory / "host")
    (directory / "authorized").write_text(make_key(directory / "login") + "\n")
    port = free_port()
    lines = [
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {directory}/host",
        f"AuthorizedKeysFile {directory}/authorized",
        f"PidFile {directory}/pid",
        # the directories of a test are below one that everybody may write to
        "StrictModes no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "PermitRootLogin prohibit-password",
        "Subsystem sftp internal-sftp" if files else "",
        # whoever runs the tests may have start-up files of the shell that do a lot, each time
        f"SetEnv HOME={directory}",
    ]
    (directory / "config").write_text("\n".join(lines) + "\n")
    # sshd started by root insists on it; Debian makes it when the service starts
    with contextlib.suppress(PermissionError):
        Path("/run/sshd").mkdir(exist_ok=True)
    log = (directory / "log").open("w")
    process = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(directory / "config")], stderr=log, stdin=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            if "listening" in (directory / "log").read_text():
                break
            if process.poll() is not None:
                raise RuntimeError(f"sshd ended: {(directory / 'log').read_text()}")
            time.sleep(0.05)
        yield Server(directory=directory, port=port, host_key=host_key)
    finally:
        process.terminate()
        process.wait(20)
        log.close()
