"""Do nothing for a while."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from clusterd.opcodes.fields import (
    NodeName,
)
from jobqueue.opcode import Opcode


class TestDelay(Opcode, frozen=True, kw_only=True, tag="OP_TEST_DELAY"):
    """Do nothing for a while."""

    duration: Annotated[float, Meta(ge=0, description="seconds")]
    on_master: Annotated[bool, Meta(description="wait on the master")] = True
    on_nodes: Annotated[tuple[NodeName, ...], Meta(description="wait on these nodes")] = ()
    repeat: Annotated[int, Meta(ge=0, description="how often to repeat")] = 0
    interruptible: Annotated[bool, Meta(description="accepted for compatibility")] = False
    no_locks: Annotated[bool, Meta(description="take no locks")] = True
