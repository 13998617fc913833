"""A stage for commands: a real socket with prepared answers, and a session that remembers.

The responder speaks through the product's own protocol on a unix socket in a thread of its own;
what it answers is prepared by the test. It judges nothing.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cli.main import run
from clusterd.doorway import protocol
from clusterd.doorway.client import Door

NOW_NS = 1_700_000_000_123_456_789

Answer = Callable[..., Any]


class Failed(Exception):
    """What a prepared answer raises to fail as ``[kind, args]``."""

    def __init__(self, kind: str, *args: Any) -> None:
        super().__init__(kind, *args)
        self.encoded = [kind, list(args)]


class Responder:
    """Answers by method: a value, or a function of the arguments. Remembers every call."""

    def __init__(self, path: Path, answers: Mapping[str, Any]) -> None:
        self.path = path
        self.answers = dict(answers)
        self.calls: list[tuple[str, list[Any]]] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._links: list[socket.socket] = []
        self._asking: socket.socket | None = None
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """End all threads."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for link in self._links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()
        for link in (*self._links, self._listener):
            link.close()

    def hang_up(self) -> None:
        """As a master that dies: whoever asked gets no answer."""
        assert self._asking is not None
        self._asking.shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError

    def of(self, method: str) -> list[list[Any]]:
        """The arguments of each call of one method."""
        return [args for name, args in self.calls if name == method]

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self._links.append(link)
            thread = threading.Thread(target=self._serve, args=(link,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, link: socket.socket) -> None:
        frames = protocol.Frames(1 << 24)
        with contextlib.suppress(OSError):
            while data := link.recv(65536):
                for message in frames.feed(data):
                    self._asking = link
                    link.sendall(self._reply(protocol.decode_request(message)))

    def _reply(self, request: protocol.Request) -> bytes:
        args = list(request.args)
        self.calls.append((request.method, args))
        if request.method not in self.answers:
            return protocol.encode_failure(["GenericError", [f"no answer to {request.method}"]])
        answer = self.answers[request.method]
        try:
            return protocol.encode_reply(answer(*args) if callable(answer) else answer)
        except Failed as failure:
            return protocol.encode_failure(failure.encoded)


class StageSession:
    """A command's outside: a fixed clock, no terminal unless ``answers`` says what is typed."""

    def __init__(self, path: Path, environment: Mapping[str, str] | None = None) -> None:
        self.environment: Mapping[str, str] = environment or {}
        self.door = Door(path, connect_timeout_s=5, answer_timeout_s=5)
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self.questions: list[str] = []
        self.live = False
        self.yes = False
        self.input = ""
        self.became: list[str] = []
        self.pauses = 0
        """Pauses that it lets pass."""
        self.drawn = 0

    def out(self, text: str) -> None:
        self.stdout += text.split("\n")

    def err(self, text: str) -> None:
        self.stderr += text.split("\n")

    def ask(self, question: str) -> bool:
        self.questions.append(question)
        return self.yes

    def now_ns(self) -> int:
        return NOW_NS

    def draw_name(self) -> str:
        self.drawn += 1
        return f"drawn-{self.drawn}"

    def pause(self, duration_s: float) -> None:
        """A person who looks again and again ends it with Ctrl-C; here the first pause does, or
        the one after ``pauses``."""
        if not self.pauses:
            raise KeyboardInterrupt
        self.pauses -= 1

    def read_input(self) -> str:
        return self.input

    def replace_process(self, argv: list[str]) -> int:
        self.became = argv
        return 0


class Ended(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: list[str]
    err: list[str]
    questions: list[str]
    became: list[str]


def log(serial: int, text: Any, kind: str = "message") -> list[Any]:
    """A log entry at a fixed time."""
    return [serial, [1_700_000_000, 5], kind, text]


def field(name: str, title: str, kind: str) -> dict[str, str]:
    """A field's definition."""
    return {"name": name, "title": title, "kind": kind, "doc": f"About {title}"}


def job_answers(
    result: Any = None, *, status: str = "success", entries: Any = (), number: int = 12
) -> dict[str, Any]:
    """Answers for one job that has ended when it is first looked at."""
    ended = "success" if status == "success" else "error"
    return {
        "SubmitJob": number,
        "WaitForJobChange": [[status], list(entries)],
        "QueryJobs": [[status, [ended], [result]]],
    }


class Stage:
    """Runs commands against prepared answers."""

    def __init__(self, directory: Path) -> None:
        self.responder = Responder(directory / "door", {})
        self.environment: dict[str, str] = {"CLUSTERD_ROOT": str(directory)}
        self.yes = False
        self.live = False
        self.input = ""
        self.pauses = 0

    def answer(self, **answers: Any) -> Stage:
        """Prepare answers by method."""
        self.responder.answers.update(answers)
        return self

    def run(self, tool: str, *words: str) -> Ended:
        """One command."""
        session = StageSession(self.responder.path, self.environment)
        session.yes, session.live, session.input = self.yes, self.live, self.input
        session.pauses = self.pauses
        try:
            code = run(tool, words, session)
        finally:
            session.door.close()
        return Ended(int(code), session.stdout, session.stderr, session.questions, session.became)

    def submitted(self) -> dict[str, Any]:
        """The only opcode of the only job, without the reason trail."""
        ((opcodes, _name),) = self.responder.of("SubmitJob")
        (opcode,) = opcodes
        return {key: value for key, value in opcode.items() if key != "reason"}


@contextlib.contextmanager
def stage_in(directory: Path) -> Iterator[Stage]:
    """A stage that ends its threads."""
    stage = Stage(directory)
    try:
        yield stage
    finally:
        stage.responder.close()
