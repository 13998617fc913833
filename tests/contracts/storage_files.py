"""Worlds for the storage contracts in directories of this machine."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from storage.commands import ThreadedCommands
from storage.disk_files import FLOCK
from storage.file import FileBackend
from storage.volume import Volume
from tests.contracts.storage import InPlace, finish
from tests.contracts.storage_snapshots import SnapshotWorld

F_OFD_SETLK = 37
UUID = "11111111-2222-4333-8444-{:012d}"
SECTOR = 512
MIB = 1024 * 1024


class FileWorld(SnapshotWorld):
    """A directory, below ``parent`` or among those for temporary files."""

    attaches = False
    restart_detaches = False
    bounded = False
    records_owner = False

    def __init__(
        self, kind: type[FileBackend], parent: Path | None = None, **params: str | bool
    ) -> None:
        self.kind = kind
        self.params = params
        self.directory = tempfile.TemporaryDirectory(dir=parent)
        self._images = tempfile.TemporaryDirectory(dir=parent)
        self._numbers = itertools.count(1)
        threads = InPlace()
        self.backend = kind(ThreadedCommands(threads), threads, (self.directory.name,))

    def volume(self, size_mib: int = 32) -> Volume:
        template, uuid = self.kind.template, UUID.format(next(self._numbers))
        return Volume(
            template=template,
            uuid=uuid,
            pool=self.directory.name,
            name=f"{uuid}.{template}.disk0",
            size_mib=size_mib,
            owner="99999999-2222-4333-8444-000000000001",
            label="web1.example.com",
            params=dict(self.params),
        )

    def elsewhere(self, volume: Volume) -> Volume:
        return msgspec.structs.replace(volume, pool=f"{self.directory.name}/no/where")

    @contextlib.contextmanager
    def used(self, path: str) -> Iterator[None]:
        with locked_as_qemu_does(path):
            yield

    def restart(self) -> None:
        """A restart changes nothing of a file."""

    def close(self) -> None:
        self.directory.cleanup()
        self._images.cleanup()

    def put(self, volume: Volume, text: str) -> None:
        status = finish(self.backend.look(volume))
        sector = Path(self._images.name) / "sector"
        sector.write_bytes(text.encode().ljust(SECTOR, b"\0"))
        assert status.path is not None
        formats = ("-f", "raw", "-O", status.format)
        subprocess.run(
            ["qemu-img", "convert", "-n", *formats, str(sector), status.path], check=True
        )

    def get(self, volume: Volume) -> str:
        status = finish(self.backend.look(volume))
        sector = Path(self._images.name) / "read"
        words = ["-f", status.format, "-O", "raw", "bs=512", "count=1"]
        subprocess.run(["qemu-img", "dd", *words, f"if={status.path}", f"of={sector}"], check=True)
        return sector.read_bytes().rstrip(b"\0").decode()

    def image_file(self, text: str, size_mib: int) -> str:
        path = Path(self._images.name) / f"image-{text}"
        path.write_bytes(text.encode())
        os.truncate(path, size_mib * MIB)
        return str(path)


@contextlib.contextmanager
def locked_as_qemu_does(path: str) -> Iterator[None]:
    """Something has locked a byte of the file, as QEMU locks its images."""
    with Path(path).open("r+b") as file:
        lock = struct.pack(FLOCK, fcntl.F_RDLCK, 0, 100, 1, 0)
        fcntl.fcntl(file, F_OFD_SETLK, lock)
        yield
