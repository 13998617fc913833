"""Search all tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd import tags
from clusterd.opcodes import locking
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class TagsSearch(Opcode, frozen=True, kw_only=True, tag="OP_TAGS_SEARCH"):
    """Search all tags."""

    pattern: Annotated[
        str, Meta(min_length=1, description="regular expression that is found anywhere in a tag")
    ]


def check(opcode: TagsSearch, _view: View) -> None:
    """It is a regular expression."""
    try:
        re.compile(opcode.pattern)
    except re.error as error:
        raise Refused(
            f"Invalid search pattern '{opcode.pattern}': {error}", "wrong_input"
        ) from None


def plan(_opcode: TagsSearch, _view: View) -> Sequence[Step]:
    """Nothing to do: the answer is in memory."""
    return []


def result(opcode: TagsSearch, view: View, _outputs: Sequence[Any]) -> Any:
    """[[path, tag]]"""
    pattern = re.compile(opcode.pattern)
    return [list(row) for row in tags.by_path(view.configuration) if pattern.search(row[1])]


KIND = OpcodeKind(
    opcode=TagsSearch,
    locks=locking.cluster_shared,
    check=check,
    plan=plan,
    result=result,
    summary_field="pattern",
)
