"""Text filters: written examples, refusals, and every tree survives being written and read."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.exits import WrongInput
from cli.filter_text import BadFilter, both, glob_regex, is_filter, make_filter, parse

TEXTS: list[tuple[str, list[Any]]] = [
    ("admin_up", ["?", "admin_up"]),
    ('pnode == "n1"', ["==", "pnode", "n1"]),
    ("pnode = 'n1'", ["==", "pnode", "n1"]),
    ("be/vcpus>=-3", [">=", "be/vcpus", -3]),
    ("ctime < +5", ["<", "ctime", 5]),
    ('status != "running"', ["!=", "status", "running"]),
    (
        'pnode == "n1" and be/vcpus > 0',
        ["&", ["==", "pnode", "n1"], [">", "be/vcpus", 0]],
    ),
    ("a and b and c", ["&", ["?", "a"], ["?", "b"], ["?", "c"]]),
    ("a or b and not c", ["|", ["?", "a"], ["&", ["?", "b"], ["!", ["?", "c"]]]]),
    ("(a or b) and c", ["&", ["|", ["?", "a"], ["?", "b"]], ["?", "c"]]),
    ("not not a", ["!", ["!", ["?", "a"]]]),
    ("not (a and b)", ["!", ["&", ["?", "a"], ["?", "b"]]]),
    ('"web" in tags', ["=[]", "tags", "web"]),
    ('"web" not in tags', ["!", ["=[]", "tags", "web"]]),
    ("name =~ m/^web\\d/", ["=~", "name", "^web\\d"]),
    ("name =~ /a\\/b/is", ["=~", "name", "(?is)a/b"]),
    ("name !~ m#x|y#i", ["!", ["=~", "name", "(?i)x|y"]]),
    ('name =* "web*.example.com"', ["=~", "name", r"^web.*\.example\.com(\..*)?$"]),
    ("name !* 'w?'", ["!", ["=~", "name", r"^w.(\..*)?$"]]),
    ('note == "a \\"b\\" \'c\'"', ["==", "note", "a \"b\" 'c'"]),
    (
        "order and notary or android",
        ["|", ["&", ["?", "order"], ["?", "notary"]], ["?", "android"]],
    ),
]


@pytest.mark.parametrize(("text", "tree"), TEXTS, ids=[text for text, _ in TEXTS])
def test_a_text_means_a_tree(text: str, tree: list[Any]) -> None:
    assert parse(text) == tree


WRONG = [
    "",
    "role ==",
    "name == unquoted",
    "name == 1.5",
    "and",
    "a b",
    "(a",
    "a)",
    'name == "open',
    "name =~ m/(/",
    "name =~ m/x/q",
    "name =~ m/x",
    '"x" in',
    "1 == 1",
    "a and and b",
    "(" * 2000 + "a" + ")" * 2000,
]


@pytest.mark.parametrize("text", WRONG, ids=[text[:20] for text in WRONG])
def test_a_wrong_text_is_refused(text: str) -> None:
    with pytest.raises(BadFilter, match=r"^Error while parsing query filter: "):
        parse(text)


def test_a_refusal_marks_the_place() -> None:
    with pytest.raises(BadFilter) as caught:
        parse("role ==")
    first, line, mark, _ = str(caught.value).split("\n")
    assert first.startswith(
        "Error while parsing query filter: Failed to parse query filter 'role ==': "
    )
    assert first.endswith("(at char 5), (line:1, col:6)")
    assert (line, mark) == ("role ==", "     ^")


FIELD = st.from_regex(r"[A-Za-z][A-Za-z0-9_/.]{0,12}", fullmatch=True).filter(
    lambda name: name not in ("and", "or", "not", "in")
)
VALUE = st.integers(-(10**12), 10**12) | st.text(
    st.characters(codec="utf-8", exclude_characters="\\\n\r", exclude_categories=["C"]), max_size=10
)
LEAF = (
    st.tuples(st.just("?"), FIELD)
    | st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), FIELD, VALUE)
    | st.tuples(st.just("=[]"), FIELD, VALUE)
)


def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """and, or, not of what there is."""
    several = st.lists(inner, min_size=2, max_size=4)
    return st.tuples(st.just("!"), inner) | st.builds(
        lambda operator, parts: (operator, *parts), st.sampled_from(["&", "|"]), several
    )


def written(tree: Any) -> str:
    """A text that means the tree."""
    operator, *rest = tree
    if operator in "&|":
        word = " and " if operator == "&" else " or "
        return word.join(f"({written(part)})" for part in rest)
    if operator == "!":
        return f"not ({written(rest[0])})"
    if operator == "?":
        return str(rest[0])
    field, value = rest
    text = str(value) if isinstance(value, int) else '"' + value.replace('"', '\\"') + '"'
    return f"{text} in {field}" if operator == "=[]" else f"{field} {operator} {text}"


def listed(tree: Any) -> Any:
    """Tuples become lists."""
    return [listed(part) if isinstance(part, tuple) else part for part in tree]


@given(st.recursive(LEAF, deeper, max_leaves=8))
def test_every_tree_survives_being_written_and_read(tree: Any) -> None:
    assert parse(written(tree)) == listed(tree)


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(BadFilter):
        assert isinstance(parse(text), list)


@pytest.mark.parametrize(
    "text", ["a b", "a=1", "(a)", "!a", "a~b", 'a"', "a'", "a\\b", "a/b", "a<1"]
)
def test_a_single_argument_with_odd_characters_is_a_filter(text: str) -> None:
    assert is_filter(text)


@pytest.mark.parametrize("text", ["web1.example.com", "web*", "n1:n2", "a_b-c", "w?b"])
def test_a_name_is_not_a_filter(text: str) -> None:
    assert not is_filter(text)


def test_arguments_are_names_globs_numbers_or_one_filter() -> None:
    assert make_filter([]) is None
    assert make_filter(["web1"]) == ["|", ["==", "name", "web1"]]
    assert make_filter(["web1", "db*"]) == [
        "|",
        ["==", "name", "web1"],
        ["=~", "name", glob_regex("db*")],
    ]
    assert make_filter(["admin_up"], forced=True) == ["?", "admin_up"]
    assert make_filter(["role == 'M'"]) == ["==", "role", "M"]
    # two arguments are names whatever they look like
    assert make_filter(["a=b", "c"]) == ["|", ["==", "name", "a=b"], ["==", "name", "c"]]
    assert make_filter(["3", "15"], field="id", numeric=True) == [
        "|",
        ["==", "id", 3],
        ["==", "id", 15],
    ]


def test_names_that_are_no_numbers_and_two_forced_filters_are_refused() -> None:
    with pytest.raises(WrongInput, match="Invalid job ID passed: 'x'"):
        make_filter(["x"], field="id", numeric=True)
    with pytest.raises(WrongInput, match="Exactly one argument"):
        make_filter(["a", "b"], forced=True)


def test_two_filters_together() -> None:
    assert both(None, None) is None
    assert both(["?", "a"], None) == ["?", "a"]
    assert both(None, ["?", "b"]) == ["?", "b"]
    assert both(["?", "a"], ["?", "b"]) == ["&", ["?", "a"], ["?", "b"]]
