"""Tables, units, times and nested text, in the shapes that programs around Ganeti read."""

from __future__ import annotations

from typing import Any

import pytest

from cli import output
from cli.exits import told
from cli.output import Column, Layout
from cli.policy import policy_info


@pytest.mark.parametrize(
    ("size", "human", "m", "g", "t"),
    [
        (0, "0M", "0", "0.0", "0.0"),
        (128, "128M", "128", "0.1", "0.0"),
        (1023, "1023M", "1023", "1.0", "0.0"),
        (1024, "1.0G", "1024", "1.0", "0.0"),
        (24105, "23.5G", "24105", "23.5", "0.0"),
        (1024 * 1024, "1.0T", "1048576", "1024.0", "1.0"),
    ],
)
def test_units(size: int, human: str, m: str, g: str, t: str) -> None:
    assert [output.unit(size, units) for units in "hmgt"] == [human, m, g, t]


def answer(*fields: tuple[str, str], rows: list[list[Any]]) -> dict[str, Any]:
    """A query's answer; a field is (title, kind), a row of plain values or (status, value)."""
    return {
        "fields": [
            {"name": title.lower(), "title": title, "kind": kind, "doc": ""}
            for title, kind in fields
        ],
        "data": [
            [value if isinstance(value, tuple) else (0, value) for value in row] for row in rows
        ],
    }


NODES = answer(
    ("Node", "text"),
    ("DTotal", "unit"),
    ("Pinst", "number"),
    ("Role", "text"),
    rows=[["n1", 258019, 0, "M"], ["node2", 53763, 12, "R"]],
)


def test_texts_stand_left_numbers_right_and_the_last_column_is_not_padded() -> None:
    assert output.query_table(NODES, Layout(units="m"))[0] == [
        "Node  DTotal Pinst Role",
        "n1    258019     0 M",
        "node2  53763    12 R",
    ]
    assert output.query_table(NODES, Layout())[0][1] == "n1    252.0G     0 M"


def test_a_separator_switches_padding_off() -> None:
    layout = Layout(headers=False, separator=":", units="m")
    assert output.query_table(NODES, layout)[0] == ["n1:258019:0:M", "node2:53763:12:R"]


def test_an_empty_table_is_its_titles() -> None:
    columns = [Column("ID", right=True), Column("Status"), Column("Summary")]
    assert output.table(columns, [], Layout()) == ["ID Status Summary"]
    assert output.table(columns, [], Layout(headers=False)) == []


def test_missing_values_have_marks_or_words() -> None:
    data = answer(
        ("A", "text"),
        ("B", "unit"),
        ("C", "unknown"),
        ("D", "bool"),
        rows=[[(2, None), (3, None), (1, None), (4, None)]],
    )
    lines, unknown = output.query_table(data, Layout())
    assert (lines, unknown) == (["A B C  D", "? - ?? *"], ["c"])
    lines, _ = output.query_table(data, Layout(verbose=True))
    assert lines[1] == "(nodata) (unavail) (unknown) (offline)"


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("bool", True, "Y"),
        ("bool", False, "N"),
        ("text", None, "-"),
        ("number", 3, "3"),
        ("float", 1.5, "1.5"),
        ("other", ["a", "b"], "a,b"),
        ("other", [], ""),
        ("other", [None, 5], "-,5"),
        ("other", {"kind": "ssh"}, "{'kind': 'ssh'}"),
        ("other", [["jobid", [">", "id", 9]]], "[['jobid', ['>', 'id', 9]]]"),
    ],
)
def test_values_by_kind(kind: str, value: Any, text: str) -> None:
    assert output.cell(kind, value, Layout()) == text


def test_times_are_local_with_microseconds_where_there_are_some() -> None:
    seconds = output.moment(1_700_000_000)
    assert len(seconds) == len("2023-11-14 22:13:20")
    assert output.moment([1_700_000_000, 42]) == f"{seconds}.000042"
    assert output.moment(None) == "-"


