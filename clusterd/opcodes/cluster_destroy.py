"""Destroy the cluster; only the master may be left in it."""

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
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ClusterDestroy(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_DESTROY"):
    """Destroy the cluster; only the master may be left in it."""


def check(_opcode: ClusterDestroy, view: View) -> None:
    """Only the master is left and there are no instances."""
    nodes = [node.name for node in view.configuration.nodes()]
    if len(nodes) > 1:
        raise Refused(
            f"There are still {len(nodes) - 1} node(s) in this cluster, remove them first",
            "wrong_input",
        )
    instances = list(view.configuration.instances(unfinished=True))
    if instances:
        raise Refused(
            f"There are still {len(instances)} instance(s) in this cluster, remove them first",
            "wrong_input",
        )


def plan(_opcode: ClusterDestroy, _view: View) -> Sequence[Step]:
    """Nothing: the command stops the daemons and wipes the state afterwards."""
    return []


def result(_opcode: ClusterDestroy, view: View, _outputs: Sequence[Any]) -> Any:
    """The master's name."""
    return view.configuration.node(view.configuration.cluster.master_node).name


def environment(_opcode: ClusterDestroy, view: View) -> dict[str, str]:
    """The cluster's name."""
    return {"OP_TARGET": view.configuration.cluster.name}


KIND = OpcodeKind(
    opcode=ClusterDestroy,
    locks=locking.cluster_alone,
    check=check,
    plan=plan,
    result=result,
    hooks=HookPoint("cluster-destroy", "CLUSTER", environment, nowhere, post=master_node),
)
