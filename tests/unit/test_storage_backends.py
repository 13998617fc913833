"""The storage contracts on backends that need no root: memory twins and files."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from storage import device_names, errors
from storage.commands import ThreadedCommands
from storage.diskless import DisklessBackend
from storage.file import FileBackend, SharedFileBackend
from storage.gluster import MOUNTS, GlusterBackend
from storage.interface import USUAL, Output, Surroundings
from storage.memory import memory_backend
from storage.plugin import StorageSettings
from storage.shelf import Shelf, Wire, key_of
from storage.volume import Health, Link, Mirror, Template, Volume
from tests.contracts.storage import InPlace, StorageWorld, backend_contract, finish
from tests.contracts.storage_files import FileWorld, locked_as_qemu_does
from tests.contracts.storage_mirror import Mirrored, MirrorWorld, mirror_contract
from tests.contracts.storage_snapshots import SnapshotWorld, snapshot_contract

POOL = "xenvg"
UUID = "11111111-2222-4333-8444-{:012d}"


def mirror(node: int, number: int) -> Mirror:
    """One side of a pair between n0 and n1."""
    peer = 1 - node
    return Mirror(
        minor=number + 10 * node,
        port=11000 + number,
        secret=f"secret-{number}",
        local_name=f"n{node}",
        local_address=f"192.0.2.{node + 1}",
        peer_name=f"n{peer}",
        peer_address=f"192.0.2.{peer + 1}",
        peer_minor=number + 10 * peer,
        meta_pool=POOL,
        meta_name=f"{UUID.format(number)}.disk0_meta",
    )


def volume_of(template: Template, number: int, size_mib: int = 32, node: int = 0) -> Volume:
    """A volume as one node holds it."""
    mirrored = template is Template.DRBD
    return Volume(
        template=template,
        uuid=UUID.format(number),
        pool=POOL,
        name=f"{UUID.format(number)}.disk0" + ("_data" if mirrored else ""),
        size_mib=size_mib,
        owner="99999999-2222-4333-8444-000000000001",
        label="web1.example.com",
        mirror=mirror(node, number) if mirrored else None,
    )


class MemoryWorld(SnapshotWorld):
    """One pretended node."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.force_to_open = template is Template.DRBD
        self.shelf = Shelf("n0", {POOL: 4096})
        self.backend = memory_backend(template, self.shelf)
        self._number = 0

    def volume(self, size_mib: int = 32) -> Volume:
        self._number += 1
        return volume_of(self.template, self._number, size_mib)

    def elsewhere(self, volume: Volume) -> Volume:
        return msgspec.structs.replace(volume, pool="nowhere")

    @contextlib.contextmanager
    def used(self, path: str) -> Iterator[None]:
        self.shelf.hold(path)
        yield
        self.shelf.release(path)

    def restart(self) -> None:
        self.shelf.power_off()
        self.shelf.power_on()

    def close(self) -> None:
        self.shelf.attached.clear()

    def put(self, volume: Volume, text: str) -> None:
        path = finish(self.backend.attach(volume))
        key = key_of(volume)
        self.shelf.write(path)
        piece = self.shelf.pieces(volume.template)[key]
        piece.copy = msgspec.structs.replace(piece.copy, content=text)

    def get(self, volume: Volume) -> str:
        return self.shelf.content(volume).removeprefix("/images/")

    def image_file(self, text: str, size_mib: int) -> str:
        self.shelf.files[f"/images/{text}"] = size_mib
        return f"/images/{text}"


class DeviceWorld(MemoryWorld):
    """One pretended node that devices can be connected to."""

    keeps = True
    lists = False
    grows = False
    bounded = False

    def __init__(self) -> None:
        super().__init__(Template.BLOCKDEV)

    def volume(self, size_mib: int = 32) -> Volume:
        described = super().volume(size_mib)
        name = f"/dev/disk/by-id/{described.uuid}"
        return msgspec.structs.replace(described, pool=device_names.POOL, name=name)

    def provide(self, volume: Volume) -> None:
        self.shelf.wire.devices[volume.name] = volume.size_mib


class Mounts(ThreadedCommands):
    """Commands that mount nothing, and say that they did."""

    def __init__(self, threads: InPlace) -> None:
        super().__init__(threads)
        self.there: list[str] = []

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        if argv[0] != "mount":
            return await super().run(
                *argv, timeout_s=timeout_s, check=check, stdin=stdin, around=around
            )
        if not argv[-2].endswith(":/gv0"):
            return Output(code=1, stdout="", stderr="no such volume")
        self.there.append(argv[-1])
        return Output(code=0, stdout="", stderr="")

    async def read(self, path: str) -> str:
        if path != MOUNTS:
            return await super().read(path)
        return "".join(f"gluster {point} fuse.glusterfs rw 0 0\n" for point in self.there)


