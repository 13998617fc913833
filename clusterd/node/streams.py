"""Contents of disks between nodes: who listens, who connects, and the threads that copy.

A stream that was accepted has a unix socket of its own, to which the sender comes through the relay
(mutual TLS between the node daemons), or directly on the same node. One thread copies on each side,
so a slow one holds the other back. Nothing is kept over a restart: the sender fails, and its step
begins again.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import msgspec
from twisted.internet.defer import Deferred

from clusterd.durable import make_directory
from clusterd.node import stream_frames as frames
from clusterd.node.blocking import ThreadedScripts
from clusterd.node.relay import RelaySockets
from clusterd.node.stream_frames import Broken, FileSink, Gauge, Limited, PipeSink
from clusterd.node.stream_progress import Telling
from clusterd.verbs.errors import StreamBroken, StreamFailed
from clusterd.verbs.host import Script, ScriptEnd
from clusterd.world import Clock, StreamEnd
from hypervisors.interface import Threads

DIRECTORY = "streams"
COME_S = 120.0
"""So long an accepted stream is waited for."""
SILENCE_S = 86400.0
"""So long a side may have nothing to say: a script may first look at a whole disk. A peer that is
gone is noticed by the relay."""
MIB = 1024 * 1024


class Reception:
    """One accepted stream. Invariant: once stopped, nothing more is written."""

    def __init__(self, end: StreamEnd, script: Script | None, path: Path) -> None:
        self.end = end
        self.script = script
        self.path = path
        self.listener = listening(path)
        self.connection: socket.socket | None = None
        self.stopped = False
        self.done: Deferred[Any] = Deferred()

    def stop(self) -> None:
        """Whoever reads or waits hears that it is over."""
        self.stopped = True
        with contextlib.suppress(OSError):
            if self.connection is not None:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            # nothing but a connection wakes who waits for one
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
                knock.connect(str(self.path))


def listening(path: Path) -> socket.socket:
    """A socket that one may connect to, for a while."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(2)
    listener.settimeout(COME_S)
    return listener


class NodeStreams:
    """The streams of one node; implements ``clusterd.verbs.host.Streams``."""

    def __init__(
        self,
        name: str,
        run: Path,
        sockets: RelaySockets,
        scripts: ThreadedScripts,
        threads: Threads,
        clock: Clock,
    ) -> None:
        self._name = name
        self._directory = run / DIRECTORY
        self._sockets = sockets
        self._scripts = scripts
        self._threads = threads
        self._clock = clock
        self._receiving: dict[str, Reception] = {}
        """By token."""

    def path_of(self, token: str) -> Path | None:
        """The socket of an accepted stream."""
        return self._directory / f"{token}.sock" if token in self._receiving else None

    # -- receiving ---------------------------------------------------------------------------------

    async def accept(self, token: str, end: StreamEnd, script: Script | None) -> None:
        """See ``Streams``."""
        if token in self._receiving:
            return
        await self.stop(end.place)
        make_directory(self._directory, 0o700)
        path = self._directory / f"{token}.sock"
        reception = self._receiving[token] = Reception(end, script, path)
        running = Deferred.fromCoroutine(self._threads.run(self._receive_blocking, reception))
        running.addBoth(self._received, token)

    async def stop(self, place: str) -> None:
        """See ``Streams``."""
        for one in [found for found in self._receiving.values() if found.end.place == place]:
            one.stop()
            await one.done

    def close(self) -> None:
        """Nothing is received any more: the daemon ends."""
        for one in self._receiving.values():
            one.stop()

    def _received(self, _result: object, token: str) -> None:
        reception = self._receiving.pop(token)
        reception.path.unlink(missing_ok=True)
        reception.listener.close()
        reception.done.callback(None)

    def _receive_blocking(self, reception: Reception) -> None:
        try:
            connection, _ = reception.listener.accept()
        except OSError:
            return  # nobody came
        with connection:
            reception.connection = connection
            if reception.stopped:
                return
            connection.settimeout(SILENCE_S)
            with _wire(connection) as wire, contextlib.suppress(OSError, ValueError):
                problem = self._taken(reception, wire)
                frames.reply(wire, problem)
                # closed with something unread, the answer would be lost
                while problem and wire.read(frames.CHUNK_BYTES):
                    pass

    def _taken(self, reception: Reception, wire: BinaryIO) -> str:
        """Take everything; empty, or why that was not possible."""
        end = reception.end
        try:
            if reception.script is not None:
                feed = _Import(wire)
                ended = self._scripts.piped_blocking(reception.script, feed)
                return _complaint(ended, reception.script) or feed.problem
            with _target(end) as file:
                frames.receive(wire, FileSink(file, keep_size=end.kind == "disk"))
        except Broken:
            return "the stream ended too early"
        except OSError as error:
            return f"{end.place}: {error.strerror or error}"
        return "it was stopped" if reception.stopped else ""

    # -- sending -----------------------------------------------------------------------------------

    async def send(
        self,
        towards: tuple[str, str],
        end: StreamEnd,
        script: Script | None,
        compress: str,
        say: Callable[[str], None],
    ) -> int:
        """See ``Streams``."""
        token, peer = towards
        local = peer == self._name
        path = (
            str(self._directory / f"{token}.sock")
            if local
            else await self._sockets.stream_socket(peer, token)
        )
        gauge = Gauge(end.size_mib * MIB)
        telling = Telling(gauge, self._clock, say)
        telling.begin()
        try:
            return await self._threads.run(
                self._send_blocking, path, end, script, (frames.LEVELS[compress], gauge)
            )
        finally:
            telling.end()
            if not local:
                await self._sockets.drop_stream(peer, token)

    def _send_blocking(
        self, path: str, end: StreamEnd, script: Script | None, how: tuple[int, Gauge]
    ) -> int:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(SILENCE_S)
                connection.connect(path)
                with _wire(connection) as wire:
                    return self._sent((wire, connection), end, script, how)
        except (Broken, OSError) as error:
            raise StreamBroken(
                f"the other side of the stream is gone ({error or 'no answer'})", subject=end.place
            ) from error

    def _sent(
        self,
        link: tuple[BinaryIO, socket.socket],
        end: StreamEnd,
        script: Script | None,
        how: tuple[int, Gauge],
    ) -> int:
        wire, connection = link
        level, gauge = how
        try:
            if script is not None:
                self._send_output(link, script, how)
            else:
                with _source(end) as file:
                    left = end.size_mib * MIB if end.kind == "disk" else 1 << 62
                    found = _read(Limited(file, left).pieces(), end.place)
                    frames.send(_wanted(found, connection), wire, level, gauge)
        except (BrokenPipeError, ConnectionError, _Unwanted):
            pass  # it says why
        said = frames.answer(wire)
        if said:
            raise StreamFailed(f"the contents did not arrive: {said}", subject=end.place)
        return gauge.done_bytes

    def _send_output(
        self, link: tuple[BinaryIO, socket.socket], script: Script, how: tuple[int, Gauge]
    ) -> None:
        reading, writing = os.pipe()
        try:
            feed = _Export(link, how, reading)
            given = msgspec.structs.replace(
                script, environment={**script.environment, "EXP_SIZE_FD": str(writing)}
            )
            ended = self._scripts.piped_blocking(given, feed, (writing,))
        finally:
            os.close(reading)
            os.close(writing)
        complaint = _complaint(ended, script)
        if complaint:
            raise StreamFailed(complaint, subject=script.argv[0])
        feed.end()


