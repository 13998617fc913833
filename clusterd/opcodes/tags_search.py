"""Search all tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd import tags
from clusterd.opcodes import locking
from clusterd.view import View
from jobqueue.expressions import expression
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class TagsSearch(Opcode, frozen=True, kw_only=True, tag="OP_TAGS_SEARCH"):
    """Search all tags."""

    pattern: Annotated[
        str, Meta(min_length=1, description="regular expression that is found anywhere in a tag")
    ]


def check(opcode: TagsSearch, view: View) -> None:
    """It is a regular expression, and does not take for ever."""
    found(opcode, view)


def plan(_opcode: TagsSearch, _view: View) -> Sequence[Step]:
    """Nothing to do: the answer is in memory."""
    return []


def result(opcode: TagsSearch, view: View, _outputs: Sequence[Any]) -> Any:
    """[[path, tag]]"""
    return found(opcode, view)


def found(opcode: TagsSearch, view: View) -> list[list[str]]:
    """[[path, tag]]; raises Refused."""
    matches = expression(opcode.pattern)
    return [list(row) for row in tags.by_path(view.configuration) if matches(row[1])]


KIND = OpcodeKind(
    opcode=TagsSearch,
    locks=locking.cluster_shared,
    check=check,
    plan=plan,
    result=result,
    summary_field="pattern",
)
