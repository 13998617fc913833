"""Remove an instance with its disks."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    InstanceName,
    ShutdownTimeout,
)
from jobqueue.opcode import Opcode


class InstanceRemove(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_REMOVE"):
    """Remove an instance with its disks."""

    instance_name: InstanceName
    shutdown_timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    ignore_failures: Annotated[
        bool, Meta(description="forget it although parts could not be removed")
    ] = False
