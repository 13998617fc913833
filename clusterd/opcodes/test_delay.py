"""Do nothing for a while."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from clusterd.opcodes import locking, requirements
from clusterd.opcodes.fields import (
    NodeName,
)
from clusterd.steps.cluster import Delay
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class TestDelay(Opcode, frozen=True, kw_only=True, tag="OP_TEST_DELAY"):
    """Do nothing for a while."""

    duration: Annotated[float, Meta(ge=0, description="seconds")]
    on_master: Annotated[bool, Meta(description="wait on the master")] = True
    on_nodes: Annotated[tuple[NodeName, ...], Meta(description="wait on these nodes")] = ()
    repeat: Annotated[int, Meta(ge=0, le=1000, description="how often to repeat")] = 0
    interruptible: Annotated[bool, Meta(description="accepted for compatibility")] = False
    no_locks: Annotated[bool, Meta(description="take no locks")] = True


def locks(opcode: TestDelay, view: View) -> Iterable[Lock]:
    """None, unless asked to behave like an operation on the nodes."""
    if opcode.no_locks:
        return ()
    nodes = [view.configuration.node(name) for name in opcode.on_nodes]
    return [BIG_LOCK_SHARED, *(locking.node_lock(node, shared=False) for node in nodes)]


def sights(opcode: TestDelay, view: View) -> Iterable[str]:
    """The nodes to wait on."""
    return [view.configuration.node(name).name for name in opcode.on_nodes]


def check(opcode: TestDelay, view: View) -> None:
    """The nodes exist and answer."""
    for name in opcode.on_nodes:
        requirements.node_online(view, view.configuration.node(name))


def plan(opcode: TestDelay, view: View) -> Sequence[Step]:
    """One wait a repetition, on the master and on each node."""
    once: list[Step] = []
    if opcode.on_master:
        once.append(Delay(duration_s=opcode.duration))
    for name in opcode.on_nodes:
        node = view.configuration.node(name).name
        once.append(Delay(duration_s=opcode.duration, node=node))
    return once * max(opcode.repeat, 1)


def shown(opcode: TestDelay) -> str:
    """What stands in the job's summary."""
    return f"{opcode.duration * 1e9:.0f} ns"


KIND = OpcodeKind(
    opcode=TestDelay,
    locks=locks,
    sights=sights,
    check=check,
    plan=plan,
    summary_field="duration",
    shown=shown,
)
