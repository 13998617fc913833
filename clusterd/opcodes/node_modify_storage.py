"""Change storage of a node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd.opcodes import locking, requirements
from clusterd.opcodes.fields import NodeName
from clusterd.steps.node_storage import SetAllocatable
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class NodeModifyStorage(Opcode, frozen=True, kw_only=True, tag="OP_NODE_MODIFY_STORAGE"):
    """Change storage of a node."""

    node_name: NodeName
    storage_type: Annotated[str, Meta(description="only lvm-pv can be changed")]
    name: Annotated[str | None, Meta(description="the physical volume")] = None
    changes: Annotated[dict[str, Any], Meta(description="allocatable: true or false")]


def locks(opcode: NodeModifyStorage, view: View) -> Iterable[Lock]:
    """The node."""
    return [
        BIG_LOCK_SHARED,
        locking.node_lock(view.configuration.node(opcode.node_name), shared=True),
    ]


def check(opcode: NodeModifyStorage, view: View) -> None:
    """It can be changed, and the node answers."""
    if opcode.storage_type != "lvm-pv":
        raise Refused(
            f"Storage units of type '{opcode.storage_type}' can not be modified", "wrong_input"
        )
    unknown = sorted(set(opcode.changes) - {"allocatable"})
    if unknown:
        raise Refused(f"'{unknown[0]}' of a physical volume cannot be changed", "wrong_input")
    if not isinstance(opcode.changes.get("allocatable"), bool):
        raise Refused("Say what to change: allocatable, true or false", "wrong_input")
    if not opcode.name or opcode.name.startswith("-"):
        raise Refused("Name the physical volume", "wrong_input")
    requirements.node_online(view, view.configuration.node(opcode.node_name))


def plan(opcode: NodeModifyStorage, view: View) -> Sequence[Step]:
    """One command."""
    node = view.configuration.node(opcode.node_name)
    allowed = bool(opcode.changes["allocatable"])
    return [SetAllocatable(node=node.name, name=str(opcode.name), allowed=allowed)]


KIND = OpcodeKind(
    opcode=NodeModifyStorage, locks=locks, check=check, plan=plan, summary_field="node_name"
)
