"""The allocator that comes with clusterd: the requests of the protocol, answered by placement.

Blocking and pure: it is handed the whole cluster as facts and answers a value, so it may be
computed in any thread, for a live cluster or for a request in a file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from clusterd.iallocator import moves
from clusterd.iallocator.answers import Answer, Considered, Verdict
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
from clusterd.names import DEFAULT_IALLOCATOR
from clusterd.placement import allocate, evacuate, mirror, model, options
from clusterd.placement.facts import TEMPLATES, ClusterFacts
from clusterd.placement.results import Allocation, Evacuation, NodeVerdict

STRICT = options.Options()
"""What every choice must keep to."""


def answer(
    facts: ClusterFacts,
    request: Request,
    tuning: model.Tuning | None = None,
    strict: options.Options = STRICT,
) -> Answer:
    """Compute; raises Refused for what cannot be understood. ``strict``: how strict to be beside
    what the request says of itself."""
    return _ANSWERS[type(request)](model.build(facts, tuning), request, strict)


def wanted(instance: NewInstance) -> options.Request:
    """A new instance as placement is asked for it."""
    template = instance.disk_template
    return options.Request(
        name=instance.name,
        memory_mib=instance.memory_mib,
        vcpus=instance.vcpus,
        disk_sizes_mib=instance.disk_sizes_mib,
        disk_mib=instance.disk_total_mib,
        template=template if template in TEMPLATES else "file",
        spindle_use=instance.spindle_use,
        spindles=instance.spindles,
        tags=instance.tags,
        nics=len(instance.nics),
        networks=instance.networks,
        group=instance.group,
    )


def _options(
    cluster: model.Cluster, request: Request, strict: options.Options, *, soft: bool = False
) -> options.Options:
    left = None
    if request.excluded:
        left = tuple(name for name in cluster.nodes.names if name not in request.excluded)
    return msgspec.structs.replace(
        strict, restrict_to=left, ignore_soft_errors=soft or strict.ignore_soft_errors
    )


def _allocate(cluster: model.Cluster, request: Allocate, strict: options.Options) -> Answer:
    found = allocate.allocate(cluster, wanted(request.instance), _options(cluster, request, strict))
    info = found.info
    if found.nodes:
        group = next(one.name for one in cluster.facts.groups if one.uuid == found.group)
        info = f"Selected group: {group}, {info.replace(': score ', ': score: ', 1)}"
    return Answer(nodes=found.nodes, info=info, considered=(_considered(found, request.excluded),))


def _multi_allocate(
    cluster: model.Cluster, request: MultiAllocate, strict: options.Options
) -> Answer:
    asked = [wanted(one) for one in request.instances]
    found = allocate.multi_allocate(cluster, asked, _options(cluster, request, strict)).allocations
    allocated = tuple((one.name, one.nodes) for one in found if one.nodes)
    failed = tuple((one.name, one.info) for one in found if not one.nodes)
    return Answer(
        allocated=allocated,
        failed=failed,
        info=f"{len(failed)} instances failed to allocate and {len(allocated)} were allocated "
        f"successfully",
        considered=tuple(_considered(one, request.excluded) for one in found),
    )


def _relocate(cluster: model.Cluster, request: Relocate, strict: options.Options) -> Answer:
    found = evacuate.relocate(
        cluster, request.name, request.relocate_from, _options(cluster, request, strict)
    )
    old = cluster.facts.instances[cluster.instance(request.name)]
    nodes = tuple(
        node
        for _name, _group, placed in found.placed
        for node in placed
        if node not in (old.primary, old.secondary)
    )
    why = "; ".join(text for _name, text in found.failed)
    return Answer(nodes=nodes, info=why or "success", considered=_all_considered(found, request))


def _secondary(
    cluster: model.Cluster, request: AllocateSecondary, strict: options.Options
) -> Answer:
    found = mirror.allocate_secondary(cluster, request.name, _options(cluster, request, strict))
    old = cluster.facts.instances[cluster.instance(request.name)]
    return Answer(
        nodes=tuple(node for node in found.nodes if node != old.primary),
        info=found.info,
        considered=(_considered(found, request.excluded),),
    )


def _evacuate(cluster: model.Cluster, request: NodeEvacuate, strict: options.Options) -> Answer:
    soft = request.ignore_soft_errors
    chosen = _options(cluster, request, strict, soft=soft)
    found = evacuate.evacuate(cluster, request.instances, request.mode, chosen)
    return _moved(cluster, found, request)


def _change_group(cluster: model.Cluster, request: ChangeGroup, strict: options.Options) -> Answer:
    chosen = _options(cluster, request, strict)
    found = evacuate.change_group(cluster, request.instances, request.target_groups, chosen)
    return _moved(cluster, found, request)


def _moved(cluster: model.Cluster, found: Evacuation, request: Request) -> Answer:
    names = {group.uuid: group.name for group in cluster.facts.groups}
    placed = tuple((name, names.get(group, group), nodes) for name, group, nodes in found.placed)
    return Answer(
        moved=placed,
        failed=found.failed,
        jobs=moves.jobs(found),
        info=f"{len(found.failed)} instances failed to move and {len(placed)} were moved "
        f"successfully",
        considered=_all_considered(found, request),
    )


_ANSWERS: dict[Any, Callable[[model.Cluster, Any, options.Options], Answer]] = {
    Allocate: _allocate,
    MultiAllocate: _multi_allocate,
    AllocateSecondary: _secondary,
    Relocate: _relocate,
    NodeEvacuate: _evacuate,
    ChangeGroup: _change_group,
}


def _considered(found: Allocation, excluded: dict[str, str]) -> Considered:
    return Considered(
        instance=found.name,
        allocator=DEFAULT_IALLOCATOR,
        chosen=found.nodes,
        info=found.info,
        nodes=tuple(verdict(one) for one in found.verdicts if one.node not in excluded),
    )


def _all_considered(found: Evacuation, request: Request) -> tuple[Considered, ...]:
    placed = {name: nodes for name, _group, nodes in found.placed}
    failed = dict(found.failed)
    return tuple(
        Considered(
            instance=name,
            allocator=DEFAULT_IALLOCATOR,
            chosen=placed.get(name, ()),
            info=failed.get(name, ""),
            nodes=tuple(verdict(one) for one in nodes if one.node not in request.excluded),
        )
        for name, nodes in found.verdicts.items()
    )


def verdict(found: NodeVerdict) -> Verdict:
    """As it is kept with a job."""
    return Verdict(
        node=found.node,
        verdict=found.verdict,
        role=found.role,
        score=found.score,
        text="; ".join(one.text for one in found.refusals),
    )
