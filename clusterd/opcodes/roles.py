"""Roles of nodes: which changes are possible and what follows from them. Pure.

A node is one of master, candidate, regular, drained, offline. Drained and offline nodes are no
candidates; the pool of candidates is kept full where ``auto_promote`` asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clusterd import parameters
from clusterd.model import Node
from clusterd.opcodes import requirements
from clusterd.view import View
from jobqueue.errors import Refused

if TYPE_CHECKING:
    from clusterd.opcodes.node_set_params import NodeSetParams

FLAGS = ("master_candidate", "offline", "drained", "master_capable", "vm_capable")


def check(opcode: NodeSetParams, view: View) -> None:
    """Raise Refused for a change that is not possible."""
    node = view.configuration.node(opcode.node_name)
    asked = [flag for flag in FLAGS if getattr(opcode, flag) is not None]
    if not asked and opcode.ndparams is None and not opcode.secondary_ip:
        raise Refused("Please pass at least one modification", "wrong_input")
    roles = [flag for flag in ("master_candidate", "offline", "drained") if getattr(opcode, flag)]
    if len(roles) > 1:
        raise Refused("Can't set the node into more than one state at the same time", "wrong_input")
    if node.uuid == view.configuration.cluster.master_node and (
        opcode.offline or opcode.drained or opcode.master_candidate is False
    ):
        raise Refused("The master role can be changed only via master-failover", "wrong_input")
    if opcode.master_candidate and not (opcode.master_capable or node.master_capable):
        raise Refused(f"Node {node.name} is not master capable", "wrong_state")
    if opcode.vm_capable is False and view.configuration.instances_on(node.uuid):
        raise Refused(f"Node {node.name} hosts instances, cannot unset vm_capable", "wrong_state")
    if opcode.secondary_ip:
        requirements.valid_address(opcode.secondary_ip)
        requirements.addresses_free(view, node.name, opcode.secondary_ip)
    _pool_stays_full(opcode, view, node)
    parameters.node(opcode.ndparams or {}, node.ndparams)


def _pool_stays_full(opcode: NodeSetParams, view: View, node: Node) -> None:
    if not node.master_candidate or opcode.force or opcode.auto_promote:
        return
    if changes(opcode, view).get("master_candidate", True):
        return
    left = [n for n in view.configuration.nodes() if n.master_candidate and n.uuid != node.uuid]
    possible = [n for n in view.configuration.nodes() if _may_serve(n) and n.uuid != node.uuid]
    wanted = min(view.configuration.cluster.candidate_pool_size, len(possible))
    if len(left) < wanted:
        raise Refused(
            "Not enough master candidates would be left: use --auto-promote to make another node "
            "candidate, or --force",
            "wrong_state",
        )


def _may_serve(node: Node) -> bool:
    return node.master_capable and not node.offline and not node.drained


def changes(opcode: NodeSetParams, view: View) -> dict[str, Any]:
    """Field -> new value."""
    node = view.configuration.node(opcode.node_name)
    new: dict[str, Any] = {
        flag: getattr(opcode, flag) for flag in FLAGS if getattr(opcode, flag) is not None
    }
    if opcode.offline or opcode.drained or opcode.master_capable is False:
        new["master_candidate"] = False
    if opcode.offline:
        new["drained"] = False
    if opcode.drained or opcode.master_candidate:
        new["offline"] = False
    if opcode.master_candidate:
        new["drained"] = False
    if opcode.secondary_ip:
        new["secondary_ip"] = opcode.secondary_ip
    if opcode.ndparams is not None:
        new["ndparams"] = parameters.node(opcode.ndparams, node.ndparams)
    return new


def missing_candidates(view: View, pool_size: int) -> list[Node]:
    """Nodes that become candidates so that there are ``pool_size``, as far as there are any that
    answer."""
    nodes = list(view.configuration.nodes())
    missing = pool_size - sum(1 for node in nodes if node.master_candidate)
    spare = [n for n in nodes if _may_serve(n) and not n.master_candidate and view.reachable(n)]
    return spare[: max(missing, 0)]


def to_promote(opcode: NodeSetParams, view: View) -> Node | None:
    """The node that becomes candidate in this one's place, if one must and may."""
    node = view.configuration.node(opcode.node_name)
    loses = node.master_candidate and changes(opcode, view).get("master_candidate") is False
    if not (loses and opcode.auto_promote):
        return None
    spare = [n for n in view.configuration.nodes() if _may_serve(n) and not n.master_candidate]
    return next((n for n in spare if n.uuid != node.uuid), None)


def could_be_candidate(opcode: NodeSetParams, view: View, after: Node) -> bool:
    """Whether a node that comes back into service is no candidate, while the pool has room."""
    comes_back = opcode.offline is False or opcode.drained is False
    if not comes_back or after.master_candidate or not _may_serve(after):
        return False
    present = sum(1 for node in view.configuration.nodes() if node.master_candidate)
    return present < view.configuration.cluster.candidate_pool_size
