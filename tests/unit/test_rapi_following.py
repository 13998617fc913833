"""What a candidate's remote API does with requests while another node is master."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from clusterd.doorway.porter import Mastery
from clusterd.errors import DoorAway
from rapi.exchange import Answer
from rapi.following import HANDED_ON, Following, passed_on
from rapi.service import Incoming
from tests.unit.driving import now

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
