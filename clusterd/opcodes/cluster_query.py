"""Describe the cluster."""

from __future__ import annotations

from jobqueue.opcode import Opcode


class ClusterQuery(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_QUERY"):
    """Describe the cluster."""
