"""Describe instances in detail."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from clusterd.opcodes.fields import (
    InstanceName,
)
from jobqueue.opcode import Opcode


class InstanceQueryData(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_QUERY_DATA"):
    """Describe instances in detail."""

    instances: Annotated[
        tuple[InstanceName, ...], Meta(description="instances; none means all")
    ] = ()
    use_locking: Annotated[bool, Meta(description="accepted for compatibility")] = False
    static: Annotated[bool, Meta(description="do not ask the nodes")] = False
