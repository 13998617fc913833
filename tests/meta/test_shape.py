"""Sizes and names of the house rules, and no pretending in tests."""

from __future__ import annotations

import re

import pytest

from tests.meta.reading import read
from tests.meta.sources import all_files, name_of, product_files

FILE_LINES = 400
FUNCTION_LINES = 70
PARAMETERS = 7
"""Six and self."""
EMPTY_WORDS = {
    "manager",
    "handler",
    "engine",
    "helper",
    "helpers",
    "util",
    "utils",
    "misc",
    "common",
}
VOCABULARY = {"drbd_helper", "usermode_helper"}
"""Users' words of Ganeti's interfaces that contain an empty one."""
PRETENDERS = re.compile(r"^(unittest\.mock|mock|pytest_mock|responses|freezegun)(\.|$)")


def test_no_file_is_longer_than_a_sitting() -> None:
    long = {name_of(path): len(path.read_text().splitlines()) for path in all_files()}
    assert {name: lines for name, lines in long.items() if lines > FILE_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{name_of(path)}:{one.line} {one.name}": one.lines
        for path in all_files()
        for one in read(path).functions
        if one.lines > FUNCTION_LINES
    }
    assert long == {}


def test_no_function_of_the_product_takes_too_many_parameters() -> None:
    many = {
        f"{name_of(path)}:{one.line} {one.name}": count
        for path in product_files()
        for one in read(path).functions
        if (count := len(one.parameters or ())) > PARAMETERS
    }
    assert many == {}


def words(name: str) -> set[str]:
    """The words of a name in either case style."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_no_module_class_or_function_has_an_empty_word_for_a_name() -> None:
    empty = []
    for path in all_files():
        named = [(1, part) for part in path.relative_to(path.anchor).parts[-2:]]
        named += [(one.line, one.name) for one in read(path).definitions]
        empty += [
            f"{name_of(path)}:{line} {name}"
            for line, name in named
            if words(name) & EMPTY_WORDS and name.strip("_") not in VOCABULARY
        ]
    assert not empty, "\n".join(empty)


def test_every_module_of_the_product_says_what_it_decides() -> None:
    silent = [name_of(path) for path in product_files() if read(path).silent]
    assert not silent, f"without a docstring: {silent}"


def test_nothing_is_mocked_or_patched() -> None:
    wrong = []
    for path in all_files():
        found = read(path)
        wrong += [f"{name_of(path)}: {name}" for name in found.imports if PRETENDERS.match(name)]
        wrong += [
            f"{name_of(path)}:{one.line} {one.name}"
            for one in found.functions
            if {*(one.parameters or ())} & {"monkeypatch", "mocker"}
        ]
    assert not wrong, "\n".join(wrong)


SKIPS = {
    "pytest.skip",
    "pytest.xfail",
    "pytest.mark.skip",
    "pytest.mark.skipif",
    "pytest.mark.xfail",
}


def test_real_tests_are_marked_where_the_makefile_looks() -> None:
    """``make test-real`` reads the modules called ``test_*`` that hold the mark itself."""
    named = {
        name_of(path)
        for path in all_files()
        if "mark." + "real" in path.read_text() and not path.name.startswith("test_")
    }
    assert named == set()


def test_no_test_is_skipped() -> None:
    wrong = [
        f"{name_of(path)}:{line} {name}"
        for path in all_files()
        for line, name in read(path).attributes
        if name in SKIPS
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("JobManager", {"job", "manager"}),
        ("job_helper", {"job", "helper"}),
        ("XMLHandler", {"xml", "handler"}),
        ("uncommon", {"uncommon"}),
    ],
)
def test_names_are_taken_apart(name: str, found: set[str]) -> None:
    assert words(name) == found