class GlusterWorld(StorageWorld):
    """A directory of this machine that stands for the mount of a Gluster volume."""

    attaches = False
    restart_detaches = False
    bounded = False

    def __init__(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        threads = InPlace()
        settings = StorageSettings(gluster_directory=self.directory.name)
        self.backend = GlusterBackend(Mounts(threads), threads, settings)
        finish(self.backend.look(self.volume()))  # mounts it

    def volume(self, size_mib: int = 32) -> Volume:
        described = volume_of(Template.GLUSTER, 1, size_mib)
        return msgspec.structs.replace(
            described, pool="192.0.2.1:24007/gv0", name=f"{described.owner}.0"
        )

    def elsewhere(self, volume: Volume) -> Volume:
        return msgspec.structs.replace(volume, pool="192.0.2.1:24007/gv1")

    @contextlib.contextmanager
    def used(self, path: str) -> Iterator[None]:
        with locked_as_qemu_does(path):
            yield

    def restart(self) -> None:
        """A restart changes nothing of a file."""

    def close(self) -> None:
        self.directory.cleanup()


class MemoryPair(MirrorWorld):
    """Two pretended nodes; time stands still, so what is slow never ends."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slow = Wire(now=lambda: self.now, sync_mib_per_s=1.0)
        self._take(Wire())
        self._number = 0

    def _take(self, wire: Wire) -> None:
        self.wire = wire
        self.shelves = tuple(Shelf(f"n{node}", {POOL: 4096}, wire) for node in (0, 1))
        first, second = (memory_backend(Template.DRBD, shelf) for shelf in self.shelves)
        self.backends = (first, second)

    def pair(self, *, slow: bool = False) -> tuple[Volume, Volume]:
        if slow:
            self._take(self.slow)
        self._number += 1
        first, second = (volume_of(Template.DRBD, self._number, node=node) for node in (0, 1))
        return first, second

    def write(self, node: int, volume: Volume) -> None:
        assert volume.mirror is not None
        self.shelves[node].write(f"/dev/drbd{volume.mirror.minor}")

    def content(self, node: int, volume: Volume) -> str:
        return self.shelves[node].content(volume)

    def power_off(self, node: int) -> None:
        self.shelves[node].power_off()

    def power_on(self, node: int) -> None:
        self.shelves[node].power_on()

    def cut(self) -> None:
        self.wire.cut("n0", "n1")

    def mend(self) -> None:
        self.wire.mend("n1", "n0")

    def close(self) -> None:
        """Nothing is left of objects."""


TestMemory = backend_contract(lambda: MemoryWorld(Template.MEMORY))
TestMemoryPlain = backend_contract(lambda: MemoryWorld(Template.PLAIN))
TestMemoryFile = backend_contract(lambda: MemoryWorld(Template.FILE))
TestMemorySharedFile = backend_contract(lambda: MemoryWorld(Template.SHAREDFILE))
TestMemoryRbd = backend_contract(lambda: MemoryWorld(Template.RBD))
TestMemoryExt = backend_contract(lambda: MemoryWorld(Template.EXT))
TestMemoryGluster = backend_contract(lambda: MemoryWorld(Template.GLUSTER))
TestMemoryBlockdev = backend_contract(DeviceWorld)
TestMemorySnapshots = snapshot_contract(lambda: MemoryWorld(Template.MEMORY))
TestMemoryRbdSnapshots = snapshot_contract(lambda: MemoryWorld(Template.RBD))
TestMemoryMirrorAlone = backend_contract(lambda: MemoryWorld(Template.DRBD))
TestMemoryMirror = mirror_contract(MemoryPair)
TestFile = backend_contract(lambda: FileWorld(FileBackend))
TestGlusterFiles = backend_contract(GlusterWorld)
TestSharedFile = backend_contract(lambda: FileWorld(SharedFileBackend))
TestQcow = backend_contract(lambda: FileWorld(FileBackend, format="qcow2"))
TestQcowSnapshots = snapshot_contract(lambda: FileWorld(SharedFileBackend, format="qcow2"))


def test_a_twin_tells_the_room_of_its_own_pools() -> None:
    shelf = Shelf("n0", {"xenvg": 100, "rbd": 200})
    shelf.told[Template.RBD] = ("rbd",)
    shelf.told[Template.EXT] = ()
    plain, rbd, ext = (
        memory_backend(template, shelf) for template in (Template.PLAIN, Template.RBD, Template.EXT)
    )
    assert [(one.pool, one.total_mib) for one in finish(rbd.capacity())] == [("rbd", 200)]
    assert finish(ext.capacity()) == ()
    assert [one.pool for one in finish(plain.capacity())] == ["rbd", "xenvg"]


def test_shared_files_of_twins_are_seen_by_both_nodes() -> None:
    wire = Wire()
    here, there = (
        memory_backend(Template.SHAREDFILE, Shelf(name, {POOL: 64}, wire)) for name in ("a", "b")
    )
    volume = volume_of(Template.SHAREDFILE, 1)
    finish(here.ensure(volume))
    assert finish(there.look(volume)).present
    finish(there.forget(volume))
    assert not finish(here.look(volume)).present


def test_synchronisation_of_twins_takes_its_time_and_stops_with_the_link() -> None:
    world = MemoryPair()
    disk = Mirrored(world, slow=True)
    disk.up(clean=False)
    disk.verb("open", 0, force=True)
    world.now = 16.0
    status = disk.look(1)
    assert (status.sync_percent, status.sync_seconds_left) == (50.0, 16)
    assert disk.look(0).sync_percent == 50.0
    world.cut()
    world.now = 40.0
    assert disk.look(1).health is Health.FAULTY
    world.mend()
    assert disk.look(1).link is Link.SYNCING
    world.now = 72.0
    assert disk.look(1).health is Health.OK
    assert disk.equal()


def test_replaced_copy_is_a_stranger_even_if_called_clean() -> None:
    world = MemoryPair()
    disk = Mirrored(world)
    disk.up(clean=True)
    disk.verb("open", 0)
    disk.write(0)
    moved = disk.volumes[1]
    assert moved.mirror is not None
    disk.verb("forget", 1)
    other = msgspec.structs.replace(moved.mirror, minor=77, local_name="n1")
    disk.volumes = (
        msgspec.structs.replace(
            disk.volumes[0],
            mirror=msgspec.structs.replace(disk.volumes[0].mirror, peer_minor=77),
        ),
        msgspec.structs.replace(moved, mirror=other),
    )
    disk.up(1, clean=True)
    assert [disk.look(node).link for node in (0, 1)] == [Link.STANDALONE, Link.STANDALONE]
    assert not disk.equal()


def test_files_outside_the_allowed_directories_are_refused() -> None:
    world = FileWorld(FileBackend)
    volume = world.volume()
    for change in (
        {"pool": "/etc"},
        {"pool": f"{volume.pool}/../.."},
        {"label": ".."},
        {"label": "a/b"},
        {"name": "../x"},
    ):
        with pytest.raises(errors.BadParameter):
            finish(world.backend.ensure(msgspec.structs.replace(volume, **change)))
    world.close()


def test_half_made_file_is_finished_and_directory_goes_with_its_last_file() -> None:
    world = FileWorld(FileBackend)
    volume = world.volume()
    path = Path(path_of(world, volume))
    path.parent.mkdir()
    path.touch()
    assert not finish(world.backend.look(volume)).present
    finish(world.backend.ensure(volume))
    assert path.stat().st_size == 32 * 1024 * 1024
    assert path.stat().st_blocks == 0
    other = msgspec.structs.replace(volume, name=volume.name[:-1] + "1")
    finish(world.backend.ensure(other))
    finish(world.backend.forget(volume))
    assert path.parent.exists()
    finish(world.backend.forget(other))
    assert not path.parent.exists()
    world.close()


def test_locked_file_is_listed_as_attached() -> None:
    with contextlib.closing(FileWorld(FileBackend)) as world:
        volume = world.volume()
        finish(world.backend.ensure(volume))
        assert not finish(world.backend.list())[0].attached
        with world.used(path_of(world, volume)):
            assert finish(world.backend.list())[0].attached


def path_of(world: FileWorld, volume: Volume) -> str:
    return f"{world.directory.name}/{volume.label}/{volume.name}"


def test_diskless_has_nothing() -> None:
    backend = DisklessBackend()
    volume = volume_of(Template.DISKLESS, 1)
    with pytest.raises(errors.BadParameter):
        finish(backend.ensure(volume))
    with pytest.raises(errors.VolumeMissing):
        finish(backend.attach(volume))
    finish(backend.forget(volume))
    assert not finish(backend.look(volume)).present
    assert (finish(backend.list()), finish(backend.capacity())) == ((), ())
