"""List the logical volumes of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd.opcodes import locking
from clusterd.opcodes.node_query_storage import chosen, columns_known
from clusterd.steps.node_storage import ListVolumes
from clusterd.view import View
from clusterd.volumes import disks_on
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step

FIELDS = ("node", "phys", "vg", "name", "size", "instance")


class NodeQueryvols(Opcode, frozen=True, kw_only=True, tag="OP_NODE_QUERYVOLS"):
    """List the logical volumes of nodes."""

    output_fields: Annotated[tuple[str, ...], Meta(description="columns")]
    nodes: Annotated[tuple[str, ...], Meta(description="only these nodes; none: all")] = ()


def check(opcode: NodeQueryvols, view: View) -> None:
    """The columns and nodes exist."""
    columns_known(opcode.output_fields, FIELDS)
    chosen(opcode.nodes, view)


def plan(opcode: NodeQueryvols, view: View) -> Sequence[Step]:
    """One look a node."""
    return [ListVolumes(node=name) for name in chosen(opcode.nodes, view)]


def result(opcode: NodeQueryvols, view: View, outputs: Sequence[Any]) -> Any:
    """[[column, ...]]; the instance is ``-`` for what belongs to none."""
    found: list[list[Any]] = []
    for node, rows in outputs:
        owners = _owners(view, node)
        for row in rows or ():
            owner = owners.get(row["name"].split(".", maxsplit=1)[0], "-")
            known = {**row, "phys": ",".join(row["phys"]), "node": node, "instance": owner}
            found.append([known[column] for column in opcode.output_fields])
    return found


def _owners(view: View, name: str) -> dict[str, str]:
    """Label -> instance, of what the node should hold."""
    node = view.configuration.find_node(name)
    if node is None:
        return {}
    return {
        label: instance.name
        for instance in view.configuration.instances_on(node.uuid)
        for label, _ in disks_on(instance, node.uuid)
    }


KIND = OpcodeKind(
    opcode=NodeQueryvols,
    locks=locking.cluster_shared,
    check=check,
    plan=plan,
    result=result,
)
