"""Verify the configuration."""

from __future__ import annotations

from jobqueue.opcode import Opcode


class ClusterVerifyConfig(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY_CONFIG"):
    """Verify the configuration."""

    debug_simulate_errors: bool = False
    error_codes: bool = False
    ignore_errors: tuple[str, ...] = ()
    verbose: bool = False
