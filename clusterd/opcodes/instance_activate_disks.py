"""Make the disks of an instance usable on its nodes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from clusterd.opcodes.fields import (
    InstanceName,
)
from jobqueue.opcode import Opcode


class InstanceActivateDisks(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_ACTIVATE_DISKS"):
    """Make the disks of an instance usable on its nodes."""

    instance_name: InstanceName
    ignore_size: Annotated[bool, Meta(description="do not compare recorded and real sizes")] = False
    wait_for_sync: Annotated[bool, Meta(description="wait until mirrors are complete")] = False
