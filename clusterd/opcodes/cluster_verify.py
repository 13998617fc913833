"""Verify configuration, nodes and instances."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from jobqueue.opcode import Opcode


class ClusterVerify(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY"):
    """Verify configuration, nodes and instances."""

    debug_simulate_errors: bool = False
    error_codes: Annotated[bool, Meta(description="show codes for programs")] = False
    skip_checks: Annotated[tuple[str, ...], Meta(description="checks to leave out")] = ()
    ignore_errors: Annotated[tuple[str, ...], Meta(description="codes that count as warnings")] = ()
    verbose: Annotated[bool, Meta(description="say more")] = False
    group_name: Annotated[str | None, Meta(description="only this node group")] = None
    verify_clutter: bool = False
