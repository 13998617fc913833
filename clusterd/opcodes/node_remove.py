"""Remove a node from the cluster."""

from __future__ import annotations

from collections.abc import Sequence

from clusterd.hooks import (
    HookPoint,
    all_nodes,
)
from clusterd.opcodes import candidates, locking
from clusterd.opcodes.fields import (
    NodeName,
)
from clusterd.steps.cluster import Say
from clusterd.steps.nodes import ForgetNode, LeaveNode
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class NodeRemove(Opcode, frozen=True, kw_only=True, tag="OP_NODE_REMOVE"):
    """Remove a node from the cluster."""

    node_name: NodeName


def check(opcode: NodeRemove, view: View) -> None:
    """It is not the master and holds no instances."""
    node = view.configuration.node(opcode.node_name)
    if node.uuid == view.configuration.cluster.master_node:
        raise Refused(
            "Node is the master node, failover to another node is required", "wrong_input"
        )
    held = view.configuration.instances_on(node.uuid)
    if held:
        raise Refused(
            f"Instance {held[0].name} is still running on the node, please remove first",
            "wrong_input",
        )


def plan(opcode: NodeRemove, view: View) -> Sequence[Step]:
    """The node forgets the cluster, the cluster forgets the node."""
    node = view.configuration.node(opcode.node_name)
    steps: list[Step] = []
    if node.master_candidate:
        steps += candidates.steps(view, loses=(node,))
    if view.reachable(node):
        steps.append(LeaveNode(node=node.name))
    else:
        text = f" - WARNING: node {node.name} does not answer: remove its state by hand"
        steps.append(Say(text=text))
    return [*steps, ForgetNode(node=node.name)]


def environment(opcode: NodeRemove, _view: View) -> dict[str, str]:
    """The node that is removed."""
    return {"OP_TARGET": opcode.node_name, "NODE_NAME": opcode.node_name}


def others(opcode: NodeRemove, view: View) -> list[str]:
    """All nodes but the removed one."""
    return [name for name in all_nodes(opcode, view) if name != opcode.node_name]


KIND = OpcodeKind(
    opcode=NodeRemove,
    locks=locking.cluster_alone,
    check=check,
    plan=plan,
    summary_field="node_name",
    hooks=HookPoint("node-remove", "NODE", environment, others),
)
