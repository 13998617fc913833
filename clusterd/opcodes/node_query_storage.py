"""List the storage of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from clusterd.opcodes import locking
from clusterd.steps.node_storage import ListUnits
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step

FIELDS = ("node", "type", "name", "size", "used", "free", "allocatable")
StorageType = Literal["file", "lvm-pv", "lvm-vg", "sharedfile"]


class NodeQueryStorage(Opcode, frozen=True, kw_only=True, tag="OP_NODE_QUERY_STORAGE"):
    """List the storage of nodes."""

    output_fields: Annotated[tuple[str, ...], Meta(description="columns")]
    storage_type: Annotated[
        StorageType | None, Meta(description="file, lvm-pv, lvm-vg or sharedfile")
    ] = None
    nodes: Annotated[tuple[str, ...], Meta(description="only these nodes; none: all")] = ()
    name: Annotated[str | None, Meta(description="only the unit of this name")] = None


def check(opcode: NodeQueryStorage, view: View) -> None:
    """The columns and nodes exist."""
    columns_known(opcode.output_fields, FIELDS)
    chosen(opcode.nodes, view)


def columns_known(asked: Sequence[str], known: Sequence[str]) -> None:
    """Raises Refused for a column that there is not."""
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise Refused(
            f"Unknown output field '{unknown[0]}': there are {', '.join(known)}", "wrong_input"
        )


def chosen(names: Sequence[str], view: View) -> list[str]:
    """The nodes that were named, or all that are not offline."""
    if names:
        return [view.configuration.node(name).name for name in names]
    return [node.name for node in view.configuration.nodes() if not node.offline]


def plan(opcode: NodeQueryStorage, view: View) -> Sequence[Step]:
    """One look a node."""
    kind = opcode.storage_type or "lvm-vg"
    return [ListUnits(node=name, kind=kind) for name in chosen(opcode.nodes, view)]


def result(opcode: NodeQueryStorage, _view: View, outputs: Sequence[Any]) -> Any:
    """[[column, ...]]"""
    kind = opcode.storage_type or "lvm-vg"
    return [
        [{**row, "node": node, "type": kind}[column] for column in opcode.output_fields]
        for node, rows in outputs
        for row in rows or ()
        if opcode.name in (None, row["name"])
    ]


KIND = OpcodeKind(
    opcode=NodeQueryStorage,
    locks=locking.cluster_shared,
    check=check,
    plan=plan,
    result=result,
)
