"""The few values that a node must not forget over a restart, each whole or absent."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from clusterd.durable import write_durable


class Keep(Protocol):
    """Small named values; a write is durable when it returns."""

    def read(self, name: str) -> bytes | None:
        """The value, or None if it was never written."""

    def write(self, name: str, value: bytes) -> None:
        """Replace the value."""


class FileKeep:
    """In files of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, name: str) -> bytes | None:
        try:
            return (self._directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, value: bytes) -> None:
        write_durable(self._directory / name, value)


class MemoryKeep:
    """In memory: for simulated nodes, whose restart hands the same object on."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self.values.get(name)

    def write(self, name: str, value: bytes) -> None:
        self.values[name] = value
