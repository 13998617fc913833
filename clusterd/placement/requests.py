"""A request as what it would take of a node, and whether policies let it be."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import INTERNAL_MIRROR, LOCAL, TEMPLATES, PolicyFacts, Spec
from clusterd.placement.model import Cluster
from clusterd.placement.options import Request
from clusterd.placement.tag_rules import desired_locations, exclusion_tags
from clusterd.placement.usage import (
    CPU,
    CPU_F,
    DISK,
    DISK_F,
    DISK_LOAD,
    LOAD,
    MEMORY,
    MEMORY_F,
    QUANTITIES,
    SPINDLES,
    SPINDLES_F,
    Item,
)
from clusterd.placement.validity import LARGEST_MIB

METADATA_MIB = 128
"""Of each mirrored disk."""


def require_possible(request: Request) -> None:
    """Raise BadRequest for sizes or templates that do not exist."""
    what = f"Instance {request.name}"
    if request.template not in TEMPLATES:
        known = ", ".join(TEMPLATES)
        raise BadRequest(f"{what}: unknown disk template {request.template!r}; known are {known}")
    if not request.name:
        raise BadRequest("An instance is asked for without a name")
    for name, size in (
        ("memory", request.memory_mib),
        ("virtual CPUs", request.vcpus),
        *(("disk", size) for size in request.disk_sizes_mib),
        ("disk", request.disk_mib or 0),
    ):
        if not 0 <= size <= LARGEST_MIB:
            raise BadRequest(f"{what}: {name} {size} is no possible size")


def usual_template(policy: PolicyFacts) -> str:
    """The first that a policy allows; raises BadRequest for a policy that allows none."""
    if not policy.templates:
        raise BadRequest("The cluster's instance policy allows no disk template: name one")
    return policy.templates[0]


def disk_mib(request: Request) -> int:
    """What its disks take on a node that holds them."""
    if request.disk_mib is not None:
        return request.disk_mib
    mirrored = request.template == INTERNAL_MIRROR
    return sum(request.disk_sizes_mib) + METADATA_MIB * mirrored * len(request.disk_sizes_mib)


def knows(cluster: Cluster, requests: Sequence[Request]) -> Cluster:
    """The cluster with numbers for the exclusion tags that only the requests have."""
    known = set(cluster.exclusion_tags)
    asked = {
        tag
        for request in requests
        for tag in exclusion_tags(cluster.exclusion_prefixes, request.tags)
    }
    new = tuple(sorted(asked - known))
    if not new:
        return cluster
    return msgspec.structs.replace(cluster, exclusion_tags=cluster.exclusion_tags + new)


def item_of(cluster: Cluster, request: Request) -> Item:
    """What it takes of a cluster that ``knows`` its tags."""
    local, mirrored = request.template in LOCAL, request.template == INTERNAL_MIRROR
    load = cluster.base_load
    primary = np.zeros(QUANTITIES)
    primary[[MEMORY, MEMORY_F]] = -request.memory_mib * np.array([request.running, True])
    primary[[DISK, DISK_F]] = -disk_mib(request) if local else 0.0
    primary[[CPU, CPU_F]] = request.vcpus
    primary[LOAD] = load.cpu, load.memory, load.disk, load.network
    primary[[SPINDLES, SPINDLES_F]] = request.spindle_use if local else 0.0
    secondary = np.zeros(QUANTITIES)
    if mirrored:
        shared = [DISK, DISK_F, DISK_LOAD, SPINDLES, SPINDLES_F]
        secondary[shared] = primary[shared]
    numbers = {tag: row for row, tag in enumerate(cluster.exclusion_tags)}
    labels = {label: row for row, label in enumerate(cluster.location_labels)}
    return Item(
        primary=primary,
        secondary=secondary,
        reserve=float(request.memory_mib) if mirrored else 0.0,
        takeover=float(request.memory_mib * request.running),
        exclusion=tuple(
            numbers[tag]
            for tag in exclusion_tags(cluster.exclusion_prefixes, request.tags)
            if tag in numbers
        ),
        desired=tuple(
            labels.get(tag, -1)
            for tag in sorted(desired_locations(cluster.facts.tags, request.tags))
        ),
        counts=True,
        spindles=_spindles(request) if local else 0.0,
    )


def _spindles(request: Request) -> float:
    return -1.0 if request.spindles is None else float(request.spindles)


def spec_of(request: Request) -> Spec:
    """Its sizes as a policy sees them."""
    return Spec(
        memory_mib=request.memory_mib,
        vcpus=request.vcpus,
        disk_mib=max(request.disk_sizes_mib, default=0),
        disks=len(request.disk_sizes_mib),
        nics=request.nics,
        spindles=request.spindle_use,
    )


BOUNDS = {
    "memory_mib": "memory-size",
    "vcpus": "cpu-count",
    "disk_mib": "disk-size",
    "disks": "disk-count",
    "nics": "nic-count",
    "spindles": "spindle-use",
}


def policy_faults(policy: PolicyFacts, request: Request) -> list[str]:
    """Why the policy refuses it; an instance must fit one of the ranges."""
    if request.template not in policy.templates:
        return [f"disk template {request.template} is not allowed"]
    faults = [_outside(request, low, high) for low, high in policy.ranges]
    return [] if not all(faults) else min(faults, key=len)


def _outside(request: Request, low: Spec, high: Spec) -> list[str]:
    spec, found = spec_of(request), []
    skipped = () if request.disk_sizes_mib else ("disk_mib", "disks")
    smallest = min(request.disk_sizes_mib, default=0)
    for field, name in BOUNDS.items():
        if field in skipped:
            continue
        value = getattr(spec, field)
        least = smallest if field == "disk_mib" else value
        if not getattr(low, field) <= least or value > getattr(high, field):
            found.append(
                f"{name} {value} is not in {getattr(low, field)} to {getattr(high, field)}"
            )
    return found
