"""Run the hooks of a new cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clusterd.hooks import (
    HookPoint,
    master_node,
    nowhere,
)
from clusterd.opcodes import locking
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ClusterPostInit(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_POST_INIT"):
    """Run the hooks of a new cluster."""


def plan(_opcode: ClusterPostInit, _view: View) -> Sequence[Step]:
    """Nothing but its hooks."""
    return []


def result(_opcode: ClusterPostInit, _view: View, _outputs: Sequence[Any]) -> Any:
    """True."""
    return True


def environment(_opcode: ClusterPostInit, view: View) -> dict[str, str]:
    """The cluster's name."""
    return {"OP_TARGET": view.configuration.cluster.name}


KIND = OpcodeKind(
    opcode=ClusterPostInit,
    locks=locking.cluster_alone,
    plan=plan,
    result=result,
    hooks=HookPoint("cluster-init", "CLUSTER", environment, nowhere, post=master_node),
)
