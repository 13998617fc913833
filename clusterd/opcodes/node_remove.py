"""Remove a node from the cluster."""

from __future__ import annotations

from clusterd.opcodes.fields import (
    NodeName,
)
from jobqueue.opcode import Opcode


class NodeRemove(Opcode, frozen=True, kw_only=True, tag="OP_NODE_REMOVE"):
    """Remove a node from the cluster."""

    node_name: NodeName
