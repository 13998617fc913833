"""Change the role and parameters of a node."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from clusterd.opcodes.fields import (
    Force,
    NodeName,
    Params,
)
from jobqueue.opcode import Opcode


class NodeSetParams(Opcode, frozen=True, kw_only=True, tag="OP_NODE_SET_PARAMS"):
    """Change the role and parameters of a node."""

    node_name: NodeName
    force: Force = False
    master_candidate: Annotated[bool | None, Meta(description="keeps the state of the cluster")] = (
        None
    )
    offline: Annotated[bool | None, Meta(description="is out of order: do not call it")] = None
    drained: Annotated[bool | None, Meta(description="gets no new instances")] = None
    auto_promote: Annotated[
        bool, Meta(description="make another node master candidate if one is missing")
    ] = False
    master_capable: Annotated[bool | None, Meta(description="may become master")] = None
    vm_capable: Annotated[bool | None, Meta(description="may hold instances")] = None
    secondary_ip: Annotated[str | None, Meta(description="address for mirrors and migration")] = (
        None
    )
    ndparams: Annotated[Params | None, Meta(description="node parameters")] = None
    hv_state: dict[str, Any] | None = None
    disk_state: dict[str, Any] | None = None
    powered: Annotated[bool | None, Meta(description="recorded power state")] = None
