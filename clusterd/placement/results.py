"""What placement answers: frozen values with a verdict for every node that was considered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from clusterd.placement.facts import Spec

KeepGoing = Callable[[], bool]
"""Asked now and then by what may take long; False ends the search with what was found so far."""


def forever() -> bool:
    """The KeepGoing without a limit."""
    return True


Reason = Literal[
    "memory",
    "disk",
    "cpu",
    "disk_count",
    "spindles",
    "exclusive",
    "n1",
    "global_n1",
    "tags",
    "migration",
    "policy",
    "offline",
    "drained",
    "not_vm_capable",
    "network",
    "group",
    "restricted",
    "own_node",
    "template",
    "alone",
]
"""Why a node was refused; ``spindles``: the policy's ratio, ``exclusive``: those of exclusive
storage, ``alone``: it fits, but there is no second node to go with it."""


class Refusal(msgspec.Struct, frozen=True):
    """One reason, as a code and as a sentence: ``memory short by 512 MiB``."""

    reason: Reason
    text: str


class NodeVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found about one node.

    ``verdict``: ``chosen`` (see ``role``), ``fits`` (``score`` is the cluster's if the best
    placement on this node were taken) or ``refused`` (``refusals`` says why, as primary first).
    """

    node: str
    group: str
    verdict: Literal["chosen", "fits", "refused"]
    role: Literal["primary", "secondary", ""] = ""
    score: float | None = None
    refusals: tuple[Refusal, ...] = ()

    def sentence(self) -> str:
        """For people: ``node2: refused: memory short by 512 MiB``."""
        if self.verdict == "refused":
            return f"{self.node}: refused: " + "; ".join(one.text for one in self.refusals)
        role = f" as {self.role}" if self.role else ""
        score = "" if self.score is None else f" (score {self.score:.8f})"
        return f"{self.node}: {self.verdict}{role}{score}"


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to allocate and allocate-secondary; ``nodes`` is empty when nothing fits."""

    name: str
    nodes: tuple[str, ...] = ()
    group: str = ""
    score: float | None = None
    """Of the whole cluster afterwards."""
    successes: int = 0
    """Placements that were possible."""
    failures: dict[str, int] = {}
    """Reason -> how many placements it ruled out."""
    verdicts: tuple[NodeVerdict, ...] = ()
    info: str = ""
    """One sentence that sums it up."""


class MultiAllocation(msgspec.Struct, frozen=True):
    """The answer to multi-allocate, in the order asked; later ones know of earlier ones."""

    allocations: tuple[Allocation, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names that found no place."""
        return tuple(one.name for one in self.allocations if not one.nodes)


MoveKind = Literal[
    "failover",
    "failover_to_any",
    "replace_secondary",
    "replace_primary",
    "replace_and_failover",
    "failover_and_replace",
]


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One instance changes nodes. ``steps`` in htools' letters: ``f``, ``r:node``, ``fa:node``."""

    instance: str
    kind: MoveKind
    old: tuple[str, ...]
    """Primary and, if mirrored, secondary."""
    new: tuple[str, ...]
    steps: tuple[str, ...]
    score: float
    """After it, in the order of the plan."""
    gain: float
    copied_mib: int
    """Disk contents that travel."""
    running: bool
    """True: failovers are live migrations."""


class JobSet(msgspec.Struct, frozen=True):
    """Moves (numbers into the plan) that may run at the same time: none shares a node with
    another. Sets run one after the other."""

    moves: tuple[int, ...]


