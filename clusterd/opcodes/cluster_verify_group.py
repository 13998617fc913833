"""Verify the nodes and instances of one group."""

from __future__ import annotations

from clusterd.opcodes.fields import (
    GroupName,
)
from jobqueue.opcode import Opcode


class ClusterVerifyGroup(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY_GROUP"):
    """Verify the nodes and instances of one group."""

    group_name: GroupName
    debug_simulate_errors: bool = False
    error_codes: bool = False
    skip_checks: tuple[str, ...] = ()
    ignore_errors: tuple[str, ...] = ()
    verbose: bool = False
    verify_clutter: bool = False
