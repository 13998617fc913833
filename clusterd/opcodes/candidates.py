"""What follows when nodes become candidates for the mastership or cease to be. Pure.

Candidates are given keys, certificates and the daemons of a candidate; on etcd the members of the
store are brought to the number that the candidates allow, those that come before those that go.
"""

from __future__ import annotations

from collections.abc import Sequence

from clusterd.model import Node
from clusterd.steps.candidates import EquipCandidate, JoinStore, LeaveStore, StripCandidate
from clusterd.store_members import changes
from clusterd.view import View
from jobqueue.step import Step


def steps(view: View, *, gains: Sequence[Node] = (), loses: Sequence[Node] = ()) -> list[Step]:
    """After these nodes have become candidates (``gains``), or are none any more (``loses``).

    A node in both is set up anew: what it had is not counted on.
    """
    names = {node.name for node in (*gains, *loses)}
    before = [node for node in view.configuration.nodes() if node.master_candidate]
    after = [*(node for node in before if node.name not in names), *gains]
    found: list[Step] = [EquipCandidate(node=node.name) for node in gains]
    if view.configuration.cluster.store == "etcd":
        found += _membership(view, after, again={node.name for node in gains})
    staying = {node.name for node in after}
    found += [
        StripCandidate(node=node.name)
        for node in loses
        if node.name not in staying and not node.offline
    ]
    return found


def _membership(view: View, candidates: Sequence[Node], again: set[str]) -> list[Step]:
    nodes = list(view.configuration.nodes())
    members = [node.name for node in nodes if node.store_member]
    anew = [name for name in members if name in again]
    kept = [name for name in members if name not in again]
    master = view.configuration.node(view.configuration.cluster.master_node).name
    found: list[Step] = [LeaveStore(node=name) for name in anew]
    for change in changes(candidates, kept, master):
        step = JoinStore(node=change.node) if change.joins else LeaveStore(node=change.node)
        found.append(step)
    return found
