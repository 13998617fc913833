"""Text filters of list commands, and the filter tree that they mean.

Decided here: the grammar, and when arguments are a filter rather than names. ``not`` binds tighter
than ``and``, ``and`` tighter than ``or``. The tree is JSON: ``["&", [">", "be/vcpus", 1], ["?",
"admin_up"]]``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cli.exits import CommandError, WrongInput

if TYPE_CHECKING:
    from pyparsing import ParserElement, ParseResults

FILTER_CHARACTERS = frozenset(" \t\n\r\f\v()!~\"'\\/<>=")
GLOB_CHARACTERS = frozenset("*?")
COMPARISONS = ("==", "!=", "<=", ">=", "<", ">", "=")
REGEX_DELIMITERS = "/#^|"

Filter = list[Any] | None


class BadFilter(CommandError):
    """The text is not a filter."""


def is_filter(text: str) -> bool:
    """A single argument with any of these characters cannot be a name."""
    return not FILTER_CHARACTERS.isdisjoint(text)


def is_glob(text: str) -> bool:
    """A name with wildcards."""
    return not GLOB_CHARACTERS.isdisjoint(text)


def glob_regex(pattern: str) -> str:
    """A regular expression for host names: ``*`` any text, ``?`` one character, domain may lack."""
    wild = {"*": ".*", "?": "."}
    return "^" + "".join(wild.get(char) or re.escape(char) for char in pattern) + r"(\..*)?$"


def make_filter(
    arguments: Sequence[str], *, forced: bool = False, field: str = "name", numeric: bool = False
) -> Filter:
    """The filter of a list command's arguments."""
    if forced:
        if len(arguments) != 1:
            raise WrongInput("Exactly one argument must be given as a filter")
        return parse(arguments[0])
    if len(arguments) == 1 and is_filter(arguments[0]):
        return parse(arguments[0])
    if not arguments:
        return None
    return ["|", *(_name_filter(name, field, numeric) for name in arguments)]


def _name_filter(name: str, field: str, numeric: bool) -> list[Any]:
    if numeric:
        try:
            return ["==", field, int(name)]
        except ValueError:
            raise WrongInput(f"Invalid job ID passed: '{name}' is not a number") from None
    if is_glob(name):
        return ["=~", field, glob_regex(name)]
    return ["==", field, name]


def both(first: Filter, second: Filter) -> Filter:
    """Rows that pass both; None passes all."""
    if first is None or second is None:
        return second if first is None else first
    return ["&", first, second]


def parse(text: str) -> list[Any]:
    """The tree of a filter; raises BadFilter with a mark below the place."""
    from pyparsing import ParseBaseException

    try:
        (tree,) = _grammar().parse_string(text, parse_all=True).as_list()
    except ParseBaseException as error:
        raise BadFilter(
            f"Error while parsing query filter: Failed to parse query filter '{text}': {error}\n"
            f"{error.line}\n{' ' * (error.column - 1)}^\n{error}"
        ) from None
    except RecursionError:
        raise BadFilter(
            "Error while parsing query filter: the filter is nested too deeply"
        ) from None
    return list(tree)


@functools.cache
def _grammar() -> ParserElement:
    # imported late: most commands parse no filter and must start at once
    import pyparsing as pp

    name = pp.Regex(r"[A-Za-z][A-Za-z0-9_/.]*")
    words = pp.Keyword("and") | pp.Keyword("or") | pp.Keyword("not") | pp.Keyword("in")
    field = (~words + name).set_name("field name")
    quoted = pp.QuotedString('"', esc_char="\\") | pp.QuotedString("'", esc_char="\\")
    integer = pp.Regex(r"[+-]?\d+").set_parse_action(lambda found: int(found[0]))
    value = (quoted | integer).set_name("quoted text or whole number")

    compared = (field + pp.one_of(COMPARISONS) + value).set_parse_action(_compared)
    within = (value + pp.Keyword("in") + field).set_parse_action(
        lambda found: [["=[]", found[2], found[0]]]
    )
    without = (value + pp.Keyword("not") + pp.Keyword("in") + field).set_parse_action(
        lambda found: [["!", ["=[]", found[3], found[0]]]]
    )
    expression = pp.Forward()
    tests = (
        (field + pp.one_of("=~ !~") + _regex()).set_parse_action(_matched)
        | (field + pp.one_of("=* !*") + quoted).set_parse_action(_globbed)
        | compared
        | without
        | within
        | field.copy().add_parse_action(lambda found: [["?", found[0]]])
        | (pp.Suppress("(") + expression + pp.Suppress(")"))
    ).set_name("condition")
    # Forward-recursive "not" instead of infix_notation, whose backtracking is exponential in depth
    negated = pp.Forward()
    negated <<= (
        (pp.Suppress(pp.Keyword("not")) + negated).set_parse_action(lambda found: [["!", found[0]]])
        | tests
    ).set_name("condition")
    every = _chain(negated, "and", "&")
    expression <<= _chain(every, "or", "|")
    return expression


def _chain(operand: ParserElement, word: str, operator: str) -> ParserElement:
    import pyparsing as pp

    def joined(found: ParseResults) -> list[Any]:
        parts = list(found)
        return [parts[0]] if len(parts) == 1 else [[operator, *parts]]

    more = pp.ZeroOrMore(pp.Suppress(pp.Keyword(word)) + operand)
    return (operand + more).set_parse_action(joined).set_name("condition")


def _regex() -> ParserElement:
    import pyparsing as pp

    forms = "|".join(
        rf"{re.escape(mark)}(?:\\.|[^{re.escape(mark)}\\])*{re.escape(mark)}"
        for mark in REGEX_DELIMITERS
    )
    return (
        pp.Regex(rf"m?(?:{forms})[a-zA-Z]*")
        .set_name("regular expression")
        .set_parse_action(_unpacked_regex)
    )


def _unpacked_regex(text: str, place: int, found: ParseResults) -> str:
    import pyparsing as pp

    literal = str(found[0]).removeprefix("m")
    mark = literal[0]
    body, _, flags = literal[1:].rpartition(mark)
    if not set(flags) <= {"s", "i"}:
        raise pp.ParseFatalException(
            text, place, f"Unknown flags '{flags}', only s and i are known"
        )
    body = body.replace("\\" + mark, mark)
    if flags:
        body = f"(?{''.join(sorted(set(flags)))}){body}"
    try:
        re.compile(body)
    except re.error as error:
        raise pp.ParseFatalException(text, place, f"Invalid regular expression: {error}") from None
    return body


def _compared(found: ParseResults) -> list[Any]:
    field, operator, value = found
    return [["==" if operator == "=" else operator, field, value]]


def _matched(found: ParseResults) -> list[Any]:
    field, operator, regex = found
    tree = ["=~", field, regex]
    return [["!", tree] if operator == "!~" else tree]


def _globbed(found: ParseResults) -> list[Any]:
    field, operator, pattern = found
    tree = ["=~", field, glob_regex(pattern)]
    return [["!", tree] if operator == "!*" else tree]
