"""Renew keys and certificates while everything runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from clusterd.model import Node
from clusterd.opcodes import locking, requirements
from clusterd.steps.certificates import RenewCertificates
from clusterd.steps.cluster import Say
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ClusterRenewCrypto(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_RENEW_CRYPTO"):
    """Renew keys and certificates. Nothing is stopped: former ones are good until they end."""

    node_certificates: Annotated[
        bool, Meta(description="new keys and certificates of all nodes")
    ] = False
    rapi_certificate: Annotated[
        Literal["keep", "new", "spread"],
        Meta(description="the remote API's: new ones, or the file that the master has"),
    ] = "keep"
    renew_ssh_keys: bool = False
    ssh_key_type: str | None = None
    ssh_key_bits: int | None = None
    verbose: bool = False
    debug: bool = False


def concerned(opcode: ClusterRenewCrypto, view: View) -> list[Node]:
    """Nodes that get something new, the master last: it is there to the end."""
    master = view.configuration.cluster.master_node
    nodes = [
        n for n in view.configuration.nodes() if opcode.node_certificates or n.master_candidate
    ]
    return sorted(nodes, key=lambda node: (node.uuid == master, node.name))


def locks(opcode: ClusterRenewCrypto, view: View) -> Iterable[Lock]:
    """Roles stay what they are."""
    nodes = concerned(opcode, view)
    return [BIG_LOCK_SHARED, *(locking.node_lock(node, shared=True) for node in nodes)]


def check(opcode: ClusterRenewCrypto, view: View) -> None:
    """Something is renewed, and each node that is not out of order answers."""
    requirements.served({"keys of SSH: the cluster uses none": opcode.renew_ssh_keys})
    if not opcode.node_certificates and opcode.rapi_certificate == "keep":
        raise Refused("Say what to renew, for example --new-node-certificates", "wrong_input")
    for node in concerned(opcode, view):
        if not node.offline:
            requirements.node_online(view, node)


def plan(opcode: ClusterRenewCrypto, view: View) -> Sequence[Step]:
    """One step a node."""
    steps: list[Step] = []
    for node in concerned(opcode, view):
        if node.offline:
            text = f" - WARNING: node {node.name} is offline and keeps its certificates"
            steps.append(Say(text=text))
            continue
        pair, rapi = opcode.node_certificates, opcode.rapi_certificate
        steps.append(RenewCertificates(node=node.name, pair=pair, rapi=rapi))
    return steps


KIND = OpcodeKind(opcode=ClusterRenewCrypto, locks=locks, check=check, plan=plan)
