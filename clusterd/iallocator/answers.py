"""What an iallocator answers: one value for all kinds of requests, and how a program's is read.

Decided here: an answer that is not what its request asks for is refused as a whole, with the
allocator's name and what is wrong; nothing is guessed around. Pure.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from clusterd.iallocator.requests import (
    Allocate,
    AllocateSecondary,
    MultiAllocate,
    Relocate,
    Request,
)
from jobqueue.errors import Refused

T = TypeVar("T")

MAX_TOLD = 300
"""Characters of an unreadable answer that are told."""

Job = tuple[dict[str, Any], ...]
"""Opcodes as JSON objects."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node, considered for one instance."""

    node: str
    verdict: str
    """chosen, fits or refused"""
    role: str = ""
    score: float | None = None
    text: str = ""
    """Why it was refused."""


class Considered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was found for one instance; kept with the job."""

    instance: str
    allocator: str
    chosen: tuple[str, ...] = ()
    info: str = ""
    nodes: tuple[Verdict, ...] = ()
    left_out: int = 0
    """Verdicts that are not kept, as there were too many."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Which fields are set follows from the request."""

    nodes: tuple[str, ...] = ()
    """allocate, relocate, allocate-secondary."""
    allocated: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """multi-allocate: (name, nodes)."""
    failed: tuple[tuple[str, str], ...] = ()
    """(name, why)"""
    moved: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """node-evacuate, change-group: (name, group, nodes)."""
    jobs: tuple[Job, ...] = ()
    info: str = ""
    considered: tuple[Considered, ...] = ()
    text: str = ""
    """What a program wrote."""


class _Reply(msgspec.Struct, frozen=True):
    success: bool
    info: str
    result: Any


def read(name: str, request: Request, code: int, output: str, errors: str) -> Answer:
    """The answer of the program ``name`` that ended with ``code``; raises Refused."""
    if code != 0:
        said = (errors.strip() or output.strip())[-MAX_TOLD:]
        raise Refused(f"Iallocator '{name}' ended with code {code}: {said}", "environment_error")
    try:
        reply = msgspec.json.decode(output.strip(), type=_Reply)
    except msgspec.DecodeError as error:
        raise _unreadable(name, str(error), output) from None
    if not reply.success:
        raise Refused(
            f"Can't compute nodes using iallocator '{name}': {reply.info}",
            "insufficient_resources",
        )
    answer = _READERS.get(type(request), _moves)(name, reply)
    return msgspec.structs.replace(answer, text=output)


def _nodes(name: str, reply: _Reply) -> Answer:
    found = _converted(name, reply.result, tuple[str, ...])
    return Answer(nodes=found, info=reply.info)


def _secondary(name: str, reply: _Reply) -> Answer:
    result = reply.result if isinstance(reply.result, list) else [reply.result]
    return Answer(nodes=_converted(name, result, tuple[str, ...]), info=reply.info)


def _many(name: str, reply: _Reply) -> Answer:
    allocated, failed = _converted(
        name, reply.result, tuple[tuple[tuple[str, tuple[str, ...]], ...], tuple[str, ...]]
    )
    return Answer(
        allocated=allocated,
        failed=tuple((one, f"iallocator '{name}' found no place") for one in failed),
        info=reply.info,
    )


def _moves(name: str, reply: _Reply) -> Answer:
    moved, failed, jobs = _converted(
        name,
        reply.result,
        tuple[
            tuple[tuple[str, str, tuple[str, ...]], ...],
            tuple[tuple[str, str], ...],
            tuple[tuple[dict[str, Any], ...], ...],
        ],
    )
    return Answer(moved=moved, failed=failed, jobs=jobs, info=reply.info)


_READERS = {
    Allocate: _nodes,
    Relocate: _nodes,
    AllocateSecondary: _secondary,
    MultiAllocate: _many,
}


def _converted(name: str, value: Any, shape: type[T]) -> T:
    try:
        return msgspec.convert(value, type=shape, strict=True)
    except msgspec.ValidationError as error:
        raise _unreadable(name, str(error), repr(value)) from None


def _unreadable(name: str, problem: str, text: str) -> Refused:
    return Refused(
        f"Iallocator '{name}' answered what cannot be used ({problem}): {text[:MAX_TOLD]}",
        "environment_error",
    )
