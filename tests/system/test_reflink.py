"""The storage contracts in files of a file system that can share blocks: XFS on a loop device."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.file import FileBackend, SharedFileBackend
from storage.volume import Filled
from tests.contracts.storage import backend_contract, finish
from tests.contracts.storage_files import FileWorld, locked_as_qemu_does
from tests.contracts.storage_snapshots import snapshot_contract, up

pytestmark = pytest.mark.real
SIZE_MIB = 320
"""The least that XFS takes."""


class _Place:
    """The mounted directory, for worlds that are made without a fixture's help."""

    path: Path | None = None


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A new XFS."""
    disk = tmp_path_factory.mktemp("xfs") / "disk"
    with disk.open("wb") as file:
        os.truncate(file.fileno(), SIZE_MIB * 1024 * 1024)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(disk)], check=True)
    _Place.path = disk.with_name("mounted")
    _Place.path.mkdir()
    subprocess.run(["mount", "-o", "loop", str(disk), str(_Place.path)], check=True)
    yield _Place.path
    subprocess.run(["umount", str(_Place.path)], check=True)


TestShared = backend_contract(lambda: FileWorld(FileBackend, _Place.path, reflink=True))
TestSharedSnapshots = snapshot_contract(
    lambda: FileWorld(SharedFileBackend, _Place.path, reflink=True)
)
TestQcowSnapshots = snapshot_contract(lambda: FileWorld(FileBackend, _Place.path, format="qcow2"))


@pytest.mark.parametrize("format", ["raw", "qcow2"])
def test_snapshot_of_a_disk_in_use(place: Path, format: str) -> None:
    world = FileWorld(FileBackend, place, format=format, reflink=format == "raw")
    with contextlib.closing(world):
        volume = up(world, world.volume())
        world.put(volume, "old")
        path = finish(world.backend.attach(volume))
        with locked_as_qemu_does(path):
            finish(world.backend.snapshot(volume, "before"))
        world.put(volume, "new")
        finish(world.backend.revert(volume, "before"))
        assert world.get(volume) == "old"


def test_an_image_is_not_copied_but_shared(place: Path) -> None:
    with contextlib.closing(FileWorld(FileBackend, place)) as world:
        volume = up(world, world.volume())
        world.put(volume, "former")
        assert finish(world.backend.fill(volume, world.image_file("fresh", 8), "raw")) is (
            Filled.SHARED
        )
        assert world.get(volume) == "fresh"
        assert finish(world.backend.look(volume)).size_mib == 32
