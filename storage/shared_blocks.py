"""Files that share their blocks until one of them is written: a copy in no time, where the file
system can (XFS, btrfs, bcachefs, OCFS2). Blocking.

A file made so depends on no other: only blocks are shared, and the file system counts their users.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

FICLONE = 0x40049409
"""Linux: all of another file's blocks become this one's, too."""
NOT_HERE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS)
"""Another file system, or one that cannot."""
_MODE = 0o600


def share_blocks(source: Path, target: Path, size_bytes: int | None = None) -> bool:
    """``target`` has the contents of ``source`` at this moment, followed by zeros up to
    ``size_bytes``; False, and nothing is changed, where the file system cannot.

    The target must not be in use. Raises OSError. Half done: done again.
    """
    made = not target.exists()
    done = False
    begin = os.open(source, os.O_RDONLY)
    try:
        end = os.open(target, os.O_RDWR | os.O_CREAT, _MODE)
        try:
            done = _share(begin, end, size_bytes)
        finally:
            os.close(end)
    finally:
        os.close(begin)
    if made and not done:
        target.unlink()
    return done


def _share(begin: int, end: int, size_bytes: int | None) -> bool:
    try:
        fcntl.ioctl(end, FICLONE, begin)
    except OSError as error:
        if error.errno in NOT_HERE:
            return False
        raise
    length = os.fstat(begin).st_size
    if os.fstat(end).st_size > length:
        os.ftruncate(end, length)  # what the target had behind must not show again
    if size_bytes is not None and size_bytes > length:
        os.ftruncate(end, size_bytes)
    os.fsync(end)
    return True
