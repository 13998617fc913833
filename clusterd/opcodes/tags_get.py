"""List the tags of an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clusterd.opcodes import locking, tag_changes
from clusterd.opcodes.tag_changes import OwnerName, TagKind
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class TagsGet(Opcode, frozen=True, kw_only=True, tag="OP_TAGS_GET"):
    """List the tags of an object."""

    kind: TagKind
    name: OwnerName = None
    use_locking: bool = False


def check(opcode: TagsGet, view: View) -> None:
    """The object is there."""
    tag_changes.owner(opcode, view)


def plan(_opcode: TagsGet, _view: View) -> Sequence[Step]:
    """Nothing to do: the answer is in memory."""
    return []


def result(opcode: TagsGet, view: View, _outputs: Sequence[Any]) -> Any:
    """[tag]"""
    return sorted(tag_changes.owner(opcode, view).tags)


KIND = OpcodeKind(
    opcode=TagsGet,
    locks=locking.cluster_shared,
    check=check,
    plan=plan,
    result=result,
    summary_field="name",
)
