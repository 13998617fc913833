"""The blocking client: framing, errors, and a door that is broken in every way."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusterd.doorway import protocol
from clusterd.doorway.client import Door, DoorSilent, door_path
from clusterd.doorway.protocol import BadMessage, RequestFailed
from clusterd.errors import DoorAway
from tests.unit.cli_stage import Failed, Responder

REPLY = protocol.encode_reply


@contextlib.contextmanager
def odd_server(path: Path, *talks: Callable[[socket.socket], None]) -> Iterator[None]:
    """Each connection is handled by the next of ``talks``, then closed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for talk in talks:
                link, _ = listener.accept()
                with link:
                    talk(link)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(5)
        assert not thread.is_alive()


def door(path: Path, answer_timeout_s: float = 5.0) -> Door:
    return Door(path, connect_timeout_s=5, answer_timeout_s=answer_timeout_s)


def test_calls_and_failures(tmp_path: Path) -> None:
    def refuse(*_args: object) -> None:
        raise Failed("OpPrereqError", "Node 'x' not known", "unknown_entity")

    responder = Responder(tmp_path / "door", {"Echo": lambda *args: list(args), "Refuse": refuse})
    client = door(responder.path)
    try:
        assert client.call("Echo", "é\x03\n", [1, None], {"a": 1.5}) == [
            "é\x03\n",
            [1, None],
            {"a": 1.5},
        ]
        with pytest.raises(RequestFailed, match="Node 'x' not known") as caught:
            client.call("Refuse")
        assert (caught.value.kind, caught.value.reason) == ("OpPrereqError", "unknown_entity")
        # a failed request leaves the connection in order
        assert client.call("Echo") == []
    finally:
        client.close()
        responder.close()


def test_an_answer_may_come_in_pieces_and_be_large(tmp_path: Path) -> None:
    answer = REPLY("x" * 1_000_000)

    def talk(link: socket.socket) -> None:
        link.recv(65536)
        for start in range(0, len(answer), 99_991):
            link.sendall(answer[start : start + 99_991])

    with odd_server(tmp_path / "door", talk):
        client = door(tmp_path / "door")
        assert len(client.call("Big")) == 1_000_000
        client.close()


def test_after_the_master_hung_up_the_next_call_connects_anew(tmp_path: Path) -> None:
    def answering(value: int) -> Callable[[socket.socket], None]:
        def talk(link: socket.socket) -> None:
            link.recv(65536)
            link.sendall(REPLY(value))

        return talk

    def hang_up(link: socket.socket) -> None:
        link.recv(65536)

    with odd_server(tmp_path / "door", hang_up, answering(2)):
        client = door(tmp_path / "door")
        with pytest.raises(DoorAway, match="hung up"):
            client.call("First")
        assert client.call("Second") == 2
        client.close()


def test_a_connection_that_the_master_closed_while_idle_is_made_anew(tmp_path: Path) -> None:
    gone = threading.Event()

    def once(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(REPLY(1))
        link.close()
        gone.set()

    def again(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(REPLY(2))

    with odd_server(tmp_path / "door", once, again):
        client = door(tmp_path / "door")
        assert client.call("First") == 1
        assert gone.wait(5)
        assert client.call("Second") == 2
        client.close()


@pytest.mark.parametrize(
    ("bytes_sent", "error"),
    [
        (b"", DoorAway),
        (b'{"success": true', DoorAway),
        (b"nonsense\x03", BadMessage),
        (b'{"result": 1}\x03', BadMessage),
        (b"[]\x03", BadMessage),
        (b'{"success": false, "result": "odd"}\x03', RequestFailed),
        (b'{"success": false, "result": null}\x03', RequestFailed),
    ],
)
def test_what_is_no_answer_is_an_error(
    tmp_path: Path, bytes_sent: bytes, error: type[Exception]
) -> None:
    def talk(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(bytes_sent)

    with odd_server(tmp_path / "door", talk):
        client = door(tmp_path / "door")
        with pytest.raises(error):
            client.call("Any")
        client.close()


def test_a_silent_master_is_given_up_and_a_late_answer_is_not_taken_for_the_next(
    tmp_path: Path,
) -> None:
    silent = threading.Event()

    def mute(link: socket.socket) -> None:
        link.recv(65536)
        silent.wait(5)
        with contextlib.suppress(OSError):
            link.sendall(REPLY("late"))

    def prompt(link: socket.socket) -> None:
        link.recv(65536)
        link.sendall(REPLY("prompt"))

    with odd_server(tmp_path / "door", mute, prompt):
        client = door(tmp_path / "door", answer_timeout_s=0.2)
        with pytest.raises(DoorSilent, match="does not answer"):
            client.call("Any")
        silent.set()
        client = door(tmp_path / "door")
        assert client.call("Any") == "prompt"
        client.close()


def test_no_socket_and_no_listener(tmp_path: Path) -> None:
    with pytest.raises(DoorAway, match=r"is not there \(No such file or directory\)"):
        door(tmp_path / "door").call("Any")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "door"))
    with pytest.raises(DoorAway, match=r"is not there \(Connection refused\)"):
        door(tmp_path / "door").call("Any")


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({}, "/run/clusterd/socket/ganeti-master"),
        ({"CLUSTERD_ROOT": "/vc/n1/"}, "/vc/n1/run/clusterd/socket/ganeti-master"),
        ({"FORCE_LUXI_SOCKET": "master"}, "/run/clusterd/socket/ganeti-master"),
        ({"FORCE_LUXI_SOCKET": "query"}, "/run/clusterd/socket/ganeti-query"),
        ({"FORCE_LUXI_SOCKET": "/tmp/s", "CLUSTERD_ROOT": "/vc"}, "/tmp/s"),
        ({"FORCE_LUXI_SOCKET": "./s"}, "s"),
    ],
)
def test_where_the_door_is(environment: dict[str, str], path: str) -> None:
    assert str(door_path(environment)) == path


def test_an_unknown_door_is_refused() -> None:
    with pytest.raises(DoorAway, match="must be 'master', 'query' or a path"):
        door_path({"FORCE_LUXI_SOCKET": "other"})
