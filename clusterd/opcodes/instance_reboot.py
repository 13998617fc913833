"""Restart an instance."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from clusterd.opcodes.fields import (
    SHUTDOWN_TIMEOUT_S,
    InstanceName,
    ShutdownTimeout,
)
from jobqueue.opcode import Opcode


class InstanceReboot(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_REBOOT"):
    """Restart an instance."""

    instance_name: InstanceName
    reboot_type: Annotated[
        Literal["soft", "hard", "full"],
        Meta(
            description="soft: ask the guest; hard: reset; full: stop and start with current parameters"
        ),
    ]
    shutdown_timeout: ShutdownTimeout = SHUTDOWN_TIMEOUT_S
    ignore_secondaries: Annotated[
        bool, Meta(description="start although disks on the secondary node fail")
    ] = False
