"""Libvirt hosts with a real Ceph cluster on their network, for tests.

The cluster runs in a network namespace of its own whose bridge is the switch that all are plugged
into, so hosts lose power, come back and are unplugged without it. A test acts as a host by running
its blocking work in a thread inside that host's namespace.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from storage.commands import ThreadedCommands
from storage.interface import USUAL, Output, Surroundings
from tests.system.libvirt_hosts import FILES, LibvirtHost
from tests.testbed.ceph import Ceph, fresh_ceph

T = TypeVar("T")
ADDRESS = "10.99.0.100"
NEW_NETWORK = 0x40000000
"""``CLONE_NEWNET``, as ``setns`` wants it."""
SWITCH = """\
ip link set lo up
ip link add br0 type bridge forward_delay 0
ip addr add {address}/24 dev br0
ip link set br0 up
touch {ready}
exec sleep infinity
"""


class InsideThreads:
    """Runs blocking work inside a network namespace, and waits for it."""

    def __init__(self, pid: Callable[[], int]) -> None:
        self._pid = pid

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """See ``storage.interface.Threads``."""
        answers: list[T] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                enter_network(self._pid())
                answers.append(function(*args))
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]
        return answers[0]


def enter_network(pid: int) -> None:
    """This thread, and the threads and programs that it starts, are in the process's network."""
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, NEW_NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


class CephHosts:
    """The switch, the cluster and libvirt hosts that are started when wanted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hosts: dict[int, LibvirtHost] = {}
        self._switch: subprocess.Popen[bytes] | None = None
        self.ceph: Ceph | None = None

    @property
    def switch_pid(self) -> int:
        """A process in the switch's namespace."""
        assert self._switch is not None
        return self._switch.pid

    def start_switch(self) -> None:
        """The bridge is there."""
        ready = self.directory / "switch.ready"
        script = SWITCH.format(address=ADDRESS, ready=ready)
        leash = ["setpriv", "--pdeathsig", "KILL"]
        self._switch = subprocess.Popen(
            [*leash, "unshare", "--net", "bash", "-ec", script], start_new_session=True
        )
        while not ready.exists():
            assert self._switch.poll() is None, "the switch does not start"
        ready.unlink()

    def inside_switch(self) -> tuple[str, ...]:
        """Words before a command that runs there."""
        return ("nsenter", "-t", str(self.switch_pid), "--net")

    def host(self, number: int) -> LibvirtHost:
        """Host ``number``, running and plugged."""
        host = self.hosts.get(number)
        if host is None:
            host = self.hosts[number] = LibvirtHost(self.directory, number)
            host.start()
            self.plug(host)
        return host

    def plug(self, host: LibvirtHost) -> None:
        """The cable joins the host's bridge and the switch."""
        near, far = f"port{host.number}", str(host.init_pid)
        veth = ["type", "veth", "peer", "name", "uplink", "netns", far]
        switch = self.inside_switch()
        subprocess.run([*switch, "ip", "link", "add", near, *veth], check=True)
        subprocess.run([*switch, "ip", "link", "set", near, "master", "br0", "up"], check=True)
        host.run("ip", "link", "set", "uplink", "master", "br0", "up")

    def stop(self) -> None:
        """Nothing runs any more."""
        for host in self.hosts.values():
            host.power_off()
        if self._switch is not None:
            self._switch.kill()
            self._switch.wait()


class InsideCommands(ThreadedCommands):
    """Runs programs of this machine inside a host: its network, its files, its processes."""

    def __init__(self, threads: InsideThreads, prefix: Callable[[], tuple[str, ...]]) -> None:
        super().__init__(threads)
        self._prefix = prefix

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        """See ``storage.interface.Commands``."""
        words = (*self._prefix(), *argv)
        return await super().run(
            *words, timeout_s=timeout_s, check=check, stdin=stdin, around=around
        )


@contextlib.contextmanager
def ceph_hosts() -> Iterator[CephHosts]:
    """A fresh cluster and no host yet; all that was made is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"ceph-hosts-{os.getpid()}-", dir=FILES) as name:
        hosts = CephHosts(Path(name))
        try:
            hosts.start_switch()
            with fresh_ceph(address=ADDRESS, inside=hosts.inside_switch()) as hosts.ceph:
                yield hosts
        finally:
            hosts.stop()
