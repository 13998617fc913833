"""Verify the nodes and instances of one group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clusterd.hooks import (
    HookPoint,
    nowhere,
)
from clusterd.opcodes import locking
from clusterd.opcodes.fields import (
    GroupName,
)
from clusterd.steps.verification import VerifyGroup
from clusterd.verification_codes import require_known
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ClusterVerifyGroup(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY_GROUP"):
    """Verify the nodes and instances of one group."""

    group_name: GroupName
    debug_simulate_errors: bool = False
    error_codes: bool = False
    skip_checks: tuple[str, ...] = ()
    ignore_errors: tuple[str, ...] = ()
    verbose: bool = False
    verify_clutter: bool = False


def locks(opcode: ClusterVerifyGroup, view: View) -> Iterable[Lock]:
    """The group's nodes and all instances must stay what they are."""
    group = view.configuration.group(opcode.group_name)
    return [BIG_LOCK_SHARED, locking.group_lock(group.name, shared=True)]


def nodes_of(opcode: ClusterVerifyGroup, view: View) -> list[str]:
    """The group's nodes."""
    group = view.configuration.group(opcode.group_name)
    return [node.name for node in view.configuration.nodes() if node.group == group.uuid]


def check(opcode: ClusterVerifyGroup, view: View) -> None:
    """The group and the codes exist."""
    require_known(opcode.ignore_errors)
    view.configuration.group(opcode.group_name)


def plan(opcode: ClusterVerifyGroup, view: View) -> Sequence[Step]:
    """One look at everything."""
    return [
        VerifyGroup(
            group=view.configuration.group(opcode.group_name).uuid,
            error_codes=opcode.error_codes,
            ignore_errors=opcode.ignore_errors,
            skip_checks=opcode.skip_checks,
        )
    ]


def result(_opcode: ClusterVerifyGroup, _view: View, outputs: Sequence[Any]) -> Any:
    """True when nothing is wrong."""
    return bool(outputs[-1])


def environment(opcode: ClusterVerifyGroup, view: View) -> dict[str, str]:
    """Tags of the cluster and of the group's nodes."""
    env = {"CLUSTER_TAGS": " ".join(view.configuration.cluster.tags)}
    for name in nodes_of(opcode, view):
        env[f"NODE_TAGS_{name}"] = " ".join(view.configuration.node(name).tags)
    return env


KIND = OpcodeKind(
    opcode=ClusterVerifyGroup,
    locks=locks,
    sights=nodes_of,
    check=check,
    plan=plan,
    result=result,
    summary_field="group_name",
    hooks=HookPoint("cluster-verify", "CLUSTER", environment, nowhere, post=nodes_of),
)
