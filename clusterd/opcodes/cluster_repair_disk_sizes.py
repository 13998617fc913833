"""Correct the recorded sizes of disks by what nodes find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from msgspec import Meta

from clusterd.model import Instance
from clusterd.opcodes import locking, requirements
from clusterd.steps.disk_changes import RepairSizes
from clusterd.view import View
from jobqueue.lock import BIG_LOCK_SHARED, Lock
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step


class ClusterRepairDiskSizes(Opcode, frozen=True, kw_only=True, tag="OP_CLUSTER_REPAIR_DISK_SIZES"):
    """Correct the recorded sizes of disks by what nodes find."""

    instances: Annotated[tuple[str, ...], Meta(description="only these instances; none: all")] = ()


def chosen(opcode: ClusterRepairDiskSizes, view: View) -> list[Instance]:
    """The instances that are looked at."""
    if opcode.instances:
        return [view.configuration.instance(name) for name in opcode.instances]
    return [one for one in view.configuration.instances() if view.reachable(view.primary(one))]


def locks(opcode: ClusterRepairDiskSizes, view: View) -> Iterable[Lock]:
    """The instances' disks must stay what they are."""
    names = sorted({instance.name for instance in chosen(opcode, view)})
    return [BIG_LOCK_SHARED, *(locking.instance_lock(name) for name in names)]


def check(opcode: ClusterRepairDiskSizes, view: View) -> None:
    """The primary nodes of the instances that were named answer."""
    for instance in chosen(opcode, view) if opcode.instances else ():
        requirements.node_online(view, view.primary(instance))


def plan(opcode: ClusterRepairDiskSizes, view: View) -> Sequence[Step]:
    """One look and one write an instance."""
    return [
        RepairSizes(instance=instance.uuid, node=view.primary(instance).name)
        for instance in chosen(opcode, view)
        if instance.disks
    ]


def result(_opcode: ClusterRepairDiskSizes, _view: View, outputs: Sequence[Any]) -> Any:
    """[[instance, disk, "size", MiB]]"""
    return [row for rows in outputs for row in rows or ()]


KIND = OpcodeKind(opcode=ClusterRepairDiskSizes, locks=locks, check=check, plan=plan, result=result)
