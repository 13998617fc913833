"""Add a prepared node host to the cluster."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from clusterd.opcodes.fields import (
    NodeName,
    Params,
)
from jobqueue.opcode import Opcode


class NodeAdd(Opcode, frozen=True, kw_only=True, tag="OP_NODE_ADD"):
    """Add a prepared node host to the cluster."""

    node_name: NodeName
    primary_ip: Annotated[str | None, Meta(description="address for calls")] = None
    secondary_ip: Annotated[str | None, Meta(description="address for mirrors and migration")] = (
        None
    )
    readd: Annotated[bool, Meta(description="the node is known and was set up again")] = False
    group: Annotated[str | None, Meta(description="node group")] = None
    master_capable: Annotated[bool | None, Meta(description="may become master")] = None
    vm_capable: Annotated[bool | None, Meta(description="may hold instances")] = None
    ndparams: Annotated[Params, Meta(description="node parameters")] = {}
    hv_state: dict[str, Any] | None = None
    disk_state: dict[str, Any] | None = None
    node_setup: bool = False
    certificate: Annotated[
        str, Meta(description="fingerprint of the certificate delivered to it")
    ] = ""
