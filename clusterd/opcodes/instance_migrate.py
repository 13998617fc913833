"""Move a running instance to its other node without stopping it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from clusterd.opcodes.fields import (
    Iallocator,
    IgnoreIpolicy,
    InstanceName,
    TargetNode,
)
from jobqueue.opcode import Opcode


class InstanceMigrate(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_MIGRATE"):
    """Move a running instance to its other node without stopping it."""

    instance_name: InstanceName
    mode: Annotated[Literal["live", "non-live"] | None, Meta(description="how to migrate")] = None
    live: Annotated[bool | None, Meta(description="old form of mode")] = None
    target_node: TargetNode = None
    allow_runtime_changes: Annotated[
        bool, Meta(description="the guest may be ballooned to fit")
    ] = True
    ignore_ipolicy: IgnoreIpolicy = False
    cleanup: Annotated[bool, Meta(description="repair an interrupted migration instead")] = False
    iallocator: Iallocator = None
    allow_failover: Annotated[bool, Meta(description="fail over when the instance is down")] = False
    ignore_hvversions: Annotated[bool, Meta(description="do not compare hypervisor versions")] = (
        False
    )
