"""A go-between at a real door: the answer to the first submission never reaches who asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from clusterd.doorway.protocol import END, decode_request

TIMEOUT_S = 30.0


@contextlib.contextmanager
def swallowing(door: Path, path: Path, swallowed: Callable[[], None]) -> Iterator[Path]:
    """Listens at ``path`` for clients of ``door``, one after the other; ``swallowed`` is called
    when the answer is there, before its client is hung up on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        left = [swallowed]

        def serve() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                with link, contextlib.suppress(OSError, EOFError):
                    _relay(link, door, left)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(TIMEOUT_S)
            assert not thread.is_alive()


def _relay(link: socket.socket, door: Path, left: list[Callable[[], None]]) -> None:
    link.settimeout(TIMEOUT_S)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as real:
        real.settimeout(TIMEOUT_S)
        real.connect(str(door))
        while True:
            message = _message(link)
            real.sendall(message)
            answer = _message(real)
            if left and decode_request(message.removesuffix(END)).method == "SubmitJob":
                left.pop()()
                return
            link.sendall(answer)


def _message(link: socket.socket) -> bytes:
    found = b""
    while not found.endswith(END):
        data = link.recv(65536)
        if not data:
            raise EOFError
        found += data
    return found
