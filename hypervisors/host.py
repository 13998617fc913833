"""What this driver must know of the machine it runs on, read from its file systems.

``root`` lets a test look at a machine of its own making. Reading only; nothing is decided here but
the meaning of the kernel's files.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

KIB_PER_MIB = 1024


class HostMemory(msgspec.Struct, frozen=True, kw_only=True):
    """The node's memory in MiB. ``free`` counts what the kernel can give back at once."""

    total_mib: int
    free_mib: int


class Host:
    """The machine below ``root``."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def exists(self, path: str) -> bool:
        """True if the file or device is there; links are followed on the machine itself."""
        return self._resolved(path) is not None

    def bridge_exists(self, name: str) -> bool:
        """True if there is a bridge (or any other network device) of this name."""
        return (self._below(f"/sys/class/net/{name}")).is_symlink()

    def memory(self) -> HostMemory:
        """What the kernel says of memory."""
        text = self._below("/proc/meminfo").read_text()
        found = {name: int(kib) for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        return HostMemory(
            total_mib=found["MemTotal"] // KIB_PER_MIB,
            free_mib=found.get("MemAvailable", found["MemFree"]) // KIB_PER_MIB,
        )

    def kvm_usable(self) -> bool:
        """True if the processor has vmx or svm and /dev/kvm opens.

        The device alone proves nothing: it also opens where no virtual machine can be made.
        """
        flags = re.findall(r"^flags\s*:(.*)$", self._below("/proc/cpuinfo").read_text(), re.M)
        if not any({"vmx", "svm"} & set(line.split()) for line in flags):
            return False
        try:
            os.close(os.open(self._below("/dev/kvm"), os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    def first_line(self, path: str) -> str:
        """The first line of a small file, such as a password. Raises OSError."""
        with self._below(path).open(encoding="utf-8") as file:
            return file.readline().strip()

    def text(self, path: str) -> str:
        """A small file. Raises OSError."""
        return self._below(path).read_text(encoding="utf-8")

    def tail(self, path: str, most_bytes: int) -> str:
        """The end of a file. Raises OSError."""
        with self._below(path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most_bytes))
            return file.read().decode(errors="replace")

    def booted_s(self) -> float:
        """When the machine started, in seconds since the epoch. Raises OSError."""
        found = re.search(r"^btime (\d+)$", self._below("/proc/stat").read_text(), re.M)
        return float(found[1]) if found else float("inf")

    def make_directory(self, path: str) -> None:
        """The directory exists. Raises OSError."""
        self._below(path).mkdir(mode=0o750, parents=True, exist_ok=True)

    def _below(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def _resolved(self, path: str) -> Path | None:
        """Where ``path`` leads, following absolute links from ``root``."""
        for _ in range(40):
            place = self._below(path)
            if not place.is_symlink():
                return place if place.exists() else None
            path = os.path.join(os.path.dirname(path), os.readlink(place))
        return None
