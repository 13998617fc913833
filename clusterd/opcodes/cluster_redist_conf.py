"""Spread the files that all master candidates share from the master."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterd.model import Node
from clusterd.opcodes import locking
from clusterd.steps.certificates import SpreadFiles
from clusterd.steps.cluster import Say
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ClusterRedistConf(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_REDIST_CONF"):
    """Distribute again what all master candidates share: the users of the remote API."""


def others(view: View) -> list[Node]:
    """The candidates beside the master; the configuration itself they all read from the store."""
    master = view.configuration.cluster.master_node
    return [n for n in view.configuration.nodes() if n.master_candidate and n.uuid != master]


def locks(_opcode: ClusterRedistConf, view: View) -> Iterable[Lock]:
    """The candidates stay what they are."""
    return [BIG_LOCK_SHARED, *(locking.node_lock(node, shared=True) for node in others(view))]


def plan(_opcode: ClusterRedistConf, view: View) -> Sequence[Step]:
    """One call a candidate; who is offline is passed over."""
    steps: list[Step] = []
    for node in others(view):
        if node.offline:
            steps.append(Say(text=f" - WARNING: node {node.name} is offline and gets nothing"))
        else:
            steps.append(SpreadFiles(node=node.name))
    return steps


KIND = OpcodeKind(opcode=ClusterRedistConf, locks=locks, plan=plan)
