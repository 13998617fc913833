"""Add a prepared node host to the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd import parameters
from clusterd.hooks import HookPoint, all_nodes
from clusterd.model import Group, Node
from clusterd.opcodes import candidates, locking, requirements
from clusterd.opcodes.fields import (
    NodeName,
    Params,
)
from clusterd.steps.nodes import AddNode, GreetNode, SeeNode, TellPeers, record_node
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class NodeAdd(Opcode, frozen=True, kw_only=True, tag="OP_NODE_ADD"):
    """Add a prepared node host to the cluster."""

    node_name: NodeName
    primary_ip: Annotated[str | None, Meta(description="address for calls")] = None
    secondary_ip: Annotated[str | None, Meta(description="address for mirrors and migration")] = (
        None
    )
    readd: Annotated[bool, Meta(description="the node is known and was set up again")] = False
    group: Annotated[str | None, Meta(description="node group")] = None
    master_capable: Annotated[bool | None, Meta(description="may become master")] = None
    vm_capable: Annotated[bool | None, Meta(description="may hold instances")] = None
    ndparams: Annotated[Params, Meta(description="node parameters")] = {}
    hv_state: dict[str, Any] | None = None
    disk_state: dict[str, Any] | None = None
    node_setup: Annotated[bool, Meta(description="accepted for compatibility")] = False
    certificate: Annotated[
        str, Meta(description="fingerprint of the certificate delivered to it")
    ] = ""


def check(opcode: NodeAdd, view: View) -> None:
    """The name and addresses are free, the group exists; a readded node is known."""
    known = view.configuration.find_node(opcode.node_name)
    if known is not None and not opcode.readd:
        raise Refused(f"Node {opcode.node_name} is already in the cluster", "already_exists")
    if known is None and opcode.readd:
        raise Refused(f"Node {opcode.node_name} is not in the cluster", "unknown_entity")
    requirements.served(
        {"hypervisor and disk states of nodes": bool(opcode.hv_state or opcode.disk_state)}
    )
    if not opcode.primary_ip:
        raise Refused("The node's primary address is missing", "wrong_input")
    if opcode.group:
        view.configuration.group(opcode.group)
    elif known is None:
        _only_group(view)
    requirements.addresses_free(view, opcode.node_name, opcode.primary_ip, opcode.secondary_ip)


def plan(opcode: NodeAdd, view: View) -> Sequence[Step]:
    """Greet the daemon, add or renew the node, tell all nodes who their peers are."""
    known = view.configuration.find_node(opcode.node_name)
    greet = GreetNode(node=opcode.node_name, address=str(opcode.primary_ip))
    peers: list[Step] = [
        TellPeers(node=node.name) for node in view.configuration.nodes() if view.reachable(node)
    ]
    if known is not None:
        renewed = record_node(
            known,
            offline=False,
            drained=False,
            primary_ip=opcode.primary_ip,
            secondary_ip=opcode.secondary_ip or opcode.primary_ip,
            certificate=opcode.certificate,
        )
        again = (known,) if known.master_candidate else ()
        equipped = candidates.steps(view, gains=again, loses=again)
        return [greet, renewed, *peers, *equipped, SeeNode(node=opcode.node_name)]
    cluster = view.configuration.cluster
    present = sum(1 for node in view.configuration.nodes() if node.master_candidate)
    capable = opcode.master_capable is not False
    group = view.configuration.group(opcode.group) if opcode.group else _only_group(view)
    draft = Node(
        uuid="",
        name=opcode.node_name,
        primary_ip=str(opcode.primary_ip),
        secondary_ip=str(opcode.secondary_ip or opcode.primary_ip),
        group=group.uuid,
        master_candidate=capable and present < cluster.candidate_pool_size,
        master_capable=capable,
        vm_capable=opcode.vm_capable is not False,
        ndparams=parameters.node(opcode.ndparams, {}),
        certificate=opcode.certificate,
    )
    return [
        greet,
        AddNode(draft=draft),
        *peers,
        TellPeers(node=opcode.node_name),
        *candidates.steps(view, gains=(draft,) if draft.master_candidate else ()),
        SeeNode(node=opcode.node_name),
    ]


def _only_group(view: View) -> Group:
    groups = list(view.configuration.groups())
    if len(groups) > 1:
        raise Refused(
            "There is more than one node group: name the one that the node comes to (option -g)",
            "wrong_input",
        )
    return groups[0]


def environment(opcode: NodeAdd, view: View) -> dict[str, str]:
    """The node that is added."""
    return {
        "OP_TARGET": opcode.node_name,
        "NODE_NAME": opcode.node_name,
        "NODE_PIP": str(opcode.primary_ip),
        "NODE_SIP": str(opcode.secondary_ip or opcode.primary_ip),
        "MASTER_CAPABLE": str(opcode.master_capable),
        "VM_CAPABLE": str(opcode.vm_capable),
    }


KIND = OpcodeKind(
    opcode=NodeAdd,
    locks=locking.cluster_alone,
    check=check,
    plan=plan,
    summary_field="node_name",
    hooks=HookPoint("node-add", "NODE", environment, all_nodes),
)
