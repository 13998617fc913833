"""Filter expressions over named values: a JSON tree becomes a test. Pure.

The operators of the query language: ``& | ! ? = == != < <= > >= =~ =[]``. A value that is not there
fulfils no comparison; ``!`` turns that round.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from jobqueue.errors import Refused
from jobqueue.expressions import expression

MAX_DEPTH = 50
Values = Callable[[str], Any]
"""A name's value, None when there is none."""

Test = Callable[[Values], bool]
Allowed = Callable[[str], bool]
"""Whether there is such a name."""


def compiled(tree: Any, allowed: Allowed, depth: int = 0) -> Test:
    """The test of an expression; raises Refused for what is none."""
    if depth > MAX_DEPTH:
        raise Refused(f"A filter may be nested {MAX_DEPTH} deep", "wrong_input")
    match tree:
        case [("&" | "|") as op, *parts] if parts:
            tests = [compiled(part, allowed, depth + 1) for part in parts]
            return _all(tests) if op == "&" else _any(tests)
        case ["!", part]:
            test = compiled(part, allowed, depth + 1)
            return lambda values: not test(values)
        case ["?", str(name)] if allowed(name):
            return lambda values: bool(values(name))
        case [str(op), str(name), value] if op in _MAKERS and allowed(name):
            return _compared(name, _MAKERS[op](value))
        case [str(op), str(name), *_] if op in (*_MAKERS, "?") and not allowed(name):
            raise Refused(f"Unknown field '{name:.100}' in the filter", "wrong_input")
        case _:
            raise Refused(f"Not a filter: {tree!r:.200}", "wrong_input")


def _all(tests: list[Test]) -> Test:
    return lambda values: all(test(values) for test in tests)


def _any(tests: list[Test]) -> Test:
    return lambda values: any(test(values) for test in tests)


def _compared(name: str, passes: Callable[[Any], bool]) -> Test:
    def test(values: Values) -> bool:
        value = values(name)
        return value is not None and passes(value)

    return test


def _same(wanted: Any) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


def _different(wanted: Any) -> Callable[[Any], bool]:
    same = _same(wanted)
    return lambda value: not same(value)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Callable[[Any], bool]]:
    def make(wanted: Any) -> Callable[[Any], bool]:
        if not isinstance(wanted, int | float | str) or isinstance(wanted, bool):
            raise Refused(f"Nothing is ordered by {wanted!r:.100}", "wrong_input")

        def passes(value: Any) -> bool:
            try:
                return compare(value, wanted)
            except TypeError:
                return False

        return passes

    return make


def _matching(pattern: Any) -> Callable[[Any], bool]:
    wanted = expression(pattern)
    return lambda value: isinstance(value, str) and wanted(value)


def _containing(wanted: Any) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple | dict) and wanted in value


_MAKERS: dict[str, Callable[[Any], Callable[[Any], bool]]] = {
    "=": _same,
    "==": _same,
    "!=": _different,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "=~": _matching,
    "=[]": _containing,
}
