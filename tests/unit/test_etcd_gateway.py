"""Asking etcd: what the refusals of a member mean, and that the next one is asked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from twisted.internet.address import HostnameAddress
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer  # type: ignore[import-untyped]

from jobqueue.errors import LeaseGone, StoreAway, StoreError, StoreFull, TooLarge
from jobqueue.store.etcd_gateway import (
    Compacted,
    Gateway,
    Patience,
    TryAnother,
    in_words,
    patiently,
    refusal,
)
from jobqueue.store.etcd_leases import EtcdLeases
from jobqueue.store.etcd_wire import RangeAnswer

PASSING = (
    (14, "etcdserver: no leader"),
    (14, "etcdserver: leader changed"),
    (14, "etcdserver: request timed out"),
    (14, "etcdserver: server stopped"),
    (2, "raft proposal dropped"),
    (8, "etcdserver: too many requests"),
    (1, "context canceled"),
)


@pytest.mark.parametrize(("code", "words"), PASSING)
def test_what_passes_by_itself_is_asked_elsewhere(code: int, words: str) -> None:
    assert isinstance(refusal(503, _said(code, words)), TryAnother)


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (8, "etcdserver: mvcc: database space exceeded", StoreFull),
        (5, "etcdserver: requested lease not found", LeaseGone),
        (3, "etcdserver: request is too large", TooLarge),
        (11, "etcdserver: mvcc: required revision has been compacted", Compacted),
        (3, "etcdserver: duplicate key given in txn request", StoreError),
    ],
)
def test_what_is_final_is_told_as_the_store_s_error(
    code: int, words: str, kind: type[StoreError]
) -> None:
    assert type(refusal(400, _said(code, words))) is kind


def test_a_member_that_is_no_etcd_is_not_believed() -> None:
    assert isinstance(refusal(502, b"<html>bad gateway</html>"), TryAnother)


def _said(code: int, words: str) -> bytes:
    return msgspec.json.encode({"error": words, "message": words, "code": code})


@implementer(IResponse)
class Response:
    """A whole answer."""

    version = (b"HTTP", 1, 1)
    phrase = b""
    headers = Headers({})
    request = None
    previousResponse = None

    def __init__(self, code: int, text: bytes) -> None:
        self.code = code
        self.length = len(text)
        self._text = text

    def deliverBody(self, protocol: Any) -> None:
        protocol.dataReceived(self._text)
        protocol.connectionLost(Failure(ResponseDone()))

    def setPreviousResponse(self, response: Any) -> None:
        raise NotImplementedError


class Late:
    """A member that answers after so many seconds of ``clock``, or never; ``given_up`` counts."""

    def __init__(self, clock: Clock, after_s: float, answer: tuple[int, bytes] | None) -> None:
        self._clock = clock
        self._after_s = after_s
        self._answer = answer
        self.given_up = 0

    def deferred(self) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred(self._cancelled)
        if self._answer is not None:
            response = Response(*self._answer)
            self._clock.callLater(
                self._after_s, lambda: waiting.called or waiting.callback(response)
            )
        return waiting

    def _cancelled(self, _waiting: Deferred[Any]) -> None:
        self.given_up += 1


@implementer(IAgent)
class Members:
    """Pretended members: (code, text) by host, or an error."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Deferred[Any]:
        host = uri.decode().split("/")[2]
        self.asked.append(host)
        answer = self.answers[host]
        if isinstance(answer, Late):
            return answer.deferred()
        if isinstance(answer, Exception):
            failed: Deferred[Any] = Deferred()
            failed.errback(answer)
            return failed
        return succeed(Response(*answer))


def _asking(clock: Clock, gateway: Gateway, asked: Any) -> list[Any]:
    outcome: list[Any] = []
    Deferred.fromCoroutine(asked).addBoth(outcome.append)
    for _ in range(100):
        clock.advance(0.1)
    return outcome


def _gateway(members: Members, clock: Clock) -> Gateway:
    endpoints = [f"https://{host}" for host in members.answers]
    patience = Patience(member_s=1.0, all_s=3.0, several_s=9.0)
    return Gateway(endpoints, members, clock, patience)


def test_the_next_member_is_asked_and_kept() -> None:
    empty = (200, b'{"header":{"revision":"7"}}')
    clock = Clock()
    members = Members(
        a=(503, _said(14, "etcdserver: no leader")), b=ConnectionRefusedError(), c=empty
    )
    gateway = _gateway(members, clock)
    outcome = _asking(clock, gateway, gateway.ask("kv/range", {}, RangeAnswer))
    assert outcome[0].header.revision == gateway.revision == 7
    assert members.asked == ["a", "b", "c"]
    assert gateway.endpoint == "https://c"


