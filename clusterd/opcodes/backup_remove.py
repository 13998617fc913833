"""Remove the exports of an instance from all nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusterd.opcodes import locking
from clusterd.opcodes.fields import InstanceName
from clusterd.steps.cluster import Say
from clusterd.steps.exports import RemoveExport
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class BackupRemove(Opcode, frozen=True, kw_only=True, tag="OP_BACKUP_REMOVE"):
    """Remove the exports of an instance from all nodes."""

    instance_name: InstanceName


def locks(opcode: BackupRemove, _view: View) -> Iterable[Lock]:
    """The name: no export of it is being written."""
    return [BIG_LOCK_SHARED, locking.instance_lock(opcode.instance_name)]


def sights(_opcode: BackupRemove, view: View) -> Iterable[str]:
    """All nodes."""
    return [node.name for node in view.configuration.nodes() if view.reachable(node)]


def plan(opcode: BackupRemove, view: View) -> Sequence[Step]:
    """From each node that has one; of those that do not answer it is said that they were left."""
    steps: list[Step] = []
    name = opcode.instance_name
    for node in view.configuration.nodes():
        seen = view.sight(node).observation
        if not view.reachable(node):
            steps.append(Say(text=f" - WARNING: node {node.name} does not answer, and is left out"))
        elif seen is not None and name in seen.exports:
            steps.append(RemoveExport(name=name, node=node.name))
    if not any(isinstance(step, RemoveExport) for step in steps):
        steps.append(Say(text=f"There is no export of '{name}'; see 'gnt-backup list'"))
    return steps


KIND = OpcodeKind(
    opcode=BackupRemove,
    locks=locks,
    sights=sights,
    plan=plan,
    summary_field="instance_name",
)
