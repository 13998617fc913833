"""The kvm driver on two real libvirt hosts, with the demo's guest, for the contract and figures."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from hypervisors.guest import Guest, GuestDisk, GuestNic, ParamValue
from hypervisors.host import Host
from hypervisors.interface import Driver
from hypervisors.kvm import KvmDriver
from hypervisors.plugins import HypervisorSettings, Surroundings
from tests import waiting
from tests.contracts.hypervisor_world import HypervisorWorld
from tests.demo.image import build_image, kernel_parameters
from tests.system.libvirt_hosts import LibvirtHost, LibvirtHosts, Relay, libvirt_hosts

T = TypeVar("T")
CHECKOUT = Path(__file__).resolve().parents[2]
STAMP_OFFSET = 524288
BOOT_S = 60.0


def guest_image() -> Path:
    """The demo's guest image, built when it is missing or older than its recipe."""
    return build_image(lambda _: None)


class PoolThreads:
    """Blocking work in a pool of threads."""

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = pool

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        result: T = await deferToThreadPool(waiting.reactor, self._pool, function, *args)
        return result


class Relays:
    """The links of one node."""

    def __init__(self, hosts: LibvirtHosts, near: str) -> None:
        self._hosts = hosts
        self._near = near

    async def libvirt_socket(self, target: str) -> str:
        return str(self._hosts.relays[self._near, target].path)

    async def expect_guest(self, uuid: str) -> None:
        (self._base(self._near) / "ways").mkdir(exist_ok=True)

    async def ways(self, target: str, uuid: str) -> tuple[str, str]:
        (self._base(self._near) / "ways").mkdir(exist_ok=True)
        for part in "md":
            near, far = (
                self._base(name) / "ways" / f"{uuid}.{part}" for name in (self._near, target)
            )
            self._hosts.relays[self._near, f"{target} {uuid} {part}"] = Relay(near, far)
        return f"/run/ways/{uuid}.m", f"/run/ways/{uuid}.d"

    async def end_ways(self, target: str, uuid: str) -> None:
        for part in "md":
            self._hosts.relays.pop((self._near, f"{target} {uuid} {part}")).close()

    def _base(self, name: str) -> Path:
        """Where a host's own /run is, seen from outside."""
        return next(host.base for host in self._hosts.hosts if host.name == name) / "run"


class KvmWorld(HypervisorWorld):
    """Two fresh hosts; they start in less than a second. Guests start from their own disk, or, half
    a second of processor time sooner, from their image's kernel."""

    def __init__(self, *, own_disk: bool = True) -> None:
        self._kernel: dict[str, ParamValue] = {}
        if not own_disk:
            self._kernel.update(kernel_parameters(str(guest_image())))
        self._open = contextlib.ExitStack()
        self._threads = PoolThreads(self._open.enter_context(waiting.thread_pool(8)))
        self.hosts = self._open.enter_context(libvirt_hosts())
        self.here, self.there = (host.name for host in self.hosts.hosts)
        self.console_directory = self.hosts.directory / "console"

    def host(self, node: str) -> LibvirtHost:
        """The host of this name."""
        return next(host for host in self.hosts.hosts if host.name == node)

    def driver(self, node: str) -> Driver:
        host = self.host(node)
        settings = HypervisorSettings(
            libvirt_uri=f"qemu+unix:///system?socket={host.socket}",
            console_directory=str(self.console_directory),
        )
        surroundings = Surroundings(
            threads=self._threads,
            clock=waiting.reactor,
            peers=Relays(self.hosts, node),
            settings=settings,
        )
        return KvmDriver(surroundings, Host(host.root))

    def drive(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return waiting.run(lambda: coroutine, timeout_s=120.0)

    def guest(self, *, slow: bool = False, **wishes: str) -> Guest:
        identity = str(uuid.uuid4())
        name = f"g{identity[:8]}.test"
        disk = self.hosts.directory / f"{name}.img"
        subprocess.run(["cp", "--sparse=always", str(guest_image()), str(disk)], check=True)
        words = {"name": name, "tick": "0.1", **wishes}
        stamp = " ".join(["clusterd-guest", *(f"{key}={text}" for key, text in words.items())])
        with disk.open("r+b") as file:
            file.seek(STAMP_OFFSET)
            file.write(stamp.encode())
        mac = f"52:54:00:{identity[0:2]}:{identity[2:4]}:{identity[4:6]}"
        return Guest(
            name=name,
            uuid=identity,
            memory_mib=96,
            vcpus=1,
            disks=(GuestDisk(path=str(disk), uuid=str(uuid.uuid4()), index=0, kind="file"),),
            nics=(GuestNic(mac=mac, uuid=str(uuid.uuid4()), index=0, link="br0"),),
            params={"migration_bandwidth": 1 if slow else 0, **self._kernel},
        )

    def without_disk(self, guest: Guest) -> Guest:
        disk = msgspec.structs.replace(guest.disks[0], path="/dev/no-such-disk")
        return msgspec.structs.replace(guest, disks=(disk,))

    def console(self, guest: Guest) -> str:
        """All that the guest has said on its serial console."""
        path = self.console_directory / f"{guest.name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def ticks(self, guest: Guest) -> list[int]:
        """The numbers it counted there."""
        return [int(n) for n in re.findall(r"^TICK (\d+) \S+\s*$", self.console(guest), re.M)]

    def wait_until_obedient(self, guest: Guest) -> None:
        deadline = time.monotonic() + BOOT_S
        while not self.ticks(guest):
            assert time.monotonic() < deadline, f"no tick; console: {self.console(guest)!r}"
            time.sleep(0.02)

    def stop_service(self, node: str) -> None:
        self.host(node).kill_libvirtd()

    def start_service(self, node: str) -> None:
        self.host(node).start_libvirtd()

    def power_off_and_on(self, node: str) -> None:
        self.host(node).power_off()
        self.host(node).start()
        self.hosts.plug()

    def close(self) -> None:
        self._open.close()
