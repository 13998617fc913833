"""Tags, node groups and networks: command lines and requests, and the opcodes that they become."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cli.exits import Exit
from clusterd.opcodes import registry
from tests.unit.cli_stage import Stage, job_answers, stage_in
from tests.unit.rapi_house import RapiHouse

REGISTRY = registry()

LINES: list[tuple[str, dict[str, Any]]] = [
    (
        "cluster add-tags a b",
        {"OP_ID": "OP_TAGS_SET", "kind": "cluster", "tags": ["a", "b"]},
    ),
    (
        "group remove-tags g1 a",
        {"OP_ID": "OP_TAGS_DEL", "kind": "nodegroup", "name": "g1", "tags": ["a"]},
    ),
    (
        "instance add-tags --from {file} web1 z",
        {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": "web1", "tags": ["z", "x", "y"]},
    ),
    (
        "network add-tags --from {file} net1",
        {"OP_ID": "OP_TAGS_SET", "kind": "network", "name": "net1", "tags": ["x", "y"]},
    ),
]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        made.answer(**job_answers())
        yield made


@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_a_line_becomes_an_opcode(
    stage: Stage, tmp_path: Path, line: str, expected: dict[str, Any]
) -> None:
    file = tmp_path / "words"
    file.write_text("x\ny\n", "utf-8")
    ended = stage.run(*shlex.split(line.format(file=file)))
    assert (ended.code, ended.err) == (Exit.SUCCESS, [])
    assert stage.submitted() == expected
    REGISTRY.decode(expected)


MISTAKES = [
    ("node add-tags node1", "No tags given"),
    ("node add-tags --from /nonexistent/file node1", "/nonexistent/file"),
    ("node add-tags", "at least 1 argument"),
]


@pytest.mark.parametrize(("line", "says"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_told_and_nothing_sent(stage: Stage, line: str, says: str) -> None:
    ended = stage.run(*shlex.split(line))
    assert ended.code == Exit.FAILURE
    assert says in "\n".join(ended.err)
    assert stage.responder.of("SubmitJob") == []


def test_a_search_for_tags_fails_if_nothing_is_found(stage: Stage) -> None:
    stage.answer(**job_answers([["/cluster", "a"], ["/nodes/n1", "ab"]]))
    ended = stage.run("cluster", "search-tags", "^a")
    assert (ended.code, ended.out) == (0, ["/cluster a", "/nodes/n1 ab"])
    stage.answer(**job_answers([]))
    assert stage.run("cluster", "search-tags", "x").code == Exit.FAILURE


REQUESTS: list[tuple[str, str, Any, str, dict[str, Any]]] = [
    ("PUT", "/2/tags?tag=a&tag=b", None, "OP_TAGS_SET", {"kind": "cluster", "tags": ("a", "b")}),
    (
        "DELETE",
        "/2/networks/net1/tags?tag=a&dry-run=1",
        ["a"],
        "OP_TAGS_DEL",
        {"kind": "network", "name": "net1", "tags": ("a",), "dry_run": True},
    ),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "op", "expected"),
    REQUESTS,
    ids=[f"{method} {path}" for method, path, *_ in REQUESTS],
)
def test_a_request_becomes_a_job(
    method: str, path: str, body: Any, op: str, expected: dict[str, Any]
) -> None:
    (opcode,) = RapiHouse().job(method, path, body)
    assert opcode.op_id() == op
    found = msgspec.structs.asdict(opcode)
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_tags_must_be_named(method: str) -> None:
    heard = RapiHouse().ask(method, "/2/nodes/n1.example.com/tags")
    assert heard.status == 400
    assert "tag" in heard.body["message"]
