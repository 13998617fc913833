"""What opcodes on tags share: fields, the lock on the object, which tags are to be changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd import tags
from clusterd.opcodes import locking
from clusterd.steps.tags import ChangeTags
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.step import Step

TagKind = Annotated[tags.Kind, Meta(description="kind of the object")]
Tags = Annotated[tuple[str, ...], Meta(description="tags")]
OwnerName = Annotated[str | None, Meta(description="name of the object; none for the cluster")]


def owner(opcode: Any, view: View) -> tags.Tagged:
    """The object."""
    return tags.owner(view.configuration, opcode.kind, opcode.name)


def locks(opcode: Any, view: View) -> Iterable[Lock]:
    """The object alone; only the cluster itself is shared with others."""
    return (BIG_LOCK_SHARED, *locking.whole(owner(opcode, view)))


def plan(
    opcode: Any, view: View, *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> Sequence[Step]:
    """One write, of what differs."""
    found = owner(opcode, view)
    new = tuple(sorted({*add} - {*found.tags}))
    gone = tuple(sorted({*remove} & {*found.tags}))
    if not new and not gone:
        return []
    uuid = None if opcode.kind == "cluster" else found.uuid
    return [ChangeTags(kind=opcode.kind, owner=uuid, add=new, remove=gone)]
