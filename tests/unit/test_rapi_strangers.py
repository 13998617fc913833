"""What the RAPI does with clients that do not speak HTTP, or speak it too slowly."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from rapi.exchange import Answer
from rapi.service import Incoming
from rapi.web import ARRIVES_S, TAKEN_S, RapiSite
from tests.unit.rapi_house import RapiHouse
from tests.unit.wires import Endpoint, Network


class Talker(Protocol):
    """A client that says anything; also its own factory."""

    def __init__(self, house: RapiHouse) -> None:
        self.house = house
        self.heard = b""
        self.lost = False
        house.site.connect(self)

    def buildProtocol(self, _address: Any) -> Talker:
        return self

    def say(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr,call-arg]
        self.house.clock.advance(0)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


MANY = b"".join(b"X-%d: 1\r\n" % at for at in range(600))


@pytest.mark.parametrize(
    ("said", "status", "message"),
    [
        (b"nonsense\r\n\r\n", 400, "This is not a request of HTTP/1.1"),
        (b"GET /2/info HTTP/1.1\r\nno colon\r\n\r\n", 400, "This is not a request of HTTP/1.1"),
        (
            b"PUT /2/info HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "This is not a request of HTTP/1.1",
        ),
        (b"GET / HTTP/1.1\r\n" + MANY + b"\r\n", 431, "There are more than 500 headers"),
        (
            b"GET / HTTP/1.1\r\n" + b"X: %s\r\n" % (b"x" * 9000) * 2 + b"\r\n",
            431,
            "The headers are over 16384 bytes",
        ),
    ],
)
def test_what_is_not_http_is_answered_as_other_errors(
    said: bytes, status: int, message: str
) -> None:
    client = Talker(RapiHouse())
    client.say(said)
    head, _, body = client.heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert msgspec.json.decode(body) == {
        "code": status,
        "message": message,
        "explain": HTTPStatus(status).description,
    }
    assert client.lost


def test_a_request_that_comes_in_drops_is_not_waited_for_for_ever() -> None:
    house = RapiHouse()
    client = Talker(house)
    client.say(b"GET /2/info HTTP/1.1\r\n")
    for drop in range(ARRIVES_S // 10 + 1):
        house.clock.advance(10)
        client.say(b"X-%d: 1\r\n" % drop)
    house.clock.advance(0)
    assert client.lost


def test_an_answer_that_nobody_takes_is_given_up() -> None:
    house = RapiHouse()
    channel = house.channel()
    transport = StringTransport()
    channel.makeConnection(transport)
    channel.dataReceived(b"GET /2/features HTTP/1.1\r\n\r\n")
    assert transport.value().startswith(b"HTTP/1.1 200 OK")
    assert not transport.disconnected
    house.clock.advance(TAKEN_S)
    assert transport.disconnected
    channel.connectionLost(Failure(ConnectionDone()))
    assert [call for call in house.clock.getDelayedCalls() if call.active()] == []


class Slow:
    """A RAPI that answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Deferred[Answer]] = []

    async def answer(self, incoming: Incoming) -> Answer:
        self.asked.append(Deferred())
        return await self.asked[-1]


def test_who_sends_no_request_makes_room_for_who_does() -> None:
    rapi, clock = Slow(), Clock()
    endpoint = Endpoint(Network(), RapiSite(rapi, clock, 2))
    for _ in range(3):
        endpoint.connect(Factory.forProtocol(Protocol))
    assert [wire.closed for wire in endpoint.wires] == [True, False, False]
    for wire in endpoint.wires[1:]:
        wire.write(b"GET /2/info HTTP/1.1\r\n\r\n")
    assert len(rapi.asked) == 2
    endpoint.connect(Factory.forProtocol(Protocol))
    assert [wire.closed for wire in endpoint.wires[1:]] == [False, False, True]
    rapi.asked[0].callback(Answer())
    endpoint.connect(Factory.forProtocol(Protocol))
    assert [wire.closed for wire in endpoint.wires[1:]] == [True, False, True, False]
    for wire in endpoint.wires:
        wire.loseConnection()