def test_when_none_answers_the_store_is_away_and_says_why() -> None:
    clock = Clock()
    members = Members(a=ConnectionRefusedError(), b=(500, _said(2, "raft proposal dropped")))
    gateway = _gateway(members, clock)
    (failure,) = _asking(clock, gateway, gateway.ask("kv/range", {}, RangeAnswer))
    assert isinstance(failure.value, StoreAway)
    assert {"a", "b"} == set(members.asked)


def test_an_error_while_a_lease_is_kept_alive_does_not_end_it() -> None:
    clock = Clock()
    wrong = b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}'
    members = Members(a=(200, wrong), b=(200, b'{"result":{"ID":"5","TTL":"6"}}'))
    leases = EtcdLeases(_gateway(members, clock), lambda: None)
    assert _asking(clock, _gateway(members, clock), leases.keep_alive(5)) == [6.0]
    gone = EtcdLeases(_gateway(Members(a=(200, b'{"result":{"ID":"5"}}')), clock), lambda: None)
    (failure,) = _asking(clock, _gateway(members, clock), gone.keep_alive(5))
    assert isinstance(failure.value, LeaseGone)


KEPT = (200, b'{"result":{"ID":"5","TTL":"6"}}')


def _kept_alive(clock: Clock, gateway: Gateway) -> list[Any]:
    return _asking(clock, gateway, EtcdLeases(gateway, lambda: None).keep_alive(5))


def test_a_lease_is_kept_alive_by_members_that_all_take_long() -> None:
    """Longer than one is waited for otherwise; none is given up before one has answered."""
    clock = Clock()
    slow = Late(clock, 2.5, KEPT)
    members = Members(a=slow, b=Late(clock, 4.0, KEPT))
    gateway = _gateway(members, clock)
    assert _kept_alive(clock, gateway) == [6.0]
    assert members.asked == ["a", "b", "a"]
    assert slow.given_up == 1
    assert not clock.getDelayedCalls()[2:]


def test_a_lease_is_kept_alive_though_members_are_silent_or_refuse() -> None:
    clock = Clock()
    silent = Late(clock, 0.0, None)
    members = Members(a=silent, b=ConnectionRefusedError(), c=KEPT)
    gateway = _gateway(members, clock)
    assert _kept_alive(clock, gateway) == [6.0]
    assert members.asked == ["a", "b", "c"]
    assert gateway.endpoint == "https://c"
    assert silent.given_up == 1
    assert not clock.getDelayedCalls()


def test_a_lease_that_no_member_keeps_alive_is_not_waited_for_for_ever() -> None:
    clock = Clock()
    silent = Late(clock, 0.0, None)
    gateway = _gateway(Members(a=silent), clock)
    (failure,) = _kept_alive(clock, gateway)
    assert isinstance(failure.value, StoreAway)
    assert "9.0 s" in str(failure.value)
    assert silent.given_up == 9
    assert not clock.getDelayedCalls()


def test_what_gives_up_a_renewal_gives_up_its_requests() -> None:
    clock = Clock()
    silent = Late(clock, 0.0, None)
    gateway = _gateway(Members(a=silent, b=silent), clock)
    asking = Deferred.fromCoroutine(EtcdLeases(gateway, lambda: None).keep_alive(5))
    clock.advance(1.5)
    asking.cancel()
    assert isinstance(asking.result, Failure)
    asking.addErrback(lambda failure: failure.trap(CancelledError))
    assert silent.given_up == 2
    assert not clock.getDelayedCalls()


def test_an_answer_that_waited_for_this_process_counts() -> None:
    """It was held up for longer than a member is waited for: its timers come before its sockets."""
    clock = Clock()
    waiting: Deferred[str] = Deferred()
    found: list[Any] = []
    patiently(waiting, 1.0, clock).addBoth(found.append)
    clock.advance(5.0)
    waiting.callback("here")
    assert found == ["here"]
    assert not clock.getDelayedCalls()
    patiently(Deferred(), 1.0, clock).addBoth(found.append)
    clock.pump([1.0, 1.0])
    assert isinstance(found[1].value, DeferredTimeout)


def test_why_a_member_was_not_heard_is_told_in_words() -> None:
    lost = ResponseNeverReceived([Failure(ConnectionLost("pulled")), Failure(CancelledError())])
    said = "Connection to the other side was lost in a non-clean fashion: pulled."
    assert in_words(lost) == f"{said}; CancelledError"
    given_up = ConnectingCancelledError(HostnameAddress(b"n1", 1812))
    assert in_words(given_up) == "no answer in time"
    assert in_words(ConnectionRefusedError()) == "Connection was refused by other side."
