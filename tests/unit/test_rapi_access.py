"""Who may do what over the RAPI, the users file, and what a master that is away looks like."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapi.auth import REALM, UsersFile, credentials, parse
from rapi.resources.table import routes
from tests.unit.rapi_house import RapiHouse

WAIT = {"fields": ["id"], "previous_job_info": None, "previous_log_serial": None}
STARTUP = "/2/instances/web2.example.com/startup"


@pytest.mark.parametrize(
    ("method", "path", "body", "statuses"),
    [
        # nobody, wrong password, no options, read, write
        ("GET", "/2/info", None, (200, 200, 200, 200, 200)),
        ("GET", "/2/jobs", None, (200, 200, 200, 200, 200)),
        ("GET", "/2/instances/web1.example.com/info", None, (200, 200, 200, 200, 200)),
        ("GET", "/2/instances/web1.example.com/console", None, (401, 401, 403, 200, 200)),
        ("GET", "/2/query/node?fields=name", None, (401, 401, 403, 200, 200)),
        ("PUT", "/2/query/node", {"fields": ["name"]}, (401, 401, 403, 200, 200)),
        ("GET", "/2/query/node/fields", None, (200, 200, 200, 200, 200)),
        ("GET", "/2/jobs/1/wait", WAIT, (401, 401, 403, 403, 404)),
        ("DELETE", "/2/jobs/1", None, (401, 401, 403, 403, 200)),
        ("PUT", STARTUP, None, (401, 401, 403, 403, 200)),
        ("GET", "/2/nodes/n1/storage", None, (401, 401, 403, 403, 400)),
    ],
)
def test_access(method: str, path: str, body: Any, statuses: tuple[int, ...]) -> None:
    people = (
        ("", ""),
        ("jack", "wrong"),
        ("guest", "guest"),
        ("reader", "pass"),
        ("jack", "secret"),
    )
    found = tuple(
        RapiHouse().ask(method, path, body, user=user, password=password).status
        for user, password in people
    )
    assert found == statuses


def test_every_change_needs_a_writer() -> None:
    for route in routes():
        if route.method != "GET" and "query" not in route.path:
            assert route.access == "write", route.path


def test_what_is_said_to_those_who_may_not() -> None:
    house = RapiHouse()
    nobody = house.ask("PUT", STARTUP, user="")
    assert nobody.body == {
        "code": 401,
        "message": "Unauthorized",
        "explain": "No permission -- see authorization schemes",
    }
    assert nobody.headers["www-authenticate"] == f'Basic realm="{REALM}"'
    reader = house.ask("PUT", STARTUP, user="reader", password="pass")
    assert reader.body == {
        "code": 403,
        "message": "Forbidden",
        "explain": "Request forbidden -- authorization will not help",
    }
    assert house.queue.jobs() == []


def test_everybody_may_have_to_say_who_they_are() -> None:
    house = RapiHouse(require_authentication=True)
    assert house.ask("GET", "/2/info", user="").status == 401
    assert house.ask("GET", "/2/info", user="guest", password="guest").status == 200
    assert house.ask("GET", "/2/nosuch", user="").status == 404


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("DELETE", "/2/info", "Method DELETE is unsupported for path /2/info"),
        ("POST", "/2/nodes", "Method POST is unsupported for path /2/nodes"),
        ("OPTIONS", "/2/info", "Method OPTIONS is unsupported for path /2/info"),
        (
            "PATCH",
            "/2/instances/a/tags",
            "Method PATCH is unsupported for path /2/instances/a/tags",
        ),
    ],
)
def test_methods_that_a_path_does_not_take(method: str, path: str, message: str) -> None:
    assert RapiHouse().ask(method, path, user="").body == {
        "code": 501,
        "message": message,
        "explain": "Server does not support this operation",
    }


def test_head_is_not_taken_and_has_no_body() -> None:
    heard = RapiHouse().ask("HEAD", "/2/info")
    assert (heard.status, heard.text) == (501, b"")
    assert int(heard.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("raw", "content_type", "status", "message"),
    [
        (b"{bad json", "application/json", 400, "Unable to parse JSON data"),
        (b"\xff\xfe", "application/json", 400, "Unable to parse JSON data"),
        (b"[" * 100_000, "application/json", 400, "Unable to parse JSON data"),
        (b"NaN", "application/json", 400, "Unable to parse JSON data"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "Unsupported Media Type"),
        (b"{}", "", 415, "Unsupported Media Type"),
        (b"", "text/plain", 200, ""),
        (b"{}", "application/json; charset=utf-8", 200, ""),
    ],
)
def test_bodies(raw: bytes, content_type: str, status: int, message: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    heard = RapiHouse().ask("PUT", STARTUP, raw=raw, headers=headers)
    assert heard.status == status
    if status != 200:
        assert heard.body["message"] == message


def test_a_body_has_a_bound() -> None:
    house = RapiHouse()
    headers = {"Content-Type": "application/json"}
    large = b'"' + b"x" * (10 * 1024 * 1024 - 2) + b'"'
    assert house.ask("PUT", STARTUP, raw=large, headers=headers).status == 200
    heard = house.ask("PUT", STARTUP, raw=large + b" ", headers=headers)
    assert heard.status == 413
    assert heard.body["explain"] == "Entity is too large"


def test_too_many_arguments_are_refused() -> None:
    heard = RapiHouse().ask("GET", "/2/info?" + "&".join(["a=1"] * 2000))
    assert heard.status == 400


@pytest.mark.parametrize(
    ("path", "headers", "status", "said"),
    [
        ("/2/" + "x" * 20_000, {}, 414, "The request line is over 16384 bytes"),
        ("/2/info", {"X-Long": "x" * 20_000}, 431, "The header is over 16384 bytes"),
    ],
)
def test_lines_that_are_too_long_are_answered(
    path: str, headers: dict[str, str], status: int, said: str
) -> None:
    heard = RapiHouse().ask("GET", path, headers=headers)
    assert (heard.status, heard.body["code"], heard.body["message"]) == (status, status, said)
    assert heard.body["explain"]


# -- the master ---------------------------------------------------------------------------------


def test_a_master_that_is_away() -> None:
    house = RapiHouse()
    house.door.up = False
    heard = house.ask("GET", "/2/info")
    assert (heard.status, heard.body["code"]) == (502, 502)
    assert "cannot be reached" in heard.body["message"]
    assert house.ask("GET", "/2/features").status == 200


def test_a_master_that_does_not_answer_in_time() -> None:
    house = RapiHouse()
    answers = house.begin("GET", "/2/jobs/1/wait", WAIT)
    assert answers[0].status == 404
    house.ask("PUT", STARTUP)
    seen = {**WAIT, "previous_job_info": [1], "previous_log_serial": 0}
    answers = house.begin("GET", "/2/jobs/1/wait", seen)
    house.door.cut()
    house.clock.advance(0)
    assert answers[0].status == 502


# -- the users file -----------------------------------------------------------------------------


def test_the_users_file() -> None:
    digest = hashlib.md5(f"jill:{REALM}:pw".encode(), usedforsecurity=False).hexdigest()
    users, problems = parse(
        [
            "# comment",
            "",
            "jack secret write",
            f"jill {{HA1}}{digest.upper()} read,write",
            "joe {cleartext}x{y}",
            "bad",
            "odd {SHA}xyz write",
            "many a b c",
        ]
    )
    assert sorted(users) == ["jack", "jill", "joe"]
    assert len(problems) == 3
    assert users["jack"].is_password("secret")
    assert not users["jack"].is_password("secre")
    assert users["jill"].is_password("pw")
    assert not users["jill"].is_password(digest)
    assert users["jill"].options == {"read", "write"}
    assert users["joe"].is_password("x{y}")
    assert users["joe"].options == frozenset()


def test_a_changed_users_file_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "users"
    users = UsersFile(path)
    assert users.find("jack") is None
    path.write_text("jack one write\n")
    found = users.find("jack")
    assert found is not None
    assert found.is_password("one")
    path.write_text("jack two write\njill x read\n")
    found = users.find("jack")
    assert found is not None
    assert found.is_password("two")
    os.utime(path, ns=(1, 1))
    path.write_bytes(b"jack \xff\xfe write\n")
    assert users.find("jill") is not None, "a broken file leaves the users as they were"
    path.unlink()
    assert users.find("jack") is None


@given(st.text())
def test_any_line_is_a_user_or_a_problem(line: str) -> None:
    users, problems = parse([line])
    words = line.split()
    if words and not words[0].startswith("#"):
        assert len(users) + len(problems) == 1


@given(st.text())
def test_any_header_is_credentials_or_none(header: str) -> None:
    found = credentials(header)
    assert found is None or all(isinstance(part, str) for part in found)
