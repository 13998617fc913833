"""Worlds of storage that something outside keeps, on this machine: an ext-storage provider that
makes loop devices, and such devices as somebody else's.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from storage.blockdev import BlockdevBackend
from storage.commands import ThreadedCommands
from storage.device_names import POOL
from storage.external import ExternalBackend
from storage.external_records import BOOT_ID
from storage.plugin import StorageSettings
from storage.volume import Template, Volume
from tests.contracts.storage import InPlace, StorageWorld
from tests.contracts.storage_files import locked_as_qemu_does
from tests.testbed.settings import CHECKOUT

PROVIDERS = CHECKOUT / "tests" / "testbed" / "share" / "extstorage"
OWNER = "99999999-2222-4333-8444-000000000001"
BY_ID = Path("/dev/disk/by-id")

_numbers = itertools.count(1)


def ran(*argv: str) -> str:
    """What a program says that must succeed."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def detach_loops(directory: Path) -> None:
    """No file of the directory is behind a loop device any more."""
    for file in directory.glob("*"):
        for device in ran("losetup", "-n", "-O", "NAME", "-j", str(file)).split():
            ran("losetup", "-d", device)


class Rebooting(ThreadedCommands):
    """Commands of a node that seems to start anew."""

    def __init__(self, threads: InPlace) -> None:
        super().__init__(threads)
        self.boots = 1

    async def read(self, path: str) -> str:
        if path == BOOT_ID:
            return f"boot-{self.boots}\n"
        return await super().read(path)


class OutsideWorld(StorageWorld):
    """Loop devices over the files of a directory."""

    bounded = False

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=f"outside-{os.getpid()}-"))
        self.store = self.home / "store"
        self.store.mkdir()
        self.threads = InPlace()
        self.commands = Rebooting(self.threads)

    @contextlib.contextmanager
    def used(self, path: str) -> Iterator[None]:
        with locked_as_qemu_does(path):
            yield

    def restart(self) -> None:
        detach_loops(self.store)
        self.commands.boots += 1

    def close(self) -> None:
        detach_loops(self.store)
        shutil.rmtree(self.home)


class ExternalWorld(OutsideWorld):
    """One node with an ext-storage provider."""

    def __init__(self, provider: str = "loopfiles", **params: str) -> None:
        super().__init__()
        self.provider = provider
        self.params = {"store": str(self.store), **params}
        self.directory = self.home / "extstorage"
        shutil.copytree(PROVIDERS / "loopfiles", self.directory / provider)
        if provider != "loopfiles":
            shutil.copytree(PROVIDERS / provider, self.directory / provider, dirs_exist_ok=True)
        self.backend: ExternalBackend = self.restarted()

    def restarted(self) -> ExternalBackend:
        """The backend of another life of the node daemon."""
        settings = StorageSettings(
            provider_directories=(str(self.directory),),
            provider_records=str(self.home / "records"),
            provider_logs=str(self.home / "logs"),
        )
        return ExternalBackend(self.commands, self.threads, settings)

    def volume(self, size_mib: int = 32) -> Volume:
        uuid = f"{next(_numbers):08x}-0000-4000-8000-000000000001"
        return Volume(
            template=Template.EXT,
            uuid=uuid,
            pool=self.provider,
            name=f"{uuid}.ext.disk0",
            size_mib=size_mib,
            owner=OWNER,
            label="web1.example.com",
            alias="data",
            params=dict(self.params),
        )

    def elsewhere(self, volume: Volume) -> Volume:
        return msgspec.structs.replace(volume, pool="nowhere")

    def text(self, volume: Volume, suffix: str) -> str:
        """What the provider has written down of a volume."""
        return (self.store / f"{volume.name}.{suffix}").read_text("utf-8")


class DeviceWorld(OutsideWorld):
    """One node that devices are connected to."""

    attaches = False
    restart_detaches = False
    keeps = True
    lists = False
    grows = False

    def __init__(self) -> None:
        super().__init__()
        self.backend = BlockdevBackend(self.commands, self.threads)
        self._links: list[Path] = []

    def volume(self, size_mib: int = 32) -> Volume:
        link = BY_ID / f"clusterd-test-{os.getpid()}-{next(_numbers)}"
        return Volume(
            template=Template.BLOCKDEV,
            uuid=f"{next(_numbers):08x}-0000-4000-8000-000000000002",
            pool=POOL,
            name=str(link),
            size_mib=size_mib,
            owner=OWNER,
            label="web1.example.com",
        )

    def provide(self, volume: Volume) -> None:
        file = self.store / Path(volume.name).name
        with file.open("wb") as made:
            made.truncate(volume.size_mib * 1024 * 1024)
        BY_ID.mkdir(parents=True, exist_ok=True)
        Path(volume.name).symlink_to(ran("losetup", "-f", "--show", str(file)).strip())
        self._links.append(Path(volume.name))

    def elsewhere(self, volume: Volume) -> Volume:
        return msgspec.structs.replace(volume, pool="nowhere")

    def restart(self) -> None:
        """Devices are connected again by themselves."""

    def close(self) -> None:
        for link in self._links:
            link.unlink()
        super().close()
