"""Stop an instance."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    Force,
    InstanceName,
    ShutdownTimeout,
)
from jobqueue.opcode import Opcode


class InstanceShutdown(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_SHUTDOWN"):
    """Stop an instance."""

    instance_name: InstanceName
    force: Force = False
    ignore_offline_nodes: Annotated[
        bool, Meta(description="only mark it down when its primary node is offline")
    ] = False
    timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    no_remember: Annotated[bool, Meta(description="do not record that it should be down")] = False
    admin_state_source: Literal["admin", "user"] | None = None
