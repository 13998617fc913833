"""Add tags to an object."""

from __future__ import annotations

from collections.abc import Sequence

from clusterd import tags
from clusterd.opcodes import tag_changes
from clusterd.opcodes.tag_changes import OwnerName, TagKind, Tags
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class TagsSet(Opcode, frozen=True, kw_only=True, tag="OP_TAGS_SET"):
    """Add tags to an object."""

    kind: TagKind
    name: OwnerName = None
    tags: Tags


def check(opcode: TagsSet, view: View) -> None:
    """They are tags, and the object may have so many."""
    if not opcode.tags:
        raise Refused("No tags to be added", "wrong_input")
    tags.require_valid(opcode.tags, tag_changes.owner(opcode, view).tags)


def plan(opcode: TagsSet, view: View) -> Sequence[Step]:
    """One write; tags that are there already stay."""
    return tag_changes.plan(opcode, view, add=opcode.tags)


KIND = OpcodeKind(
    opcode=TagsSet, locks=tag_changes.locks, check=check, plan=plan, summary_field="name"
)
