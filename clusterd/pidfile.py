"""One daemon of a kind on a machine: the pid file is held locked for the daemon's whole life.

The kernel answers who holds the lock, so a pid in a file that outlived its daemon harms nobody. The
file is never removed: two processes could then hold locks on two files of one name.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from clusterd.errors import ClusterError

# struct flock of 64-bit Linux: type, whence, start, length, pid
_FLOCK = "hhqqi4x"


class AlreadyRunning(ClusterError):
    """Another process of this daemon runs."""

    code = "already_running"


class PidFile:
    """The lock, taken. POSIX locks belong to a process: take it after the last fork, and never open
    the file a second time in the same process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> PidFile:
        """Lock it and write our pid; raises AlreadyRunning."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = _holder(descriptor)
            os.close(descriptor)
            raise AlreadyRunning(f"{path.stem} runs already, as process {pid}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(path, descriptor)

    def release(self) -> None:
        """At the daemon's end; the process's end does the same."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def holder(path: Path) -> int | None:
    """The pid of the daemon that runs, or None."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _holder(descriptor)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> int | None:
    wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    found = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, wanted))
    return None if found[0] == fcntl.F_UNLCK else int(found[4])
