"""Verify configuration, nodes and instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from clusterd.opcodes import locking, moving, requirements
from clusterd.opcodes.cluster_verify_config import ClusterVerifyConfig
from clusterd.opcodes.cluster_verify_group import ClusterVerifyGroup
from clusterd.steps.cluster import submit
from clusterd.verification_codes import require_known
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ClusterVerify(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_VERIFY"):
    """Verify configuration, nodes and instances."""

    debug_simulate_errors: bool = False
    error_codes: Annotated[bool, Meta(description="show codes for programs")] = False
    skip_checks: Annotated[tuple[str, ...], Meta(description="checks to leave out")] = ()
    ignore_errors: Annotated[tuple[str, ...], Meta(description="codes that count as warnings")] = ()
    verbose: Annotated[bool, Meta(description="say more")] = False
    group_name: Annotated[str | None, Meta(description="only this node group")] = None
    verify_clutter: bool = False


def check(opcode: ClusterVerify, view: View) -> None:
    """Nothing is asked for that is not looked at, the codes and the group exist."""
    requirements.served(
        {
            "simulated errors": opcode.debug_simulate_errors,
            "looking for superfluous keys of SSH": opcode.verify_clutter,
        }
    )
    require_known(opcode.ignore_errors)
    if opcode.group_name:
        view.configuration.group(opcode.group_name)


def plan(opcode: ClusterVerify, view: View) -> Sequence[Step]:
    """One job for the configuration, one a group that waits for it."""
    groups = [view.configuration.group(opcode.group_name)] if opcode.group_name else None
    jobs: list[list[Opcode]] = []
    if groups is None:
        groups = list(view.configuration.groups())
        jobs.append(
            [
                ClusterVerifyConfig(
                    error_codes=opcode.error_codes,
                    ignore_errors=opcode.ignore_errors,
                    verbose=opcode.verbose,
                    debug_simulate_errors=opcode.debug_simulate_errors,
                )
            ]
        )
    first = len(jobs)
    for at, group in enumerate(groups):
        # offsets reach no further back than the step that submits
        depends = ((-(at + 1), ()),) if first and at + first < moving.JOBS_A_STEP else None
        jobs.append(
            [
                ClusterVerifyGroup(
                    group_name=group.name,
                    depends=depends,
                    error_codes=opcode.error_codes,
                    ignore_errors=opcode.ignore_errors,
                    skip_checks=opcode.skip_checks,
                    verbose=opcode.verbose,
                    debug_simulate_errors=opcode.debug_simulate_errors,
                )
            ]
        )
    return moving.in_portions(submit(jobs).jobs)


KIND = OpcodeKind(
    opcode=ClusterVerify,
    locks=locking.cluster_shared,
    check=check,
    plan=plan,
    result=moving.jobs_result,
)
