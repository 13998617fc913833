"""Say how to reach the console of an instance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from clusterd.opcodes import locking, requirements
from clusterd.opcodes.fields import (
    InstanceName,
)
from clusterd.steps.guests import DescribeConsole
from clusterd.view import View
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceConsole(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_CONSOLE"):
    """Say how to reach the console of an instance."""

    instance_name: InstanceName


def sights(opcode: InstanceConsole, view: View) -> Iterable[str]:
    """The primary node."""
    return [view.primary(view.configuration.instance(opcode.instance_name)).name]


def check(opcode: InstanceConsole, view: View) -> None:
    """Its node answers and it runs."""
    instance = view.configuration.instance(opcode.instance_name)
    node = view.primary(instance)
    requirements.node_online(view, node)
    if not requirements.runs(view, instance):
        raise Refused(f"Instance {instance.name} is not running", "wrong_state")


def plan(opcode: InstanceConsole, view: View) -> Sequence[Step]:
    """Ask the hypervisor."""
    instance = view.configuration.instance(opcode.instance_name)
    return [DescribeConsole(instance=instance.uuid, node=view.primary(instance).name)]


def result(_opcode: InstanceConsole, _view: View, outputs: Sequence[Any]) -> Any:
    """Ganeti's console object: kind, message, command, host, port, user, instance."""
    return outputs[-1]


KIND = OpcodeKind(
    opcode=InstanceConsole,
    locks=locking.look_at_instance,
    sights=sights,
    check=check,
    plan=plan,
    result=result,
    summary_field="instance_name",
)
