"""Stop an instance and start it on its other node."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    Iallocator,
    IgnoreIpolicy,
    InstanceName,
    ShutdownTimeout,
    TargetNode,
)
from jobqueue.opcode import Opcode


class InstanceFailover(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_FAILOVER"):
    """Stop an instance and start it on its other node."""

    instance_name: InstanceName
    shutdown_timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    ignore_consistency: Annotated[
        bool,
        Meta(
            description="go on although the other copy is not up to date or the source node does not answer"
        ),
    ] = False
    target_node: TargetNode = None
    ignore_ipolicy: IgnoreIpolicy = False
    cleanup: Annotated[bool, Meta(description="repair an interrupted failover instead")] = False
    iallocator: Iallocator = None