def test_nested_text_is_yaml() -> None:
    value = [
        [
            ("Instance name", "web1"),
            ("Nodes", [[("primary", "n1"), ("group", "default")], [("secondaries", [])]]),
            ("Parameters", {}),
            ("NICs", [[("nic/0", ""), ("MAC", "aa:00")]]),
            ("Tags", ["a", "b"]),
            ("Port", None),
        ],
        "nothing more",
    ]
    assert output.info(value) == [
        "- Instance name: web1",
        "  Nodes: ",
        "    - primary: n1",
        "      group: default",
        "    - secondaries: ",
        "  Parameters: ",
        "  NICs: ",
        "    - nic/0: ",
        "      MAC: aa:00",
        "  Tags: ",
        "    - a",
        "    - b",
        "  Port: None",
        "- nothing more",
    ]


def test_parameters_that_are_not_set_are_shown_as_default() -> None:
    assert output.params({"vcpus": 2}, {"vcpus": 2, "maxmem": 128}) == {
        "maxmem": "default (128)",
        "vcpus": 2,
    }
    assert output.params({"drbd": {"a": 1}}, {"drbd": {"a": 1, "b": 2}, "file": {}}) == {
        "drbd": {"a": 1, "b": "default (2)"},
        "file": "default ({})",
    }
    assert output.params(None, {"x": ""}) == {"x": "default ()"}


POLICY = {
    "minmax": [{"min": {"cpu-count": 1}, "max": {"cpu-count": 8}}],
    "std": {"cpu-count": 1},
    "disk-templates": ["file", "drbd"],
    "spindle-ratio": 32.0,
    "vcpu-ratio": 4.0,
}


def test_a_cluster_policy() -> None:
    assert output.info(policy_info(POLICY)) == [
        "bounds specs: ",
        "  - max/0: ",
        "      cpu-count: 8",
        "    min/0: ",
        "      cpu-count: 1",
        "std: ",
        "  cpu-count: 1",
        "allowed disk templates: file, drbd",
        "spindle-ratio: 32.0",
        "vcpu-ratio: 4.0",
    ]


def test_a_group_policy_says_what_is_inherited() -> None:
    assert output.info(policy_info(POLICY, {"vcpu-ratio": 2.0}))[2:] == [
        "      cpu-count: default (8)",
        "    min/0: ",
        "      cpu-count: default (1)",
        "allowed disk templates: default (file, drbd)",
        "spindle-ratio: default (32.0)",
        "vcpu-ratio: 2.0",
    ]


@pytest.mark.parametrize(
    ("number", "digits"),
    [
        (0, "N"),
        (1, "I"),
        (4, "IV"),
        (24, "XXIV"),
        (128, "CXXVIII"),
        (4096, "MMMMXCVI"),
        (5000, 5000),
    ],
)
def test_roman_numbers(number: int, digits: Any) -> None:
    assert output.roman({"a": [("b", number)], "c": True}) == {"a": [("b", digits)], "c": True}


ERRORS: list[tuple[str, list[Any], str, int]] = [
    (
        "OpPrereqError",
        ["Instance 'x' not known", "unknown_entity"],
        "Failure: prerequisites not met for this operation:\n"
        "error type: unknown_entity, error details:\nInstance 'x' not known",
        1,
    ),
    (
        "OpPrereqError",
        ["why"],
        "Failure: prerequisites not met for this operation:\nwhy",
        1,
    ),
    ("OpExecError", ["it broke"], "Failure: command execution error:\nit broke", 1),
    (
        "HooksAbort",
        [[["n1", "10-check", "no"], ["n2", "20-x", ""]]],
        "Failure: hooks execution failed:\n  node: n1, script: 10-check, output: no\n"
        "  node: n2, script: 20-x, output: (no output)",
        1,
    ),
    ("TagError", ["Tag contains spaces"], "Failure: invalid tag(s) given:\nTag contains spaces", 1),
    ("NotMaster", ["this is n2"], "Failure: this is n2", 11),
    ("ConfigurationError", ["bad"], "Corrupt configuration: bad", 2),
    ("SomethingElse", ["a", 1], "Failure: SomethingElse: a, 1", 1),
    ("SomethingElse", [], "Failure: SomethingElse: (no details)", 1),
]


@pytest.mark.parametrize(("kind", "args", "text", "code"), ERRORS)
def test_failures_are_told_by_their_class(kind: str, args: list[Any], text: str, code: int) -> None:
    found = told(kind, args)
    assert (found.text, found.code) == (text, code)
