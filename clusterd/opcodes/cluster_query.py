"""Describe the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clusterd.queries import cluster
from clusterd.queries.sources import without_jobs
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ClusterQuery(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_QUERY"):
    """Describe the cluster."""


def plan(_opcode: ClusterQuery, _view: View) -> Sequence[Step]:
    """Nothing to do: the answer is in memory."""
    return []


def result(_opcode: ClusterQuery, view: View, _outputs: Sequence[Any]) -> Any:
    """What ``/2/info`` says."""
    return cluster.info(without_jobs(view))


KIND = OpcodeKind(
    opcode=ClusterQuery,
    plan=plan,
    result=result,
)