class _Unwanted(Exception):
    """The other side has answered before everything was sent."""


def _wanted(found: Iterator[bytes | int], connection: socket.socket) -> Iterator[bytes | int]:
    for piece in found:
        if select.select([connection], [], [], 0)[0]:
            raise _Unwanted
        yield piece


def _read(found: Iterator[bytes | int], place: str) -> Iterator[bytes | int]:
    """Raises StreamFailed where the source cannot be read, which is not the other side's fault."""
    try:
        yield from found
    except OSError as error:
        raise StreamFailed(f"{place} cannot be read: {error.strerror}", subject=place) from error


class _Export:
    """An export script's output, held back at its end until it is known that the script is well."""

    writes = False

    def __init__(
        self, link: tuple[BinaryIO, socket.socket], how: tuple[int, Gauge], size: int
    ) -> None:
        self._wire, self._connection = link
        self._level, self._gauge = how
        self._size = size
        self._end = b""

    def through(self, pipe: IO[bytes]) -> None:
        os.set_blocking(self._size, False)
        found = _wanted(self._pieces(cast(BinaryIO, pipe)), self._connection)
        frames.send(found, _Held(self._wire, self), self._level, self._gauge)

    def _pieces(self, pipe: BinaryIO) -> Iterator[bytes | int]:
        for piece in frames.pieces(pipe):
            with contextlib.suppress(OSError, ValueError):
                self._gauge.wanted_bytes = int(os.read(self._size, 64).split()[0]) * MIB
            yield piece

    def hold(self, end: bytes) -> None:
        """The frame that says that all is there."""
        self._end = end

    def end(self) -> None:
        """Say so."""
        self._wire.write(self._end)
        self._wire.flush()


class _Held:
    """A wire that passes everything on but the end."""

    def __init__(self, wire: BinaryIO, export: _Export) -> None:
        self._wire, self._export = wire, export

    def write(self, data: bytes) -> int:
        if data[: frames.HEAD.size] == frames.HEAD.pack(0):
            self._export.hold(data)
            return len(data)
        return self._wire.write(data)

    def flush(self) -> None:
        self._wire.flush()


class _Import:
    """What an import script reads. It gets the end of its input only with everything before it."""

    writes = True

    def __init__(self, wire: BinaryIO) -> None:
        self._wire = wire
        self.problem = ""

    def through(self, pipe: IO[bytes]) -> None:
        try:
            frames.receive(self._wire, PipeSink(cast(BinaryIO, pipe)))
        except BrokenPipeError:
            self.problem = "the script did not read everything"


@contextlib.contextmanager
def _wire(connection: socket.socket) -> Iterator[BinaryIO]:
    wire = cast(BinaryIO, connection.makefile("rwb", buffering=frames.CHUNK_BYTES))
    try:
        yield wire
    finally:
        with contextlib.suppress(OSError):  # what is still to be sent nobody takes any more
            wire.close()


def _source(end: StreamEnd) -> BinaryIO:
    try:
        return Path(end.place).open("rb")
    except OSError as error:
        raise StreamFailed(
            f"{end.place} cannot be read: {error.strerror}", subject=end.place
        ) from error


def _target(end: StreamEnd) -> BinaryIO:
    if end.kind == "disk":
        return Path(end.place).open("r+b")
    return Path(end.place).open("w+b")


def _complaint(end: ScriptEnd, script: Script) -> str:
    if not end.code:
        return ""
    last = " / ".join([line for line in end.output.splitlines() if line.strip()][-5:])
    return f"{script.argv[0]} ended with code {end.code}; log {script.log}, last lines: {last}"
