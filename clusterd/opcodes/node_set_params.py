"""Change the role and parameters of a node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from clusterd.hooks import HookPoint, master_node
from clusterd.opcodes import candidates, locking, requirements, roles
from clusterd.opcodes.fields import (
    Force,
    NodeName,
    Params,
)
from clusterd.steps.cluster import Say
from clusterd.steps.nodes import record_node
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class NodeSetParams(Opcode, frozen=True, kw_only=True, tag="OP_NODE_SET_PARAMS"):
    """Change the role and parameters of a node."""

    node_name: NodeName
    force: Force = False
    master_candidate: Annotated[bool | None, Meta(description="keeps the state of the cluster")] = (
        None
    )
    offline: Annotated[bool | None, Meta(description="is out of order: do not call it")] = None
    drained: Annotated[bool | None, Meta(description="gets no new instances")] = None
    auto_promote: Annotated[
        bool, Meta(description="make another node master candidate if one is missing")
    ] = False
    master_capable: Annotated[bool | None, Meta(description="may become master")] = None
    vm_capable: Annotated[bool | None, Meta(description="may hold instances")] = None
    secondary_ip: Annotated[str | None, Meta(description="address for mirrors and migration")] = (
        None
    )
    ndparams: Annotated[Params | None, Meta(description="node parameters")] = None
    hv_state: dict[str, Any] | None = None
    disk_state: dict[str, Any] | None = None
    powered: Annotated[bool | None, Meta(description="recorded power state")] = None


def locks(opcode: NodeSetParams, view: View) -> Iterable[Lock]:
    """The node alone; that it is out of order can be said although jobs are stuck on it."""
    node = view.configuration.node(opcode.node_name)
    if opcode.offline:
        return [BIG_LOCK_SHARED]
    return [BIG_LOCK_SHARED, locking.node_lock(node, shared=False)]


def check(opcode: NodeSetParams, view: View) -> None:
    """The new role is possible."""
    requirements.served(
        {
            "hypervisor and disk states of nodes": bool(opcode.hv_state or opcode.disk_state),
            "recording the power state of a node": opcode.powered is not None,
        }
    )
    roles.check(opcode, view)


def plan(opcode: NodeSetParams, view: View) -> Sequence[Step]:
    """One write for the node, one for a node that is promoted in its place."""
    node = view.configuration.node(opcode.node_name)
    changes = roles.changes(opcode, view)
    becomes = bool(changes.get("master_candidate", node.master_candidate))
    after = msgspec.structs.replace(node, **changes)
    gains = [after] if becomes and not node.master_candidate else []
    loses = [after] if node.master_candidate and not becomes else []
    steps: list[Step] = [record_node(node, **changes)]
    promoted = roles.to_promote(opcode, view)
    if promoted is not None:
        steps.append(Say(text=f" - INFO: Promoting node {promoted.name} to master candidate"))
        steps.append(record_node(promoted, master_candidate=True))
        gains.append(promoted)
    if roles.could_be_candidate(opcode, view, after):
        made = f"'gnt-node modify --master-candidate=yes {node.name}' makes it one"
        steps.append(Say(text=f" - INFO: {node.name} is no master candidate any more; {made}"))
    return [*steps, *candidates.steps(view, gains=gains, loses=loses)]


def result(opcode: NodeSetParams, view: View, _outputs: Sequence[Any]) -> Any:
    """[[parameter, new value]]"""
    rows: list[list[Any]] = []
    node = view.configuration.node(opcode.node_name)
    for key in ("master_candidate", "offline", "drained", "master_capable", "vm_capable"):
        if getattr(opcode, key) is not None:
            rows.append([key, str(getattr(node, key))])
    if opcode.secondary_ip:
        rows.append(["secondary_ip", opcode.secondary_ip])
    rows += [[f"ndparams/{key}", value] for key, value in sorted((opcode.ndparams or {}).items())]
    return rows


def environment(opcode: NodeSetParams, _view: View) -> dict[str, str]:
    """What is asked for; None where nothing is."""
    return {
        "OP_TARGET": opcode.node_name,
        "MASTER_CANDIDATE": str(opcode.master_candidate),
        "OFFLINE": str(opcode.offline),
        "DRAINED": str(opcode.drained),
        "MASTER_CAPABLE": str(opcode.master_capable),
        "VM_CAPABLE": str(opcode.vm_capable),
    }


def hook_nodes(opcode: NodeSetParams, view: View) -> list[str]:
    """Master and the node."""
    return [*master_node(opcode, view), view.configuration.node(opcode.node_name).name]


KIND = OpcodeKind(
    opcode=NodeSetParams,
    locks=locks,
    check=check,
    plan=plan,
    result=result,
    summary_field="node_name",
    hooks=HookPoint("node-modify", "NODE", environment, hook_nodes),
)
