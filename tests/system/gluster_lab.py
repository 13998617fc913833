"""A Gluster cluster of one server with one volume, in a network namespace of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from storage.commands import ThreadedCommands
from storage.gluster import GlusterBackend
from storage.interface import USUAL, Output, Surroundings
from storage.plugin import StorageSettings
from storage.volume import Template, Volume
from tests.contracts.storage import InPlace, StorageWorld, finish
from tests.contracts.storage_files import locked_as_qemu_does

ADDRESS, PORT, VOLUME = "192.0.2.10", 24007, "gv0"
"""It takes no volume on loopback's own address."""
START_TIMEOUT_S = 60.0
SETTINGS = """volume management
    type mgmt/glusterd
    option working-directory {home}/work
    option run-directory {home}/run
    option glusterd-sockfile {home}/run/socket
    option transport-type socket
    option transport.socket.listen-port {port}
    option transport.address-family inet
    option event-threads 1
    option max-port 60999
end-volume
"""
_numbers = itertools.count(1)


class Lab:
    """The server. Everything of it lives in the namespace and is killed with it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.namespace = f"gluster-{os.getpid()}"
        self.inside = ("nsenter", f"--net=/run/netns/{self.namespace}")

    def start(self) -> None:
        """The volume is served."""
        for name in ("work", "run", "brick", "log", "mounts"):
            (self.home / name).mkdir()
        settings = self.home / "glusterd.vol"
        settings.write_text(SETTINGS.format(home=self.home, port=PORT), "utf-8")
        self.ran("ip", "netns", "add", self.namespace)
        self.ran(*self.inside, "ip", "link", "set", "lo", "up")
        self.ran(*self.inside, "ip", "addr", "add", f"{ADDRESS}/32", "dev", "lo")
        log, pid = self.home / "log" / "glusterd.log", self.home / "glusterd.pid"
        self.ran(*self.inside, "glusterd", "-f", str(settings), "-l", str(log), "-p", str(pid))
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._asked("volume", "list"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"glusterd does not answer: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        brick = f"{ADDRESS}:{self.home / 'brick'}"
        assert self._asked("volume", "create", VOLUME, brick, "force")
        assert self._asked("volume", "start", VOLUME)

    def stop(self) -> None:
        """Nothing is mounted and nothing runs."""
        for mount in (self.home / "mounts").glob("*"):
            subprocess.run(["umount", "-l", str(mount)], check=False, capture_output=True)
        listed = subprocess.run(
            ["ip", "netns", "pids", self.namespace], check=False, capture_output=True, text=True
        )
        for pid in listed.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", self.namespace], check=False, capture_output=True)

    def ran(self, *argv: str) -> str:
        """What a program says that must succeed."""
        done = subprocess.run(
            argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return done.stdout

    def _asked(self, *words: str) -> bool:
        socket = f"--glusterd-sock={self.home / 'run' / 'socket'}"
        log = f"--log-file={self.home / 'log' / 'cli.log'}"
        argv = [*self.inside, "gluster", socket, log, "--mode=script", *words]
        done = subprocess.run(argv, check=False, capture_output=True, timeout=START_TIMEOUT_S)
        return done.returncode == 0


@contextlib.contextmanager
def gluster_lab() -> Iterator[Lab]:
    """A fresh server; all that was made is gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix=f"gluster-{os.getpid()}-", dir="/var/tmp"))
    lab = Lab(home)
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()
        shutil.rmtree(home, ignore_errors=True)
        for log in Path("/var/log/glusterfs").rglob(f"*{home.name}*"):
            log.unlink(missing_ok=True)


class Inside(ThreadedCommands):
    """Runs programs in the server's network."""

    def __init__(self, threads: InPlace, lab: Lab) -> None:
        super().__init__(threads)
        self._lab = lab

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        return await super().run(
            *self._lab.inside,
            *argv,
            timeout_s=timeout_s,
            check=check,
            stdin=stdin,
            around=around,
        )


class GlusterWorld(StorageWorld):
    """A node that reaches the server."""

    attaches = False
    restart_detaches = False
    bounded = False

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        threads = InPlace()
        settings = StorageSettings(gluster_directory=str(lab.home / "mounts"))
        self.backend = GlusterBackend(Inside(threads, lab), threads, settings)
        self._made: list[Volume] = []
        finish(self.backend.look(self.volume()))  # mounts it

    def volume(self, size_mib: int = 32) -> Volume:
        owner = f"{next(_numbers):08x}-0000-4000-8000-000000000003"
        made = Volume(
            template=Template.GLUSTER,
            uuid=owner,
            pool=f"{ADDRESS}:{PORT}/{VOLUME}",
            name=f"{owner}.0",
            size_mib=size_mib,
            owner=owner,
            label="web1.example.com",
        )
        self._made.append(made)
        return made

    def elsewhere(self, volume: Volume) -> Volume:
        return msgspec.structs.replace(volume, pool=f"{ADDRESS}:{PORT}/other")

    @contextlib.contextmanager
    def used(self, path: str) -> Iterator[None]:
        with locked_as_qemu_does(path):
            yield

    def restart(self) -> None:
        for mount in (self.lab.home / "mounts").glob(f"*{VOLUME}"):
            self.lab.ran("umount", "-l", str(mount))

    def close(self) -> None:
        for volume in self._made:
            finish(self.backend.forget(volume))
