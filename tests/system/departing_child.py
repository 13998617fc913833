"""A node daemon's part of a migration, in a process of its own that can be killed.

usage: python -m tests.system.departing_child URI PEER_SOCKET ROOT GUEST_JSON TOKEN
Begins the migration, says BEGUN once memory is on its way, and waits to be killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from hypervisors.guest import Guest
from hypervisors.host import Host
from hypervisors.kvm import KvmDriver
from hypervisors.plugins import HypervisorSettings, Surroundings
from tests import waiting
from tests.system.kvm_world import PoolThreads


class OnePeer:
    """A link to one node."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def libvirt_socket(self, target: str) -> str:
        return self._path

    async def expect_guest(self, uuid: str) -> None:
        """Its disks do not travel."""

    async def ways(self, target: str, uuid: str) -> tuple[str, str]:
        raise NotImplementedError

    async def end_ways(self, target: str, uuid: str) -> None:
        """There are none."""


async def depart(driver: KvmDriver, guest: Guest, token: str) -> None:
    """Never ends."""
    await driver.migrate(guest, "there", token, live=True)
    while (await driver.migration(guest.name)).transferred_mib == 0:
        await waiting.pause(0.05)
    print("BEGUN", flush=True)
    await waiting.pause(3600)


def main() -> None:
    """Compose a driver and let the guest depart."""
    uri, peer, root, description, token = sys.argv[1:]
    guest = msgspec.json.decode(description, type=Guest)
    with waiting.thread_pool(4) as pool:
        surroundings = Surroundings(
            threads=PoolThreads(pool),
            clock=waiting.reactor,
            peers=OnePeer(peer),
            settings=HypervisorSettings(libvirt_uri=uri),
        )
        driver = KvmDriver(surroundings, Host(Path(root)))
        waiting.run(lambda: depart(driver, guest, token), timeout_s=3600)


if __name__ == "__main__":
    main()
