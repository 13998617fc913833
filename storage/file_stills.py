"""What is read of a disk in a file of a format that only QEMU reads: a raw copy beside it.

Decided here: the copy is made while nobody writes the disk, and is called as what is being made for
it (``NAME@.still~``), so it is no snapshot, is not listed and goes with the disk.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storage import disk_files as files
from storage.errors import Unsupported
from storage.file_snapshots import QcowFiles, kept_path, put_in_place, unfinished_path
from storage.interface import Backend
from storage.volume import Volume

STILL = ".still"
"""No snapshot is called so: their names begin with a letter or a digit."""


def still_path(path: Path) -> Path:
    """Where the raw copy of the disk at ``path`` is."""
    return unfinished_path(kept_path(path, STILL))


class StilledByCopy(Backend):
    """A backend of files, some of which only QEMU reads."""

    _qcow: QcowFiles

    @abc.abstractmethod
    def _path(self, volume: Volume) -> Path:
        """Where the volume is."""

    @abc.abstractmethod
    def _is_raw(self, volume: Volume) -> bool:
        """Whether anybody can read the file as it is."""

    @abc.abstractmethod
    async def _blocking(self, volume: Volume, function: Callable[..., Any], *args: Any) -> Any:
        """What the function answers, run in a thread; its OSError as an error of the volume."""

    async def still(self, volume: Volume) -> str:
        """See ``Backend``. Raw files are read as they are: Unsupported."""
        path = self._path(volume)
        if self._is_raw(volume):
            raise Unsupported(
                f"{volume.name}: template {volume.template} cannot be read while it is written",
                subject=volume.name,
            )
        place = still_path(path)
        await self._blocking(volume, files.present_file, path)
        if not await self._blocking(volume, place.exists):
            await self._blocking(volume, files.unused_file, path)
            await self._qcow.copy_raw(path, unfinished_path(place), volume.size_mib)
            await self._blocking(volume, put_in_place, place)
        return str(place)

    async def forget_still(self, volume: Volume) -> None:
        """See ``Backend``."""
        place = still_path(self._path(volume))
        for one in (unfinished_path(place), place):
            await self._blocking(volume, one.unlink, True)
