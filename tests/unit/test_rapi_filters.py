"""Job filters and named requests over the RAPI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rapi_house import RapiHouse

WEB1 = "/2/instances/web1.example.com"


def test_job_filters_are_made_changed_and_forgotten() -> None:
    house = RapiHouse()
    rule = {"priority": 3, "predicates": [["jobid", [">", "id", "watermark"]]], "action": "PAUSE"}
    uuid = house.ask("POST", "/2/filters?reason=calm", rule).body
    shown = house.ask("GET", f"/2/filters/{uuid}").body
    assert (shown["priority"], shown["action"], shown["watermark"]) == (3, "PAUSE", 0)
    assert [entry[:2] for entry in shown["reason_trail"]] == [
        ["gnt:user", "calm"],
        ["gnt:library:rlib2:filters", ""],
    ]
    changed = house.ask("PUT", f"/2/filters/{uuid}", {"action": ["RATE_LIMIT", 2]})
    assert (changed.status, changed.body) == (200, uuid)
    assert house.ask("GET", f"/2/filters/{uuid}").body["action"] == ["RATE_LIMIT", 2]
    assert house.ask("DELETE", f"/2/filters/{uuid}").status == 200
    assert house.ask("GET", "/2/filters").body == []
    assert house.ask("DELETE", f"/2/filters/{uuid}", {}).status == 404


def test_a_job_filter_whose_uuid_the_client_chose_is_added_once() -> None:
    house = RapiHouse()
    uuid = "0b1c7a52-0000-4000-8000-00000000000a"
    for action in ("PAUSE", "REJECT"):
        assert house.ask("PUT", f"/2/filters/{uuid}", {"action": action}).body == uuid
    assert [(rule.uuid, rule.action) for rule in house.queue.rules] == [(uuid, "REJECT")]
    heard = house.ask("PUT", "/2/filters/mine", {})
    assert (heard.status, heard.body["message"]) == (
        400,
        "&#x27;mine&#x27; is not the UUID of a job filter",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"priority": "high"},
        {"priority": -1},
        {"predicates": {}},
        {"predicates": [["weather", ["=", "id", 1]]]},
        {"predicates": [["jobid", ["=", "name", 1]]]},
        {"action": "BURN"},
        {"action": ["RATE_LIMIT", -1]},
        {"speed": 1},
    ],
)
def test_senseless_job_filters_are_refused(wrong: dict[str, Any]) -> None:
    house = RapiHouse()
    assert house.ask("POST", "/2/filters", wrong).status == 400
    assert house.queue.rules == ()


def test_a_named_request_submits_once() -> None:
    house = RapiHouse()
    path = f"{WEB1}/startup"
    first = house.ask("PUT", path + "?idempotency-key=a1").body
    assert house.ask("PUT", path + "?idempotency-key=a1").body == first
    assert house.ask("PUT", path, headers={"Idempotency-Key": "a1"}).body == first
    assert house.ask("PUT", path).body == first + 1
    other = house.ask("PUT", f"{WEB1}/shutdown?idempotency-key=a1")
    assert other.status == 400
