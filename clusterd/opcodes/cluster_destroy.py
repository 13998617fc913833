"""Destroy the cluster; only the master may be left in it."""

from __future__ import annotations

from jobqueue.opcode import Opcode


class ClusterDestroy(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_DESTROY"):
    """Destroy the cluster; only the master may be left in it."""
