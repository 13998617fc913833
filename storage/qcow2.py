"""What the header of a qcow2 file says. Pure but for reading the first bytes of a file.

Only files that were declared to be qcow2 may be believed: a guest writes what it likes into the
beginning of a raw file, and could name any file of the node there.
"""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec

MAGIC = b"QFI\xfb"
HEADER = ">4sIQIIQ"
"""Magic, version, place and length of the backing file's name, bits of a cluster, size in bytes."""
NAME_LENGTH_MAX = 1023
"""QEMU's own bound."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """One file's."""

    size_bytes: int
    """What a guest sees."""
    backing: str = ""
    """The file that unwritten parts are read from, as QEMU spells it; empty without one."""


def header_of(path: Path) -> Header | None:
    """The file's header, or None where none is: no file, another format, not yet complete."""
    try:
        with path.open("rb") as file:
            begin = file.read(struct.calcsize(HEADER))
            if len(begin) < struct.calcsize(HEADER) or not begin.startswith(MAGIC):
                return None
            _magic, _version, place, length, _bits, size = struct.unpack(HEADER, begin)
            if not place or not 0 < length <= NAME_LENGTH_MAX:
                return Header(size_bytes=size)
            file.seek(place)
            return Header(size_bytes=size, backing=file.read(length).decode(errors="replace"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
