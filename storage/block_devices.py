"""Block devices that somebody else made: how large they are, and who has them open.

LVM and DRBD tell who uses a device; of any other one the kernel's own files have to be asked.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from storage.commands import command_failed
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


def users_of(path: str, processes: Path = Path("/proc")) -> list[str]:
    """Processes that have the block device open, devices built on it, and where it is mounted."""
    try:
        status = Path(path).stat()
    except OSError:
        return []
    if not stat.S_ISBLK(status.st_mode):
        return []
    number = status.st_rdev
    return [*_built_on(number), *_mounted(number, processes), *_opened(number, processes)]


def _built_on(number: int) -> list[str]:
    directory = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/holders")
    try:
        return [f"device {entry.name}" for entry in sorted(directory.iterdir())]
    except OSError:
        return []


def _mounted(number: int, processes: Path) -> list[str]:
    """Fields of a row: number, parent, major:minor, root, mount point, ..."""
    device = f"{os.major(number)}:{os.minor(number)}"
    try:
        rows = (processes / "self" / "mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [f"mount {row.split()[4]}" for row in rows if row.split()[2] == device]


def _opened(number: int, processes: Path) -> list[str]:
    found = []
    for entry in processes.iterdir():
        if entry.name.isdecimal() and _opens(entry, number):
            found.append(f"process {entry.name}")
    return sorted(found)


def _opens(process: Path, number: int) -> bool:
    with contextlib.suppress(OSError):  # it ended meanwhile
        for name in os.listdir(process / "fd"):
            with contextlib.suppress(OSError):
                opened = os.stat(process / "fd" / name)
                if stat.S_ISBLK(opened.st_mode) and opened.st_rdev == number:
                    return True
    return False
