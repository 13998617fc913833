"""Verify the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clusterd.opcodes import locking
from clusterd.steps.verification import VerifyConfiguration
from clusterd.verification_codes import require_known
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ClusterVerifyConfig(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY_CONFIG"):
    """Verify the configuration."""

    debug_simulate_errors: bool = False
    error_codes: bool = False
    ignore_errors: tuple[str, ...] = ()
    verbose: bool = False


def check(opcode: ClusterVerifyConfig, _view: View) -> None:
    """The codes exist."""
    require_known(opcode.ignore_errors)


def plan(opcode: ClusterVerifyConfig, _view: View) -> Sequence[Step]:
    """One look at the configuration."""
    return [VerifyConfiguration(error_codes=opcode.error_codes, ignore_errors=opcode.ignore_errors)]


def result(_opcode: ClusterVerifyConfig, _view: View, outputs: Sequence[Any]) -> Any:
    """True when nothing is wrong."""
    return bool(outputs[-1])


KIND = OpcodeKind(
    opcode=ClusterVerifyConfig,
    locks=locking.cluster_shared,
    check=check,
    plan=plan,
    result=result,
)
