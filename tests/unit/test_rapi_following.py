"""What a candidate's remote API does with requests while another node is master."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.web.resource import Resource
from twisted.web.server import Site

from clusterd import certificates
from clusterd.certificates import KeyPair
from clusterd.doorway.porter import Mastery
from clusterd.errors import DoorAway
from rapi.certificate import RenewableContext
from rapi.errors import BadGateway
from rapi.exchange import Answer
from rapi.following import HANDED_ON, Following, OverTls, passed_on
from rapi.service import Incoming
from tests.unit.driving import now
from tests.waiting import reactor, run

HERE = Mastery(node="n1", standing="master", master="n1", address="192.0.2.1")
THERE = Mastery(node="n1", standing="standby", master="n2", address="192.0.2.2")
NOBODY = Mastery(node="n1", standing="standby")


class Standing:
    """A door that says who is master; None: nobody answers at it."""

    def __init__(self, mastery: Mastery | None) -> None:
        self.mastery = mastery

    async def call(self, method: str, *_args: Any) -> Any:
        assert method == "QueryMastership"
        if self.mastery is None:
            raise DoorAway("no door")
        return msgspec.to_builtins(self.mastery)


class Everywhere:
    """Answers here, and at every address, saying where."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Incoming]] = []

    async def answer(self, incoming: Incoming) -> Answer:
        self.asked.append(("here", incoming))
        return Answer(body="here")

    async def ask(self, address: str, incoming: Incoming) -> Answer:
        self.asked.append((address, incoming))
        return Answer(body=address)


def answered(mastery: Mastery | None, incoming: Incoming) -> tuple[Answer, list[str]]:
    places = Everywhere()
    following = Following(places, Standing(mastery), places)
    return now(following.answer(incoming)), [where for where, _ in places.asked]


@pytest.mark.parametrize(
    ("mastery", "where"), [(HERE, "here"), (THERE, "192.0.2.2"), (None, "here")]
)
def test_who_answers(mastery: Mastery | None, where: str) -> None:
    answer, asked = answered(mastery, Incoming(method="GET", path="/2/info"))
    assert (answer.body, asked) == (where, [where])


def test_without_a_master_the_client_asks_again() -> None:
    answer, asked = answered(NOBODY, Incoming(method="GET", path="/2/info"))
    assert (answer.status, asked) == (503, [])


def test_a_request_is_handed_on_once() -> None:
    came = Incoming(method="GET", path="/2/info", headers={HANDED_ON: "1"})
    answer, asked = answered(THERE, came)
    assert (answer.status, asked) == (503, [])


def test_a_body_that_is_too_large_is_not_left_away() -> None:
    came = Incoming(method="PUT", path="/2/instances/web1/startup", too_large=True)
    answer, asked = answered(THERE, came)
    assert (answer.status, asked) == (413, [])


def test_what_the_master_has_to_know_is_handed_on() -> None:
    headers = {
        "authorization": "Basic x",
        "content-type": "application/json",
        "idempotency-key": "a1",
        "host": "n1:5080",
    }
    del (kept := passed_on(Incoming(method="POST", path="/", headers=headers)))[HANDED_ON]
    assert kept == {name: text for name, text in headers.items() if name != "host"}


# -- whom a candidate believes that hands on -------------------------------------------------------


def chain_of(authority: KeyPair) -> bytes:
    """The file of a remote API on loopback."""
    return certificates.rapi_file(authority, ("127.0.0.1",), time.time())


def asked_over_tls(directory: Path, shown: bytes, own: bytes, believed: Callable[[], bytes]) -> int:
    """The status with which a master's remote API answers that shows one chain, asked by a
    candidate that has another."""
    (directory / "rapi.pem").write_bytes(shown)

    async def story() -> int:
        answers = Resource()
        answers.isLeaf = True
        answers.render_GET = lambda request: b"{}"
        port = reactor.listenSSL(
            0, Site(answers), RenewableContext(directory / "rapi.pem"), interface="127.0.0.1"
        )
        away = OverTls(reactor, lambda: own, believed, port.getHost().port)
        try:
            found = await away.ask("127.0.0.1", Incoming(method="GET", path="/2/info"))
            return found.status
        except BadGateway:
            return 502
        finally:
            await port.stopListening()

    return run(story)


def test_requests_are_handed_on_while_the_cluster_s_authority_changes(tmp_path: Path) -> None:
    """Before, between and after: the master shows one of either, the candidate has the other."""
    former, following = (certificates.make_authority("c", time.time()) for _ in range(2))
    old, new = chain_of(former), chain_of(following)
    both = following.certificate + former.certificate
    for shown, own, believed in (
        (old, old, former.certificate),
        (old, new, both),
        (new, old, both),
        (new, new, following.certificate),
        # a chain that the site brought knows nothing of ours
        (new, old.replace(former.certificate, b""), both),
    ):
        assert asked_over_tls(tmp_path, shown, own, lambda pem=believed: pem) == 200


def test_who_is_believed_no_more_is_not_handed_anything(tmp_path: Path) -> None:
    former, following = (certificates.make_authority("c", time.time()) for _ in range(2))
    old, new = chain_of(former), chain_of(following)

    def missing() -> bytes:
        raise PermissionError

    assert asked_over_tls(tmp_path, old, new, lambda: following.certificate) == 502
    assert asked_over_tls(tmp_path, old, new, missing) == 502
    assert asked_over_tls(tmp_path, new, new, missing) == 200
