"""Let go of the disks of a stopped instance."""

from __future__ import annotations

from clusterd.opcodes.fields import (
    Force,
    InstanceName,
)
from jobqueue.opcode import Opcode


class InstanceDeactivateDisks(
    Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_DEACTIVATE_DISKS"
):
    """Let go of the disks of a stopped instance."""

    instance_name: InstanceName
    force: Force = False
