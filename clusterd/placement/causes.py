"""Why placements fail, in htools' kinds of failure, and which size each is mended by. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from clusterd.placement.facts import PolicyFacts, Spec
from clusterd.placement.options import Request
from clusterd.placement.results import Reason

KINDS = ("Mem", "Disk", "CPU", "N1", "Tags", "Mig", "DiskCount", "Spindles", "Internal")
"""In htools' order, which decides between equal counts."""
KIND_OF: Mapping[str, str] = {
    "memory": "Mem",
    "n1": "Mem",
    "disk": "Disk",
    "spindles": "Disk",
    "template": "Disk",
    "cpu": "CPU",
    "global_n1": "N1",
    "tags": "Tags",
    "migration": "Mig",
    "disk_count": "DiskCount",
    "exclusive": "Spindles",
}
MENDED_BY = {
    "Mem": "memory_mib",
    "Disk": "disk_mib",
    "CPU": "vcpus",
    "Spindles": "spindles",
}
"""Kind -> the size of an instance that helps when it is smaller; for N+1 htools tries none."""


def counted(failures: Mapping[str, int]) -> dict[str, int]:
    """Reasons as kinds: all of them, in order."""
    found = dict.fromkeys(KINDS, 0)
    for reason, count in failures.items():
        found[KIND_OF.get(reason, "Internal")] += count
    return found


def policy_cause(policy: PolicyFacts, request: Request, *, exclusive: bool) -> Reason | None:
    """What htools tells of an instance that a policy refuses; None: it is allowed. Of several
    ranges the first one's refusal is told. Networks and cards do not count."""
    refusals = [_outside(request, low, high, exclusive) for low, high in policy.ranges]
    if refusals and all(refusals):
        return refusals[0]
    return None if request.template in policy.templates else "template"


def _outside(request: Request, low: Spec, high: Spec, exclusive: bool) -> Reason | None:
    spindles = (request.spindles or 0) if exclusive else request.spindle_use
    disk = request.disk_sizes_mib
    diskless = request.template == "diskless"
    rows: tuple[tuple[Reason, tuple[int, ...], int, int], ...] = (
        ("memory", (request.memory_mib,), low.memory_mib, high.memory_mib),
        ("disk", disk, low.disk_mib, high.disk_mib),
        ("cpu", (request.vcpus,), low.vcpus, high.vcpus),
        ("exclusive", (spindles,), low.spindles, high.spindles),
        ("disk_count", () if diskless else (len(disk),), low.disks, high.disks),
    )
    for reason, values, least, _most in rows:
        if any(value < least for value in values):
            return reason
    for reason, values, _least, most in rows:
        if any(value > most for value in values):
            return reason
    return None
