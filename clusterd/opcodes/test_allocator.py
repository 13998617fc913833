"""Ask an allocator without acting on its answer, or show what it would be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from clusterd.iallocator import data, render
from clusterd.iallocator.answers import Answer
from clusterd.iallocator.choice import Choice, Taken, allocator_name, node_excluded
from clusterd.iallocator.requests import (
    Allocate,
    AllocateSecondary,
    ChangeGroup,
    MultiAllocate,
    NewInstance,
    NodeEvacuate,
    Relocate,
    Request,
)
from clusterd.opcodes import locking
from clusterd.opcodes.fields import Iallocator
from clusterd.steps.cluster import Note
from clusterd.view import View
from clusterd.volumes import has_mirror, overhead_mib
from jobqueue.errors import Refused
from jobqueue.opcode import Opcode, OpcodeKind
from jobqueue.step import Step
from jobqueue.surroundings import Chosen

Mode = Literal[
    "relocate",
    "change-group",
    "node-evacuate",
    "allocate",
    "multi-allocate",
    "allocate-secondary",
]


class TestAllocator(Opcode, frozen=True, kw_only=True, tag="OP_TEST_ALLOCATOR"):
    """Ask an allocator without acting on its answer, or show what it would be asked."""

    direction: Annotated[
        Literal["in", "out"], Meta(description="in: show the request; out: show the answer")
    ]
    mode: Annotated[Mode, Meta(description="kind of request")]
    name: Annotated[str, Meta(min_length=1, description="name of the instance")]
    nics: tuple[dict[str, Any], ...] | None = None
    disks: tuple[dict[str, Any], ...] | None = None
    hypervisor: str | None = None
    iallocator: Iallocator = None
    tags: tuple[str, ...] = ()
    memory: Annotated[int, Meta(ge=0, description="MiB")] | None = None
    vcpus: Annotated[int, Meta(ge=0)] | None = None
    os: str | None = None
    disk_template: str | None = None
    instances: tuple[str, ...] | None = None
    evac_mode: Literal["primary-only", "secondary-only", "all"] | None = None
    target_groups: tuple[str, ...] | None = None
    spindle_use: Annotated[int, Meta(ge=0)] = 1
    count: Annotated[int, Meta(ge=1, le=100)] = 1
    group_name: str | None = None


def request(opcode: TestAllocator, view: View, taken: Taken | None = None) -> Request:
    """What the allocator is asked; raises Refused."""
    configuration = view.configuration
    excluded = node_excluded(view, taken or {})
    if opcode.mode == "allocate":
        return Allocate(instance=_new(opcode, view, opcode.name), excluded=excluded)
    if opcode.mode == "multi-allocate":
        new = tuple(_new(opcode, view, f"{opcode.name}{n}") for n in range(opcode.count))
        return MultiAllocate(instances=new, excluded=excluded)
    if opcode.mode in ("relocate", "allocate-secondary"):
        instance = configuration.instance(opcode.name)
        if opcode.mode == "allocate-secondary":
            return AllocateSecondary(name=instance.name, excluded=excluded)
        second = view.secondary(instance) or view.primary(instance)
        return Relocate(
            name=instance.name,
            relocate_from=(second.name,),
            disk_total_mib=data.disk_total_mib(instance),
            excluded=excluded,
        )
    names = tuple(configuration.instance(name).name for name in opcode.instances or (opcode.name,))
    if opcode.mode == "node-evacuate":
        return NodeEvacuate(instances=names, mode=opcode.evac_mode or "all", excluded=excluded)
    groups = tuple(configuration.group(name).uuid for name in opcode.target_groups or ())
    return ChangeGroup(instances=names, target_groups=groups, excluded=excluded)


def _new(opcode: TestAllocator, view: View, name: str) -> NewInstance:
    if view.configuration.find_instance(name) is not None:
        raise Refused(f"Instance '{name}' already in the cluster", "already_exists")
    for field in ("memory", "disks", "disk_template", "vcpus", "os", "nics"):
        if getattr(opcode, field) is None:
            raise Refused(f"Missing attribute '{field}' on opcode input", "wrong_input")
    template = opcode.disk_template or ""
    sizes = tuple(_size(index, disk) for index, disk in enumerate(opcode.disks or ()))
    group = view.configuration.group(opcode.group_name).uuid if opcode.group_name else None
    return NewInstance(
        name=name,
        disk_template=template,
        vcpus=opcode.vcpus or 0,
        memory_mib=opcode.memory or 0,
        disk_sizes_mib=sizes,
        disk_modes=tuple(str(disk.get("mode", "rw")) for disk in opcode.disks or ()),
        disk_total_mib=sum(sizes) + len(sizes) * overhead_mib(template),
        nics=opcode.nics or (),
        spindle_use=opcode.spindle_use,
        os=opcode.os or "",
        hypervisor=opcode.hypervisor or view.configuration.cluster.enabled_hypervisors[0],
        tags=opcode.tags,
        required_nodes=2 if has_mirror(template) else 1,
        group=group,
    )


def _size(index: int, disk: dict[str, Any]) -> int:
    size = disk.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size <= 0:
        raise Refused(f"Disk {index}: invalid size {size!r}", "wrong_input")
    return size


def wanted(opcode: TestAllocator, view: View, taken: Taken) -> Request | None:
    """The request, unless it is only to be shown."""
    asked = request(opcode, view, taken)
    return asked if opcode.direction == "out" else None


def settle(opcode: TestAllocator, view: View, answer: Answer) -> Chosen:
    """The answer is the result."""
    text = answer.text or render.answer_text(request(opcode, view), answer)
    chosen = msgspec.structs.replace(opcode, iallocator=allocator_name(view, opcode.iallocator))
    return Chosen(opcode=chosen, steps=(Note(value=text),))


def plan(opcode: TestAllocator, view: View) -> Sequence[Step]:
    """The request is the result."""
    return [Note(value=data.request_text(view, request(opcode, view)))]


def result(_opcode: TestAllocator, _view: View, outputs: Sequence[Any]) -> Any:
    """The text."""
    return outputs[-1]


KIND = OpcodeKind(
    opcode=TestAllocator,
    choice=Choice(wanted=wanted, settle=settle),
    locks=locking.cluster_shared,
    plan=plan,
    result=result,
    summary_field="iallocator",
)
