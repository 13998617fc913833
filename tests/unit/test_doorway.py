"""The local door: its wire, its methods that read, its client."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactor, StringTransport

from clusterd.doorway import methods
from clusterd.doorway.async_client import CALL_TIMEOUT_S, Door, DoorTimeout
from clusterd.doorway.protocol import (
    END,
    BadMessage,
    Frames,
    RequestFailed,
    decode_reply,
    encode_request,
)
from clusterd.doorway.server import MAX_CLIENTS, listen, peer_of
from clusterd.errors import DoorAway
from tests.unit.door_house import House, Raw, refusal, sleep
from tests.unit.wires import Endpoint, Network

# -- the wire -----------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_requests_of_a_connection() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    raw = house.raw()
    wait = encode_request("WaitForJobChange", [1, ["status"], ["queued"], 0, 60])
    assert raw.say(wait + encode_request("QueryTags", ["node", "n1"])) == b""
    house.end(1)
    first, second, rest = raw.heard.split(END)
    assert decode_reply(first) == [["success"], []]
    assert decode_reply(second) == ["node", "n1"]
    assert rest == b""


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"method": 5, "args": []}',
        b'{"method": "QueryTags", "args": ["a"], "version": 2000000}',
    ],
)
def test_what_is_no_request_gets_an_error_and_the_conversation_goes_on(data: bytes) -> None:
    house = House()
    raw = house.raw()
    heard = raw.say(data + END)
    with pytest.raises(RequestFailed) as caught:
        decode_reply(heard.rstrip(END))
    assert caught.value.kind == "GenericError"
    assert decode_reply(raw.say(encode_request("QueryTags", ["x"])).rstrip(END)) == ["x", "None"]


def test_an_endless_message_ends_the_conversation() -> None:
    house = House()
    raw = house.raw()
    for _ in range(40):
        raw.say(b"x" * (1 << 20))
    assert raw.lost
    assert len(house.raw().say(encode_request("QueryTags", ["x"]))) > 0


def test_requests_without_end_are_bounded() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    raw = house.raw()
    raw.say(encode_request("WaitForJobChange", [1, ["status"], ["queued"], 0, 60]))
    raw.say(encode_request("QueryTags", ["x"]) * 200)
    assert raw.lost


def test_a_client_that_reads_nothing_is_answered_no_further() -> None:
    house = House()
    conversation = house.factory.buildProtocol(None)
    transport = StringTransport()
    conversation.makeConnection(transport)
    request = encode_request("QueryTags", ["node", "n1"])
    assert transport.producer is conversation
    conversation.pauseProducing()
    conversation.dataReceived(request * 3)
    assert transport.value().count(END) == 1
    conversation.resumeProducing()
    assert transport.value().count(END) == 3
    conversation.pauseProducing()
    conversation.dataReceived(request * 2)
    conversation.connectionLost()
    assert transport.value().count(END) == 4


def test_more_clients_than_the_door_serves_are_told_so() -> None:
    house = House()
    served = [house.raw() for _ in range(MAX_CLIENTS)]
    one_more = house.raw()
    assert one_more.lost
    with pytest.raises(RequestFailed, match=f"serves {MAX_CLIENTS} clients already"):
        decode_reply(one_more.heard.rstrip(END))
    served[0].transport.loseConnection()  # type: ignore[union-attr,misc]
    assert len(house.raw().say(encode_request("QueryTags", ["x"]))) > 0


def test_an_unexpected_error_tells_the_client_nothing_of_the_inside() -> None:
    house = House()
    kind, message, _ = refusal(house, "Query", "broken", [], None)
    assert kind == "GenericError"
    assert "secret" not in message
    assert "ZeroDivisionError" in message


def test_unknown_and_unserved_methods() -> None:
    house = House()
    assert refusal(house, "Dance")[1] == "There is no LUXI method 'Dance'"
    for name in methods.UNSERVED:
        assert refusal(house, name)[2] == "wrong_input"
    assert refusal(house, "QueryInstances", [], ["name"], True)[1] == (
        "Sync queries are not allowed"
    )


@pytest.mark.parametrize("name", sorted(methods.METHODS))
def test_each_method_refuses_arguments_of_another_shape(name: str) -> None:
    assert refusal(House(), name, {"a": 1}, {}, {}, {}, {}, {}, {})[2] == "wrong_input"


def test_reads_are_handed_on() -> None:
    house = House()
    assert house.ask("Query", "node", ["name"], ["=", "a", 1]) == {
        "what": "node",
        "fields": ["name"],
        "qfilter": ["=", "a", 1],
    }
    assert house.ask("QueryFields", "node", None) == {"what": "node", "fields": None}
    assert house.ask("QueryNodes", [], ["name"], False) == ["node", None, ["name"]]
    assert house.ask("QueryInstances", ["a"], ["name"], False) == ["instance", ["a"], ["name"]]
    assert house.ask("QueryFilters", None, ["uuid"]) == ["filter", None, ["uuid"]]
    assert house.ask("QueryClusterInfo") == {"name": "c1"}
    assert house.ask("QueryConfigValues", ["a"]) == ["a"]
    assert house.ask("SetWatcherPause", 12.5) == 12.5
    assert house.ask("SetWatcherPause", None) is None
    assert house.pauses == [12.5, None]


@given(st.lists(st.binary(max_size=20)), st.integers(1, 7))
def test_frames_do_not_depend_on_how_the_bytes_arrive(parts: list[bytes], step: int) -> None:
    messages = [part.replace(END, b"") for part in parts]
    stream = b"".join(message + END for message in messages)
    frames = Frames(1000)
    seen = []
    for at in range(0, len(stream), step):
        seen += frames.feed(stream[at : at + step])
    assert seen == messages


# -- the client ---------------------------------------------------------------------------------


def test_a_client_without_a_master_says_so() -> None:
    house = House()
    house.endpoint.up = False
    with pytest.raises(DoorAway, match="cannot be reached"):
        house.ask("QueryTags", "x")


def test_a_master_that_goes_away_in_the_middle() -> None:
    house = House()
    house.ask("SubmitJob", [sleep()])
    answers = house.begin("WaitForJobChange", 1, ["status"], ["queued"], 0, 60)
    house.endpoint.cut()
    assert isinstance(answers[0].value, DoorAway)


def test_a_master_that_does_not_answer() -> None:
    house = House()
    silent = Door(Endpoint(Network(), Raw()), house.clock)
    answers: list[Any] = []
    Deferred.fromCoroutine(silent.call("QueryTags", "x")).addBoth(answers.append)
    house.clock.advance(CALL_TIMEOUT_S + 1)
    assert isinstance(answers[0].value, DoorTimeout)


def test_connections_are_used_again_and_a_broken_one_is_not() -> None:
    house = House()
    for _ in range(5):
        house.ask("QueryTags", "x")
    assert len(house.endpoint.wires) == 1
    house.endpoint.cut()
    house.endpoint.up = True
    assert house.ask("QueryTags", "x") == ["x", "None"]
    assert len(house.endpoint.wires) == 2


def test_the_error_classes_cross_the_door() -> None:
    with pytest.raises(BadMessage):
        decode_reply(b"x")
    for text, kind in [
        (b'{"success": false, "result": ["OpPrereqError", ["m", "wrong_state"]]}', "OpPrereqError"),
        (b'{"success": false, "result": ["JobLost", "m"]}', "JobLost"),
        (b'{"success": false, "result": "m"}', "GenericError"),
    ]:
        with pytest.raises(RequestFailed) as caught:
            decode_reply(text)
        assert (caught.value.kind, caught.value.message) == (kind, "m")


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    class Transport:
        def __init__(self, handle: socket.socket) -> None:
            self.getHandle = lambda: handle

    one, two = socket.socketpair(socket.AF_UNIX)
    with one, two:
        assert peer_of(Transport(one)) == f"uid:{os.getuid()}"


def test_the_door_has_both_names_and_is_closed_to_others(tmp_path: Path) -> None:
    reactor = MemoryReactor()
    house = House()
    left = tmp_path / "socket" / "ganeti-master"
    left.parent.mkdir()
    left.touch()
    listen(reactor, house.factory, str(tmp_path / "socket"))
    assert [(Path(path).name, mode) for path, _, _, mode, _ in reactor.unixServers] == [
        ("ganeti-master", 0o660),
        ("ganeti-query", 0o660),
    ]
    # what a killed daemon left is out of the way
    assert not left.exists()
