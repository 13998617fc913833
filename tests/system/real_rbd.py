"""A world of the storage contract on a real Ceph cluster."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from storage.ceph_link import Access, Place, cluster, image_of, pool_of
from storage.plugin import StorageSettings
from storage.rbd import RbdBackend
from storage.volume import Template, Volume
from tests.contracts.storage import finish
from tests.contracts.storage_snapshots import SnapshotWorld
from tests.system.ceph_hosts import CephHosts, InsideCommands, InsideThreads

UUID = "11111111-2222-4333-8444-{:012d}"
OWNER = "99999999-2222-4333-8444-000000000001"
POOL = "rbd"
SECTOR = 512
MIB = 1024 * 1024
_numbers = itertools.count(1)


def backend_at(hosts: CephHosts, number: int | None = None, **settings: Any) -> RbdBackend:
    """The backend of host ``number``, or of the switch."""
    assert hosts.ceph is not None
    threads = InsideThreads(network_of(hosts, number))
    given = {"ceph_config": str(hosts.ceph.config), "ceph_pools": (POOL,)} | settings
    return RbdBackend(InsideCommands(threads, tuple), threads, StorageSettings(**given))


def network_of(hosts: CephHosts, number: int | None) -> Callable[[], int]:
    """Tells a process in the network of host ``number``, started if need be, or of the switch."""
    if number is None:
        return lambda: hosts.switch_pid
    # here and not in a thread: a host ends with the thread that started it
    host = hosts.host(number)
    return lambda: host.init_pid


def rbd_volume(size_mib: int = 32, **changes: Any) -> Volume:
    """An image that nobody has used."""
    uuid = UUID.format(next(_numbers))
    volume = Volume(
        template=Template.RBD,
        uuid=uuid,
        pool=POOL,
        name=f"{uuid}.rbd.disk0",
        size_mib=size_mib,
        owner=OWNER,
        label="web1.example.com",
    )
    return msgspec.structs.replace(volume, **changes)


class Client:
    """A client of a host that has an image open, as a guest has."""

    def __init__(
        self, hosts: CephHosts, volume: Volume, number: int | None = None, *, insists: bool = False
    ) -> None:
        """``insists``: also while the pool is full."""
        assert hosts.ceph is not None
        self._threads = InsideThreads(network_of(hosts, number))
        self._stack = contextlib.ExitStack()
        self._access = Access(config=str(hosts.ceph.config), user="admin")
        self._volume = volume
        self._insists = insists
        self.image: Any = finish(self._threads.run(self._open))

    def _open(self) -> Any:
        link = self._stack.enter_context(cluster(self._access))
        io = self._stack.enter_context(pool_of(link, Place(pool=POOL)))
        if self._insists:
            io.set_osdmap_full_try()
        return self._stack.enter_context(image_of(io, self._volume.name))

    def write(self, text: bytes, offset: int = 0) -> None:
        """As the guest would; blocks as it would."""
        self.image.write(text, offset)

    def read(self, length: int, offset: int = 0) -> bytes:
        """What the guest finds."""
        return bytes(self.image.read(offset, length))

    def close(self) -> None:
        """The guest ends."""
        self._stack.close()


class RbdWorld(SnapshotWorld):
    """Images of a real cluster."""

    attaches = False
    restart_detaches = False
    bounded = False

    def __init__(self, hosts: CephHosts) -> None:
        self.hosts = hosts
        self.backend = backend_at(hosts)
        self._made: list[Volume] = []

    def volume(self, size_mib: int = 32) -> Volume:
        volume = rbd_volume(size_mib)
        self._made.append(volume)
        return volume

    def elsewhere(self, volume: Volume) -> Volume:
        return msgspec.structs.replace(volume, pool="nowhere")

    @contextlib.contextmanager
    def used(self, path: str) -> Iterator[None]:
        volume = next(one for one in self._made if path.endswith(one.name))
        client = Client(self.hosts, volume)
        client.write(b"x" * 512)
        yield
        client.close()

    def restart(self) -> None:
        """Nothing of an image is on a node."""

    def put(self, volume: Volume, text: str) -> None:
        with contextlib.closing(Client(self.hosts, volume)) as client:
            client.write(padded(text))

    def get(self, volume: Volume) -> str:
        with contextlib.closing(Client(self.hosts, volume)) as client:
            return client.read(SECTOR).rstrip(b"\0").decode()

    def image_file(self, text: str, size_mib: int) -> str:
        path = self.hosts.directory / f"image-{text}"
        path.write_bytes(padded(text))
        os.truncate(path, size_mib * MIB)
        return str(path)

    def close(self) -> None:
        for volume in reversed(self._made):
            finish(self.backend.forget(volume))


def padded(text: str) -> bytes:
    """A sector with a text at its beginning."""
    return text.encode().ljust(SECTOR, b"\0")
