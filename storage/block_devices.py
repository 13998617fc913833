"""Block devices that somebody else made: how large they are, and who has them open.

LVM and DRBD tell whether a device is open; of any other one it is seen from the locks that QEMU
holds on what it uses, from mounts, from devices built on it, and from the kernel, which lets nobody
else claim what swap, a file system (also of one of its partitions) or LVM has claimed. Who merely
has it open is found among all processes, which is done only before it is taken from them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from storage.commands import command_failed
from storage.disk_files import locked
from storage.errors import VolumeBusy
from storage.interface import Commands, Threads

MIB = 1024 * 1024
USERS_SHOWN = 3
PROCESSES = Path("/proc")


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


async def refuse_openers(threads: Threads, path: str) -> None:
    """Raises VolumeBusy while another process has the block device open."""
    found = await threads.run(openers_of, path)
    if found:
        shown = ", ".join(found[:USERS_SHOWN])
        raise VolumeBusy(f"{path} is open in {shown}; end what uses it", subject=path)


def users_of(path: str) -> list[str]:
    """Devices built on the block device, where it is mounted, and whether a guest's process, or
    another that locks what it uses, has it, or the kernel. What merely has it open is not seen."""
    try:
        status = Path(path).stat()
        if not stat.S_ISBLK(status.st_mode):
            return []
        lockers = ["a guest or another program that locked it"] if locked(Path(path)) else []
    except OSError:
        return []
    found = [*_built_on(status.st_rdev), *_mounted(status.st_rdev), *lockers]
    if not found and _claimed(path):
        found.append("the kernel, for swap, a file system of its own or a partition")
    return found


def openers_of(path: str) -> list[str]:
    """``process 17 (dd)`` for each other process that has the block device open."""
    try:
        status = Path(path).stat()
    except OSError:
        return []
    if not stat.S_ISBLK(status.st_mode):
        return []
    return [
        f"process {pid} ({_name_of(pid)})"
        for pid in sorted(int(entry.name) for entry in PROCESSES.iterdir() if entry.name.isdigit())
        if pid != os.getpid() and status.st_rdev in _devices_open_in(pid)
    ]


def _devices_open_in(pid: int) -> Iterator[int]:
    """Numbers of block devices; none of a process that has ended."""
    try:
        for entry in (PROCESSES / str(pid) / "fd").iterdir():
            try:
                status = entry.stat()
            except OSError:
                continue
            if stat.S_ISBLK(status.st_mode):
                yield status.st_rdev
    except OSError:
        return


def _name_of(pid: int) -> str:
    try:
        return (PROCESSES / str(pid) / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "ended"


def _claimed(path: str) -> bool:
    """Whether nobody else may claim the device. To look changes nothing, as it is not written."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


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
