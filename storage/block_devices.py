"""Block devices that somebody else made: how large they are, and who has them open.

LVM and DRBD tell whether a device is open; of any other one it is seen from the locks that QEMU
holds on what it uses, from mounts, and from devices built on it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from storage.commands import command_failed
from storage.disk_files import locked
from storage.errors import VolumeBusy
from storage.interface import Commands, Threads

MIB = 1024 * 1024
USERS_SHOWN = 3


async def size_mib(commands: Commands, path: str) -> int | None:
    """Whole MiB of a block device; None where there is none, or one without a medium."""
    argv = ("blockdev", "--getsize64", path)
    output = await commands.run(*argv, check=False)
    if output.code == 0:
        return int(output.stdout) // MIB or None
    if any(said in output.stderr for said in ("No such", "cannot open", "ioctl error")):
        return None
    raise command_failed(argv, output, subject=path)


async def refuse_users(threads: Threads, path: str, subject: str) -> None:
    """Raises VolumeBusy while something has the block device open, or is built on it."""
    users = await threads.run(users_of, path)
    if users:
        shown = ", ".join(users[:USERS_SHOWN])
        raise VolumeBusy(f"{path} is in use by {shown}; stop what uses it", subject=subject)


def users_of(path: str) -> list[str]:
    """Devices built on the block device, where it is mounted, and whether a guest's process, or
    another that locks what it uses, has it. What merely has it open is not seen."""
    try:
        status = Path(path).stat()
        if not stat.S_ISBLK(status.st_mode):
            return []
        lockers = ["a guest or another program that locked it"] if locked(Path(path)) else []
    except OSError:
        return []
    return [*_built_on(status.st_rdev), *_mounted(status.st_rdev), *lockers]


def _built_on(number: int) -> list[str]:
    directory = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/holders")
    try:
        return [f"device {entry.name}" for entry in sorted(directory.iterdir())]
    except OSError:
        return []


def _mounted(number: int) -> list[str]:
    """Fields of a row: number, parent, major:minor, root, mount point, ..."""
    device = f"{os.major(number)}:{os.minor(number)}"
    try:
        rows = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [f"mount {row.split()[4]}" for row in rows if row.split()[2] == device]
