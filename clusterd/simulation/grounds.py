"""Where trials are held, one after the other, and what becomes of what they leave."""

from __future__ import annotations

import functools
import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = "/dev/shm"
"""Files that nobody needs later: on a disk each one made or removed costs as much as a frame."""


@contextmanager
def buried() -> Iterator[None]:
    """Collects the coroutines of dead processes afterwards, never in the midst of another trial:
    their ``finally`` blocks run then, on a cluster that is no more."""
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)  # all that was made since ``disable`` is in the youngest generation
        gc.enable()


def place() -> Path:
    """Where the pretended hosts keep their few files; used by one trial after the other."""
    return Path(_directory().name)


@functools.cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    in_memory = MEMORY if os.access(MEMORY, os.W_OK) else None  # else where temporary files belong
    return tempfile.TemporaryDirectory(prefix="trials-", dir=in_memory)
