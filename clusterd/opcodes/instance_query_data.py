"""Describe instances in detail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd.model import Instance
from clusterd.opcodes import locking
from clusterd.opcodes.fields import (
    InstanceName,
)
from clusterd.queries import instance_detail
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class InstanceQueryData(Opcode, frozen=True, kw_only=True, tag="OP_INSTANCE_QUERY_DATA"):
    """Describe instances in detail."""

    instances: Annotated[
        tuple[InstanceName, ...], Meta(description="instances; none means all")
    ] = ()
    use_locking: Annotated[bool, Meta(description="accepted for compatibility")] = False
    static: Annotated[bool, Meta(description="do not ask the nodes")] = False


def locks(opcode: InstanceQueryData, view: View) -> Iterable[Lock]:
    """The named instances, shared, if locking is asked for."""
    if not opcode.use_locking:
        return ()
    return [
        BIG_LOCK_SHARED,
        *(locking.instance_lock(i.name, shared=True) for i in named(opcode, view)),
    ]


def named(opcode: InstanceQueryData, view: View) -> list[Instance]:
    """The instances asked for, or all."""
    if not opcode.instances:
        return list(view.configuration.instances())
    return [view.configuration.instance(name) for name in opcode.instances]


def sights(opcode: InstanceQueryData, view: View) -> Iterable[str]:
    """The nodes of the instances, unless static data are enough."""
    if opcode.static:
        return []
    nodes = {node.name for i in named(opcode, view) for node in view.nodes_of(i)}
    return sorted(nodes)


def check(opcode: InstanceQueryData, view: View) -> None:
    """The instances exist."""
    named(opcode, view)


def plan(_opcode: InstanceQueryData, _view: View) -> Sequence[Step]:
    """Nothing to do: the answer is in memory."""
    return []


def result(opcode: InstanceQueryData, view: View, _outputs: Sequence[Any]) -> Any:
    """{name: details}"""
    return {
        instance.name: instance_detail.detail(view, instance, static=opcode.static)
        for instance in named(opcode, view)
    }


KIND = OpcodeKind(
    opcode=InstanceQueryData,
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    result=result,
)
