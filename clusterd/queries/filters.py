"""The query language's filters: a JSON tree becomes a function over rows. Pure.

A comparison with a cell that has no value passes, so that a filter never hides what is not known.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from clusterd.queries.field import Field
from clusterd.queries.sources import Sources
from jobqueue.errors import Refused
from jobqueue.expressions import expression

MAX_DEPTH = 50

Test = Callable[[Sources, Any], bool]
EQUALITY = ("=", "==")


def requested_names(qfilter: Any, key: str) -> list[Any] | None:
    """The names that a filter made only of name equalities asks for, in order; else None."""
    match qfilter:
        case [str(op), str(field), value] if op in EQUALITY and field == key:
            return [value] if isinstance(value, str | int) else None
        case ["|", *parts] if parts:
            names: list[Any] = []
            for part in parts:
                found = requested_names(part, key)
                if found is None:
                    return None
                names.extend(found)
            return list(dict.fromkeys(names))
        case _:
            return None


def compiled(qfilter: Any, fields: Mapping[str, Field], depth: int = 0) -> Test:
    """The test of a filter; raises Refused for what is no filter."""
    if qfilter is None:
        return lambda _sources, _thing: True
    if depth > MAX_DEPTH:
        raise Refused(f"A filter may be nested {MAX_DEPTH} deep", "wrong_input")
    match qfilter:
        case [("&" | "|") as op, *parts] if parts:
            tests = [compiled(part, fields, depth + 1) for part in parts]
            return _all(tests) if op == "&" else _any(tests)
        case ["!", part]:
            return _not(compiled(part, fields, depth + 1))
        case ["?", str(name)]:
            return _truth(_field(name, fields))
        case [str(op), str(name), value] if op in _COMPARISONS:
            return _COMPARISONS[op](_field(name, fields), value)
        case _:
            raise Refused(f"Not a query filter: {qfilter!r:.100}", "wrong_input")


def uses(qfilter: Any, name: str) -> bool:
    """True when a filter mentions a field."""
    match qfilter:
        case [("&" | "|" | "!"), *parts]:
            return any(uses(part, name) for part in parts)
        case [_, field, *_]:
            return bool(field == name)
        case _:
            return False


def _field(name: str, fields: Mapping[str, Field]) -> Field:
    field = fields.get(name)
    if field is None:
        raise Refused(f"Unknown field '{name}' in the filter", "wrong_input")
    return field


def _all(tests: list[Test]) -> Test:
    return lambda sources, thing: all(test(sources, thing) for test in tests)


def _any(tests: list[Test]) -> Test:
    return lambda sources, thing: any(test(sources, thing) for test in tests)


def _not(test: Test) -> Test:
    return lambda sources, thing: not test(sources, thing)


def _truth(field: Field) -> Test:
    return _tested(field, bool)


def _tested(field: Field, passes: Callable[[Any], bool]) -> Test:
    moment = field.kind == "timestamp" or field.name.endswith("_ts")

    def test(sources: Sources, thing: Any) -> bool:
        status, value = field.value(sources, thing)
        if status != 0:
            return True
        return passes(_seconds(value) if moment else value)

    return test


def _seconds(value: Any) -> Any:
    match value:
        case [int(seconds), int(microseconds)]:
            return seconds + microseconds / 1e6
        case _:
            return value


def _equal(field: Field, wanted: Any) -> Test:
    if field.hostname and isinstance(wanted, str):
        return _tested(field, lambda value: same_host(value, wanted))
    return _tested(field, lambda value: _same(value, wanted))


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) != isinstance(wanted, bool):
        return False
    return bool(value == wanted)


def same_host(value: Any, wanted: str) -> bool:
    """True for a full name or its leading components."""
    return isinstance(value, str) and (
        value.lower() == wanted.lower() or value.lower().startswith(wanted.lower() + ".")
    )


def _different(field: Field, wanted: Any) -> Test:
    equal = _equal(field, wanted)

    def test(sources: Sources, thing: Any) -> bool:
        return field.value(sources, thing)[0] != 0 or not equal(sources, thing)

    return test


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Field, Any], Test]:
    def make(field: Field, wanted: Any) -> Test:
        def passes(value: Any) -> bool:
            try:
                return compare(value, wanted)
            except TypeError:
                raise Refused(
                    f"Field '{field.name}' cannot be compared with {wanted!r:.100}", "wrong_input"
                ) from None

        return _tested(field, passes)

    return make


def _matching(field: Field, pattern: Any) -> Test:
    wanted = expression(pattern)
    return _tested(field, lambda value: isinstance(value, str) and wanted(value))


def _containing(field: Field, wanted: Any) -> Test:
    def passes(value: Any) -> bool:
        if not isinstance(value, list | tuple | dict):
            raise Refused(f"Field '{field.name}' is not a list", "wrong_input")
        return wanted in value

    return _tested(field, passes)


_COMPARISONS: dict[str, Callable[[Field, Any], Test]] = {
    "=": _equal,
    "==": _equal,
    "!=": _different,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "=~": _matching,
    "=[]": _containing,
}
