"""Renew keys and certificates while everything runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta

from clusterd.model import Node
from clusterd.opcodes import locking, requirements
from clusterd.steps.certificates import DrawAuthority, RenewCertificates, TrustAuthority
from clusterd.steps.cluster import Say
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step

LEFT_OUT = ": with a new authority it has to be added again, with 'gnt-node add --readd'"


class ClusterRenewCrypto(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_RENEW_CRYPTO"):
    """Renew keys and certificates. Nothing is stopped: former ones are good until they end."""

    cluster_certificate: Annotated[
        bool, Meta(description="a new authority of the cluster, and all certificates by it")
    ] = False
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
    every = opcode.node_certificates or opcode.cluster_certificate
    nodes = [n for n in view.configuration.nodes() if every or n.master_candidate]
    return sorted(nodes, key=lambda node: (node.uuid == master, node.name))


def locks(opcode: ClusterRenewCrypto, view: View) -> Iterable[Lock]:
    """Roles stay what they are."""
    nodes = concerned(opcode, view)
    return [BIG_LOCK_SHARED, *(locking.node_lock(node, shared=True) for node in nodes)]


def check(opcode: ClusterRenewCrypto, view: View) -> None:
    """Something is renewed, and each node that is not out of order answers."""
    requirements.served({"keys of SSH: the cluster uses none": opcode.renew_ssh_keys})
    every = opcode.node_certificates or opcode.cluster_certificate
    if not every and opcode.rapi_certificate == "keep":
        raise Refused("Say what to renew, for example --new-node-certificates", "wrong_input")
    for node in concerned(opcode, view):
        if not node.offline:
            requirements.node_online(view, node)


def plan(opcode: ClusterRenewCrypto, view: View) -> Sequence[Step]:
    """One step a node; with a new authority: all believe both, candidates use the new one, all
    show certificates by it, the former one is believed no more."""
    found = concerned(opcode, view)
    nodes = [node for node in found if not node.offline]
    renewed: list[Step] = [
        RenewCertificates(
            node=node.name,
            pair=opcode.node_certificates or opcode.cluster_certificate,
            rapi=opcode.rapi_certificate,
            rapi_again=opcode.cluster_certificate,
        )
        for node in nodes
    ]
    left_out = LEFT_OUT if opcode.cluster_certificate else ""
    said: list[Step] = [
        Say(text=f" - WARNING: node {node.name} is offline and keeps its certificates{left_out}")
        for node in found
        if node.offline
    ]
    if not opcode.cluster_certificate:
        return [*said, *renewed]
    candidates = [node.name for node in nodes if node.master_candidate]
    return [
        *said,
        DrawAuthority(nodes=tuple(candidates)),
        *(TrustAuthority(node=node.name, whom="both") for node in nodes),
        *(TrustAuthority(node=name, whom="next") for name in candidates),
        *renewed,
        *(TrustAuthority(node=node.name, whom="alone") for node in nodes),
    ]


KIND = OpcodeKind(opcode=ClusterRenewCrypto, locks=locks, check=check, plan=plan)