class Evacuation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to relocate, node-evacuate and change-group."""

    moves: tuple[Move, ...] = ()
    """In order; an instance may need several."""
    placed: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """(instance, group uuid, nodes) of each that finds a new place."""
    failed: tuple[tuple[str, str], ...] = ()
    """(instance, why)"""
    job_sets: tuple[JobSet, ...] = ()
    verdicts: dict[str, tuple[NodeVerdict, ...]] = {}
    """Instance -> nodes."""
    score_before: float = 0.0
    score_after: float = 0.0


Ended = Literal["no_gain", "max_moves", "time", "good_enough"]
"""Why a search for moves ended; ``no_gain``: no move helps (enough) any more."""


class BalancePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to balance."""

    group: str
    moves: tuple[Move, ...]
    job_sets: tuple[JobSet, ...]
    score_before: float
    score_after: float
    components_before: dict[str, float]
    components_after: dict[str, float]
    copied_mib: int
    ended: Ended


class Fitted(msgspec.Struct, frozen=True):
    """``count`` instances of one size found room."""

    spec: Spec
    count: int


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the online nodes, as ``hspace`` shows them. MiB."""

    score: float
    instances: int
    memory_total: int
    memory_free: int
    memory_available: int
    """Free and not reserved for the failure of another node."""
    memory_reserved: int
    memory_instances: int
    memory_overhead: int
    memory_max_node: int
    disk_total: int
    disk_free: int
    disk_available: int
    disk_instances: int
    disk_max_node: int
    vcpus_total: int
    """The most that the policy allows."""
    vcpus_used: int
    vcpus_available: int
    vcpus_max_node: int
    cpus_total: int
    spindles_total: int
    spindles_available: int
    spindles_used: int
    spindles_max_node: int


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """How much more fits, of one flavour or from large to small (tiered)."""

    fitted: tuple[Fitted, ...]
    count: int
    failures: dict[str, int]
    """Why the next one does not fit: reason -> placements ruled out."""
    before: Resources
    after: Resources
    placements: tuple[tuple[str, ...], ...]
    """Nodes of each, in order."""


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that starts elsewhere after a loss; in the order of the plan."""

    instance: str
    node: str
    how: Literal["failover", "start"]
    """``failover``: its mirror is there; ``start``: its disks are shared."""
    ignored: tuple[Refusal, ...] = ()
    """Soft limits that were overstepped to have it run at all."""


class Lost(msgspec.Struct, frozen=True):
    """An instance that cannot run after a loss."""

    instance: str
    why: str


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """What a change would bring."""

    lost_nodes: tuple[str, ...]
    restarts: tuple[Restart, ...]
    lost: tuple[Lost, ...]
    degraded: tuple[str, ...]
    """Instances that run on without their mirror."""
    allocations: tuple[Allocation, ...]
    """Of the instances that were to be added."""
    score_before: float
    score_after: float
    n1_failing_before: tuple[str, ...]
    n1_failing_after: tuple[str, ...]
    """Nodes that could no longer take over for another."""


class RebootPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Batches of nodes that may be down together, in order; the master is in the last."""

    batches: tuple[tuple[str, ...], ...]
    moves: tuple[tuple[Move, ...], ...]
    """Per batch: what must leave before it goes down."""
    skipped: tuple[tuple[str, str], ...]
    """(node, why it is in no batch)"""


class SqueezePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes to power up or down, and what must move before."""

    action: Literal["none", "power_up", "power_down"]
    nodes: tuple[str, ...]
    plans: tuple[BalancePlan, ...]
    """One a group that changes: before powering down, after powering up."""
    text: str


class GroupCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Health of one group, in htools' counters."""

    group: str
    uuid: str
    n1_failing: tuple[str, ...]
    """Nodes."""
    globally_n1: bool
    """Whether each node could be evacuated."""
    conflicting_tags: int
    offline_primary: tuple[str, ...]
    """Instances."""
    offline_secondary: tuple[str, ...]
    score: float
    policy_violations: tuple[tuple[str, str], ...]
    """(node, what)"""
    needs_rebalance: bool
    after: BalancePlan | None = None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to check."""

    groups: tuple[GroupCheck, ...]
    split: tuple[str, ...]
    """Instances whose nodes are in two groups."""
    healthy: bool
