"""What a node remembers of the volumes of ext-storage providers: the scripts cannot be asked.

One file a volume. That a volume was made or used here lasts; that it is attached, and how it was
opened, counts until the node starts again. A file that cannot be read is as good as none.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from storage.external_providers import Attached

BOOT_ID = "/proc/sys/kernel/random/boot_id"
SUFFIX = ".json"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One volume."""

    provider: str
    name: str
    owner: str
    size_mib: int = 0
    boot_id: str = ""
    """During which life of the node what follows was true."""
    attaching: bool = False
    """``attach`` was begun and may have done its work; always set while ``attached`` is."""
    attached: Attached | None = None
    opened: bool = False
    shared: bool = False
    """Another node may have it open too."""

    def living(self, boot_id: str) -> Record:
        """The record as it counts now."""
        if self.boot_id == boot_id:
            return self
        return Record(
            provider=self.provider,
            name=self.name,
            owner=self.owner,
            size_mib=self.size_mib,
            boot_id=boot_id,
        )

    def detached(self) -> Record:
        """The same volume, not attached."""
        return self.living("").living(self.boot_id)


class Records:
    """The files. All functions block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, name: str) -> Record | None:
        """What is known of a volume."""
        return _read(self._path(name))

    def write(self, record: Record) -> None:
        """From now on this is known."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(record.name)
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(record))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    def forget(self, name: str) -> None:
        """Nothing is known any more."""
        self._path(name).unlink(missing_ok=True)

    def all(self) -> list[Record]:
        """Everything, sorted by name."""
        found = (_read(path) for path in sorted(self._directory.glob(f"*{SUFFIX}")))
        return [record for record in found if record is not None]

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{SUFFIX}"


def _read(path: Path) -> Record | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(path.read_bytes(), type=Record)
    return None
