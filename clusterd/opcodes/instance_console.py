"""Say how to reach the console of an instance."""

from __future__ import annotations

from clusterd.opcodes.fields import (
    InstanceName,
)
from jobqueue.opcode import Opcode


class InstanceConsole(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_CONSOLE"):
    """Say how to reach the console of an instance."""

    instance_name: InstanceName
