"""Remove tags from an object."""

from __future__ import annotations

from collections.abc import Sequence

from clusterd.opcodes import tag_changes
from clusterd.opcodes.tag_changes import OwnerName, TagKind, Tags
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class TagsDel(Opcode, frozen=True, kw_only=True, tag="OP_TAGS_DEL"):
    """Remove tags from an object."""

    kind: TagKind
    name: OwnerName = None
    tags: Tags


def check(opcode: TagsDel, view: View) -> None:
    """The object has all of them."""
    if not opcode.tags:
        raise Refused("No tags to be removed", "wrong_input")
    missing = sorted({*opcode.tags} - {*tag_changes.owner(opcode, view).tags})
    if missing:
        raise Refused(f"Tag(s) {', '.join(missing)} not found", "unknown_entity")


def plan(opcode: TagsDel, view: View) -> Sequence[Step]:
    """One write."""
    return tag_changes.plan(opcode, view, remove=opcode.tags)


KIND = OpcodeKind(
    opcode=TagsDel, locks=tag_changes.locks, check=check, plan=plan, summary_field="name"
)
