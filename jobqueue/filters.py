"""Job filters: rules of an operator that say which queued jobs may run. Pure.

Decided here: what a rule is, which rules a job meets, and what that means for it. The first rule
that a job meets and that does not say CONTINUE decides. Rules are asked before a job begins, so
what runs already is not affected.

A limit is a name and a number: at most so many jobs with that name may run. Names come from rules
with RATE_LIMIT, and from reasons of the form ``rate-limit:N:LABEL``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

import msgspec

from jobqueue.errors import Refused
from jobqueue.live import Job
from jobqueue.opcode import OP_ID, Opcode
from jobqueue.terms import Test, Values, compiled

WATERMARK = "watermark"
MAX_PREDICATES = 100
AD_HOC = re.compile(r"rate-limit:([1-9][0-9]{0,5}):(.+)", re.DOTALL)

Verdict = Literal["ACCEPT", "PAUSE", "REJECT"]
Limits = tuple[tuple[str, int], ...]
"""(name, how many with it may run)."""

PLAIN_ACTIONS = ("ACCEPT", "CONTINUE", "PAUSE", "REJECT")
RATE_LIMIT = "RATE_LIMIT"
MAX_RATE = 1_000_000


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule."""

    uuid: str
    watermark: int
    """The last job when the rule was made."""
    priority: int
    """Smaller is asked first."""
    predicates: tuple[Any, ...]
    """``["jobid"|"opcode"|"reason", expression]``; a job must meet all of them."""
    action: Any
    """A word, or ``["RATE_LIMIT", n]``."""
    reason_trail: tuple[Any, ...] = ()


class Admission(msgspec.Struct, frozen=True):
    """What the rules mean for a job."""

    verdict: Verdict
    rule: str = ""
    """The rule that decided."""
    limits: Limits = ()


FREE = Admission("ACCEPT")


def new_rule(rule: Rule) -> Rule:
    """The rule, checked; raises Refused."""
    if rule.priority < 0:
        raise Refused(f"A filter's priority is 0 or more, not {rule.priority}", "wrong_input")
    if len(rule.predicates) > MAX_PREDICATES:
        raise Refused(f"A filter has at most {MAX_PREDICATES} predicates", "wrong_input")
    for predicate in rule.predicates:
        _test(predicate, rule.watermark)
    return msgspec.structs.replace(rule, action=_action(rule.action))


def _action(action: Any) -> Any:
    match action:
        case str(word) if word in PLAIN_ACTIONS:
            return word
        case ["RATE_LIMIT", int(number)] if not isinstance(number, bool):
            if 0 <= number <= MAX_RATE:
                return [RATE_LIMIT, number]
    raise Refused(
        f"{action!r:.100} is no action of a filter: use ACCEPT, CONTINUE, PAUSE, REJECT or "
        '["RATE_LIMIT", n]',
        "wrong_input",
    )


def by_precedence(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """In the order in which they are asked."""
    return tuple(sorted(rules, key=lambda rule: (rule.priority, rule.watermark, rule.uuid)))


def admission(rules: Iterable[Rule], job: Job) -> Admission:
    """What the first deciding rule says, and every limit that the job comes under."""
    limits = dict(ad_hoc_limits(job))
    for rule in rules:
        if rule.action == "CONTINUE" or not meets(rule, job):
            continue
        match rule.action:
            case ["RATE_LIMIT", int(number)]:
                limits[f"filter {rule.uuid}"] = number
                return Admission("ACCEPT", rule.uuid, tuple(sorted(limits.items())))
            case "PAUSE":
                return Admission("PAUSE", rule.uuid)
            case "REJECT":
                return Admission("REJECT", rule.uuid)
        return Admission("ACCEPT", rule.uuid, tuple(sorted(limits.items())))
    return Admission("ACCEPT", "", tuple(sorted(limits.items()))) if limits else FREE


def ad_hoc_limits(job: Job) -> Limits:
    """What the reasons of a job's opcodes ask for; the smallest number of a label counts."""
    limits: dict[str, int] = {}
    for opcode in job.opcodes:
        for _source, text, _moment in opcode.reason:
            found = AD_HOC.fullmatch(text) if text.startswith("rate-limit:") else None
            if found:
                name, number = f"reason {found[2]}", int(found[1])
                limits[name] = min(number, limits.get(name, number))
    return tuple(sorted(limits.items()))


def meets(rule: Rule, job: Job) -> bool:
    """True when the job meets all predicates of the rule; one whose regular expression takes too
    long on it is not met."""
    try:
        return all(_met(predicate, rule, job) for predicate in rule.predicates)
    except Refused:
        return False


def _met(predicate: Any, rule: Rule, job: Job) -> bool:
    test = _cached(msgspec.json.encode(predicate), rule.watermark)
    match predicate[0]:
        case "jobid":
            return test(lambda _name: job.id)
        case "opcode":
            return any(test(_values_of(opcode)) for opcode in job.opcodes)
        case _:
            trail = (entry for opcode in job.opcodes for entry in opcode.reason)
            return any(test(_values_in(entry)) for entry in trail)


@lru_cache(maxsize=1000)
def _cached(predicate: bytes, watermark: int) -> Test:
    """The test of a checked predicate; asked for each job that is about to begin."""
    return _test(msgspec.json.decode(predicate), watermark)


def _test(predicate: Any, watermark: int) -> Test:
    match predicate:
        case ["jobid", tree]:
            return compiled(_with_watermark(tree, watermark), _is_id)
        case ["opcode", tree]:
            return compiled(tree, lambda _name: True)
        case ["reason", tree]:
            return compiled(tree, lambda name: name in ("source", "reason", "timestamp"))
        case _:
            raise Refused(
                f"Not a predicate of a job filter: {predicate!r:.200}; use "
                '["jobid"|"opcode"|"reason", expression]',
                "wrong_input",
            )


def _is_id(name: str) -> bool:
    return name == "id"


def _with_watermark(tree: Any, watermark: int) -> Any:
    """The expression with the word ``watermark`` replaced where a value stands."""
    match tree:
        case [("&" | "|" | "!") as op, *parts]:
            return [op, *(_with_watermark(part, watermark) for part in parts)]
        case [op, name, str(word)] if word == WATERMARK:
            return [op, name, watermark]
        case _:
            return tree


def _values_of(opcode: Opcode) -> Values:
    def value(name: str) -> Any:
        if name == OP_ID:
            return opcode.op_id()
        found: Any = opcode
        for word in name.split("."):
            found = found.get(word) if isinstance(found, Mapping) else getattr(found, word, None)
        # only what the declaration holds, never a method of the class
        return None if callable(found) else found

    return value


def _values_in(entry: tuple[str, str, int]) -> Values:
    names = {"source": entry[0], "reason": entry[1], "timestamp": entry[2]}
    return names.get
