"""Run the hooks of a new cluster."""

from __future__ import annotations

from jobqueue.opcode import Opcode


class ClusterPostInit(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_POST_INIT"):
    """Run the hooks of a new cluster."""
