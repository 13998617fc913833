"""What lists ask of the master and print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.exits import Exit
from tests.unit.cli_stage import Stage, field, stage_in


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        yield made


KNOWN = {
    "name": field("name", "Instance", "text"),
    "hypervisor": field("hypervisor", "Hypervisor", "text"),
    "os": field("os", "OS", "text"),
    "pnode": field("pnode", "Primary_node", "text"),
    "status": field("status", "Status", "text"),
    "oper_ram": field("oper_ram", "Memory", "unit"),
    "snodes": field("snodes", "Secondary_Nodes", "other"),
}
VALUES: list[dict[str, Any]] = [
    {
        "name": "cap1.example.com",
        "hypervisor": "kvm",
        "os": "noop",
        "pnode": "node1",
        "status": "running",
        "oper_ram": 128,
        "snodes": ["node2"],
    },
    {
        "name": "cap3.example.com",
        "hypervisor": "kvm",
        "os": "noop",
        "pnode": "node5",
        "status": "ADMIN_down",
        "oper_ram": None,
        "snodes": [],
    },
]


def query(_what: str, fields: list[str], _filter: Any) -> dict[str, Any]:
    """As the master answers for two instances."""
    unknown = {"title": "", "kind": "unknown", "doc": ""}
    return {
        "fields": [KNOWN.get(name, unknown | {"name": name, "title": name}) for name in fields],
        "data": [
            [
                [1, None]
                if name not in KNOWN
                else ([3, None] if row[name] is None else [0, row[name]])
                for name in fields
            ]
            for row in VALUES
        ],
    }


def test_a_list(stage: Stage) -> None:
    ended = stage.answer(Query=query).run("instance", "list")
    assert ended.out == [
        "Instance         Hypervisor OS   Primary_node Status     Memory",
        "cap1.example.com kvm        noop node1        running      128M",
        "cap3.example.com kvm        noop node5        ADMIN_down      -",
    ]
    assert stage.responder.calls == [
        ("Query", ["instance", ["name", "hypervisor", "os", "pnode", "status", "oper_ram"], None])
    ]


def test_a_list_for_programs(stage: Stage) -> None:
    ended = stage.answer(Query=query).run(
        "instance", "list", "--no-headers", "--separator=|", "-o", "name,oper_ram,snodes"
    )
    assert ended.out == ["cap1.example.com|128|node2", "cap3.example.com|-|"]


def test_fields_are_replaced_or_appended_and_units_chosen(stage: Stage) -> None:
    stage.answer(Query=query)
    stage.run("instance", "list", "-o", "name,os")
    ended = stage.run("instance", "list", "-o", "+snodes", "--units=g")
    asked = [args[1] for args in stage.responder.of("Query")]
    assert asked[0] == ["name", "os"]
    assert asked[1][-2:] == ["oper_ram", "snodes"]
    assert ended.out[1].endswith("    0.1 node2")


def test_an_unknown_field_is_shown_told_and_answered_with_its_own_code(stage: Stage) -> None:
    ended = stage.answer(Query=query).run("instance", "list", "-o", "name,nosuch")
    assert ended.code == Exit.UNKNOWN_FIELD
    assert ended.out == [
        "Instance         nosuch",
        "cap1.example.com ??",
        "cap3.example.com ??",
    ]
    assert ended.err == ["Warning: Queried for unknown fields nosuch"]
    verbose = stage.run("instance", "list", "-v", "-o", "nosuch")
    assert verbose.out == ["nosuch", "(unknown)", "(unknown)"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["web1"], ["|", ["==", "name", "web1"]]),
        (["web1", "db*"], ["|", ["==", "name", "web1"], ["=~", "name", r"^db.*(\..*)?$"]]),
        (["be/vcpus > 1"], [">", "be/vcpus", 1]),
        (["-F", "admin_up"], ["?", "admin_up"]),
    ],
)
def test_names_and_filters(stage: Stage, words: list[str], expected: Any) -> None:
    stage.answer(Query=query).run("instance", "list", *words)
    assert stage.responder.of("Query")[0][2] == expected


def test_a_bad_filter_is_not_sent(stage: Stage) -> None:
    ended = stage.answer(Query=query).run("node", "list", "-F", "role ==")
    assert ended.code == 1
    assert ended.err[0].startswith("Error while parsing query filter: Failed to parse query filter")
    assert stage.responder.calls == []


def test_default_arguments_of_lists_stand_in_the_environment(stage: Stage) -> None:
    stage.environment["GNT_INSTANCE_LIST"] = "--no-headers -o name"
    stage.environment["GNT_NODE_LIST"] = "-o 'unclosed"
    assert stage.answer(Query=query).run("instance", "list").out == [
        "cap1.example.com",
        "cap3.example.com",
    ]
    ended = stage.run("node", "list")
    assert (ended.code, "GNT_NODE_LIST" in ended.err[0]) == (1, True)


def test_fields_are_listed(stage: Stage) -> None:
    stage.answer(QueryFields={"fields": [KNOWN["name"], KNOWN["oper_ram"]]})
    assert stage.run("instance", "list-fields").out == [
        "Name     Type         Title    Description",
        "name     Text         Instance About Instance",
        "oper_ram Storage size Memory   About Memory",
    ]
    assert stage.responder.calls == [("QueryFields", ["instance", None])]
    stage.run("node", "list-fields", "name")
    assert stage.responder.calls[1] == ("QueryFields", ["node", ["name"]])


def test_parameters_of_groups_in_a_list(stage: Stage) -> None:
    stage.answer(
        Query={
            "fields": [field("ndparams", "NDParams", "other")],
            "data": [[[0, {"ovs": False, "ssh_port": 22}]]],
        }
    )
    assert stage.run("group", "list", "-o", "ndparams").out[1] == "ovs=False, ssh_port=22"
