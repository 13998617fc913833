"""Contents of a disk as frames on a byte stream: data, stretches of zeros, an end that proves that
nothing is missing. Blocking functions on files; nothing here knows where they lead.

A frame is four bytes, big endian: the length of what follows and two flags. ``HOLE``: eight bytes
follow, the length of a stretch of zeros. Length zero is the end: the number of bytes of the whole
and a check sum follow. The other side answers with one byte, and if it is not zero with
a sentence and its length before it.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol

CHUNK_BYTES = 1024 * 1024
HOLE, DEFLATED = 0x80000000, 0x40000000
LENGTH = 0x3FFFFFFF
HEAD, LONG, END = struct.Struct(">I"), struct.Struct(">Q"), struct.Struct(">QI")
ZEROS = bytes(CHUNK_BYTES)
LEVELS = {"none": 0, "gzip-fast": 1, "gzip": 6, "gzip-slow": 9}
"""Name of a compression -> effort; deflate is what gzip does."""
REASON_BYTES_MAX = 4000


class Broken(Exception):
    """The other side is gone."""


class Gauge:
    """How far a stream has come; written by its thread, read by others."""

    def __init__(self, wanted_bytes: int = 0) -> None:
        self.wanted_bytes = wanted_bytes
        self.done_bytes = 0


class Outlet(Protocol):
    """What frames are written to."""

    def write(self, data: bytes, /) -> int:
        """Take bytes."""

    def flush(self) -> None:
        """Pass on what was taken."""


class Sink(Protocol):
    """Takes contents in order."""

    def data(self, data: bytes) -> None:
        """The next bytes."""

    def hole(self, length: int) -> None:
        """So many zeros."""

    def close(self) -> None:
        """All is there, and safe."""


# -- sending ---------------------------------------------------------------------------------------


def pieces(source: BinaryIO) -> Iterator[bytes | int]:
    """What is read to the end: data, or lengths of zeros. Holes of sparse files are not read."""
    holes = _holes(source)
    while True:
        skipped = holes.next()
        if skipped:
            yield skipped
        data = source.read(CHUNK_BYTES)
        if not data:
            return
        yield len(data) if len(data) >= 4096 and not data.strip(b"\0") else data


class _NoHoles:
    def next(self) -> int:
        """Nothing is known of holes."""
        return 0


class _FileHoles:
    """Steps over the holes of a regular file."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._size = os.fstat(source.fileno()).st_size
        self._until = 0

    def next(self) -> int:
        """The length of the hole that begins where the file is read; it is read no more."""
        at = self._source.tell()
        if at < self._until or at >= self._size:
            return 0
        number = self._source.fileno()
        try:
            data = os.lseek(number, at, os.SEEK_DATA)
        except OSError:
            data = self._size
        self._until = os.lseek(number, data, os.SEEK_HOLE) if data < self._size else self._size
        self._source.seek(data)
        return data - at


def _holes(source: BinaryIO) -> _NoHoles | _FileHoles:
    regular = stat.S_ISREG(os.fstat(source.fileno()).st_mode)
    return _FileHoles(source) if regular else _NoHoles()


class Limited:
    """So much of a file and no more."""

    def __init__(self, source: BinaryIO, bytes_left: int) -> None:
        self._source, self._left = source, bytes_left

    def pieces(self) -> Iterator[bytes | int]:
        """As ``pieces``."""
        for piece in pieces(self._source):
            length = piece if isinstance(piece, int) else len(piece)
            if length >= self._left:
                yield self._left if isinstance(piece, int) else piece[: self._left]
                return
            self._left -= length
            yield piece


def send(found: Iterator[bytes | int], wire: Outlet, level: int, gauge: Gauge) -> None:
    """All pieces and the end. Raises OSError when the other side does not take them."""
    total, check = 0, 0
    for piece in found:
        if isinstance(piece, int):
            if piece:
                total, check = total + piece, zlib.crc32(LONG.pack(piece), check)
                wire.write(HEAD.pack(HOLE | LONG.size) + LONG.pack(piece))
        elif piece:
            total, check = total + len(piece), zlib.crc32(piece, check)
            packed = zlib.compress(piece, level) if level else piece
            small = level and len(packed) < len(piece)
            body = packed if small else piece
            wire.write(HEAD.pack(len(body) | (DEFLATED if small else 0)) + body)
        gauge.done_bytes = total
    wire.write(HEAD.pack(0) + END.pack(total, check))
    wire.flush()


def answer(wire: BinaryIO) -> str:
    """What the other side says: empty when all is safe there, else why not. Raises Broken."""
    first = wire.read(1)
    if not first:
        raise Broken
    if first == b"\0":
        return ""
    (length,) = HEAD.unpack(_exactly(wire, HEAD.size))
    return _exactly(wire, length).decode("utf-8", "replace")


# -- receiving -------------------------------------------------------------------------------------


def receive(wire: BinaryIO, sink: Sink) -> int:
    """Everything to its end; answers the number of bytes. Raises Broken when something is missing
    or changed, OSError of the sink."""
    total, check = 0, 0
    while True:
        (head,) = HEAD.unpack(_exactly(wire, HEAD.size))
        if head == 0:
            if END.unpack(_exactly(wire, END.size)) != (total, check):
                raise Broken
            sink.close()
            return total
        body = _exactly(wire, head & LENGTH)
        if head & HOLE:
            (length,) = LONG.unpack(body)
            total, check = total + length, zlib.crc32(body, check)
            sink.hole(length)
        else:
            data = zlib.decompress(body) if head & DEFLATED else body
            total, check = total + len(data), zlib.crc32(data, check)
            sink.data(data)


def reply(wire: BinaryIO, reason: str) -> None:
    """Say that all is safe, or why not."""
    text = reason.encode()[:REASON_BYTES_MAX]
    wire.write(b"\1" + HEAD.pack(len(text)) + text if reason else b"\0")
    wire.flush()


def _exactly(wire: BinaryIO, length: int) -> bytes:
    if length > 2 * CHUNK_BYTES:
        raise Broken
    data = wire.read(length)
    if len(data) != length:
        raise Broken
    return data


class PipeSink:
    """A script's standard input."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def data(self, data: bytes) -> None:
        self._pipe.write(data)

    def hole(self, length: int) -> None:
        for start in range(0, length, CHUNK_BYTES):
            self._pipe.write(ZEROS[: min(CHUNK_BYTES, length - start)])

    def close(self) -> None:
        self._pipe.flush()


class FileSink:
    """A file or device from its beginning. Zeros are left out of a regular file, which is empty
    then, and written to a device, whose old contents are not known."""

    def __init__(self, file: BinaryIO, *, keep_size: bool) -> None:
        self._file = file
        self._sparse = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        if self._sparse:
            size = os.fstat(file.fileno()).st_size
            os.ftruncate(file.fileno(), 0)
            self._size = size if keep_size else 0
            os.ftruncate(file.fileno(), self._size)

    def data(self, data: bytes) -> None:
        self._file.write(data)

    def hole(self, length: int) -> None:
        if self._sparse:
            self._file.seek(length, os.SEEK_CUR)
            return
        for start in range(0, length, CHUNK_BYTES):
            self._file.write(ZEROS[: min(CHUNK_BYTES, length - start)])

    def close(self) -> None:
        self._file.flush()
        if self._sparse and self._file.tell() > self._size:
            os.ftruncate(self._file.fileno(), self._file.tell())
        os.fsync(self._file.fileno())
