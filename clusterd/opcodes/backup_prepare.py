"""Prepare an export, which for exports to nodes of this cluster is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from clusterd.opcodes import locking, requirements
from clusterd.opcodes.backup_export import ELSEWHERE
from clusterd.opcodes.fields import InstanceName
from clusterd.view import View
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class BackupPrepare(Opcode, frozen=True, kw_only=True, tag="OP_BACKUP_PREPARE"):
    """Prepare an export of an instance."""

    instance_name: InstanceName
    mode: Annotated[Literal["local", "remote"], Meta(description="local: to a node")]


def check(opcode: BackupPrepare, view: View) -> None:
    """The instance is there."""
    view.configuration.instance(opcode.instance_name)
    requirements.served({ELSEWHERE: opcode.mode != "local"})


def plan(_opcode: BackupPrepare, _view: View) -> Sequence[Step]:
    """Nothing to do; the result is null, as in Ganeti."""
    return []


KIND = OpcodeKind(
    opcode=BackupPrepare,
    locks=locking.look_at_instance,
    check=check,
    plan=plan,
    summary_field="instance_name",
)
