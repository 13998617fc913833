"""Start an instance."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    Beparams,
    Force,
    Hvparams,
    InstanceName,
    ShutdownTimeout,
)
from jobqueue.opcode import Opcode


class InstanceStartup(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_STARTUP"):
    """Start an instance."""

    instance_name: InstanceName
    force: Force = False
    ignore_offline_nodes: Annotated[
        bool, Meta(description="only mark it up when its primary node is offline")
    ] = False
    hvparams: Hvparams = {}
    beparams: Beparams = {}
    no_remember: Annotated[bool, Meta(description="do not record that it should be up")] = False
    startup_paused: Annotated[bool, Meta(description="leave the guest paused")] = False
    shutdown_timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
