"""From a few small files to a disk that cloud-init finds: ISO 9660 with Joliet names, labelled
``cidata``. Pure.

Decided here: equal files give equal bytes, wherever and whenever, so that a guest that moves finds
the same disk. All times on it are therefore one and the same.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache

LABEL = "cidata"
SIZE_BYTES = 1024 * 1024
"""Of every such disk: a guest whose seed is changed while it runs can move."""
SECTOR = 2048
FIRST_DESCRIPTOR = 16
DESCRIPTORS_END = 255
DESCRIBES_FILES = (1, 2)
"""Types of volume descriptors: plain names, Joliet names."""
TIMES_AT, TIMES_LENGTH = 813, 4 * 17
ROOT_AT, EXTENT_AT, LENGTH_AT, TIME_AT = 156, 2, 10, 18
"""Places in a descriptor of its root's record, and in a record of where, how long and when."""
TIME = b"2020010100000000\0" * 4
RECORD_TIME = bytes((120, 1, 1, 0, 0, 0, 0))
MADE_KEPT = 4
"""A job describes its guest many times."""
SHORT_NAMES = {"meta-data": "META.;1", "user-data": "USER.;1", "network-config": "NETWORK.;1"}


def seed_disk(files: Mapping[str, str]) -> bytes:
    """The disk with these files; names are those that cloud-init knows."""
    return _made(tuple(sorted(files.items())))


@lru_cache(maxsize=MADE_KEPT)
def _made(files: tuple[tuple[str, str], ...]) -> bytes:
    import pycdlib  # late: few nodes have guests with seeds

    disk = pycdlib.PyCdlib()
    disk.new(vol_ident=LABEL, joliet=3)
    for name, contents in files:
        text = contents.encode()
        disk.add_fp(io.BytesIO(text), len(text), f"/{SHORT_NAMES[name]}", joliet_path=f"/{name}")
    written = io.BytesIO()
    disk.write_fp(written)
    disk.close()
    return _timeless(bytearray(written.getvalue())).ljust(SIZE_BYTES, b"\0")


def _timeless(disk: bytearray) -> bytes:
    for descriptor in _descriptors(disk):
        at = descriptor + TIMES_AT
        disk[at : at + TIMES_LENGTH] = TIME
        for record in (descriptor + ROOT_AT, *_records(disk, descriptor + ROOT_AT)):
            disk[record + TIME_AT : record + TIME_AT + len(RECORD_TIME)] = RECORD_TIME
    return bytes(disk)


def _descriptors(disk: bytearray) -> Iterator[int]:
    for at in range(FIRST_DESCRIPTOR * SECTOR, len(disk), SECTOR):
        if disk[at] == DESCRIPTORS_END:
            return
        if disk[at] in DESCRIBES_FILES:
            yield at


def _records(disk: bytearray, root: int) -> Iterator[int]:
    """The places of the records of the root directory; it has no others below it."""
    (extent,) = struct.unpack_from("<I", disk, root + EXTENT_AT)
    (length,) = struct.unpack_from("<I", disk, root + LENGTH_AT)
    at, end = extent * SECTOR, extent * SECTOR + length
    while at < end and disk[at]:
        yield at
        at += disk[at]
