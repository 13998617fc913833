"""Which images this node's kernel maps, read from its own files: asked at each look at the node, a
command would cost too much.

The files are described in Linux' Documentation/ABI/testing/sysfs-bus-rbd.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

DEVICES = Path("/sys/bus/rbd/devices")
NO_SNAPSHOT = "-"


def mapped_here(devices: Path = DEVICES) -> frozenset[tuple[str, str, str]]:
    """Pool, namespace and name of each mapped image; mapped snapshots are none. Blocks."""
    found = set()
    for device in devices.glob("*"):
        # it may be unmapped meanwhile
        with contextlib.suppress(OSError):
            if _read(device / "current_snap") != NO_SNAPSHOT:
                continue
            space = device / "pool_ns"  # since Linux 4.19
            namespace = _read(space) if space.exists() else ""
            found.add((_read(device / "pool"), namespace, _read(device / "name")))
    return frozenset(found)


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8").rstrip("\n")
