"""What is asked of placement, beside the cluster itself."""

from __future__ import annotations

from typing import Literal

import msgspec

from clusterd.placement.facts import NodeFacts, Spec

EvacuationMode = Literal["primary-only", "secondary-only", "all"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How strict to be."""

    capacity_checks: bool = True
    """Refuse what would leave a node whose instances could not all restart elsewhere."""
    ignore_soft_errors: bool = False
    """Overstep N+1, ratios and exclusion tags (never memory, disk or mirrors)."""
    accept_existing_errors: bool = False
    """Offline nodes do not count in the capacity checks."""
    unchecked_groups: tuple[str, ...] = ()
    """uuids of groups that do not count in the capacity checks."""
    restrict_to: tuple[str, ...] | None = None
    """Nodes; None is all."""
    as_htools: bool = False
    """Whether nodes can be emptied is asked in htools' own way, which finds fewer ways."""
    verdicts: bool = True
    """False spares the explanations, for callers that place thousands."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A new instance."""

    name: str
    memory_mib: int
    vcpus: int
    disk_sizes_mib: tuple[int, ...]
    disk_mib: int | None = None
    """What the disks take on a node; None: 128 MiB more a disk when mirrored, else their sum."""
    template: str = "drbd"
    spindle_use: int = 1
    spindles: int | None = None
    tags: tuple[str, ...] = ()
    nics: int = 1
    networks: tuple[str, ...] = ()
    """uuids; a group that is not connected to one is refused."""
    group: str | None = None
    """Name or uuid; None: the best by allocation policy and score."""
    running: bool = True


class BalanceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What balance may do. The defaults are htools'."""

    group: str = ""
    """Name or uuid; may be empty when there is one group."""
    max_moves: int | None = None
    min_score: float = 1e-9
    """Good enough: no move is sought below."""
    min_gain: float = 0.01
    min_gain_limit: float = 0.1
    """Below this score a move must gain ``min_gain``."""
    disk_moves: bool = True
    instance_moves: bool = True
    evac_mode: bool = False
    """Move only what is on offline or drained nodes."""
    restricted_migration: bool = False
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    cost_per_gib: float = 0.0
    """Score that a move must gain for each GiB it copies."""
    ignore_soft_errors: bool = False


class CapacityOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Of what size; None is the policy's own (standard, or the largest for tiered)."""

    spec: Spec | None = None
    template: str = "drbd"
    tiered: bool = False
    limit: int | None = None
    all_nodes: bool = False
    """Offline nodes count among the resources, as in ``hspace``."""
    as_hspace: bool = False
    """The very sizes that ``hspace`` would take, where it would stop and where it miscounts; with
    ``options.as_htools`` also where it sees no way to empty a node."""
    spindle_use: int | None = None
    """Of each instance; None: the policy's standard."""
    closed_groups: tuple[str, ...] = ()
    """uuids of groups that get nothing."""
    options: Options = Options()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What if: all of these at once."""

    lose_nodes: tuple[str, ...] = ()
    lose_node_tags: tuple[str, ...] = ()
    """Every node with one of these tags (a rack)."""
    lose_groups: tuple[str, ...] = ()
    add_nodes: tuple[NodeFacts, ...] = ()
    add_instances: tuple[Request, ...] = ()
    options: Options = Options()


class RebootOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which nodes, and what may stand in the way."""

    group: str = ""
    node_tags: tuple[str, ...] = ()
    skip_non_redundant: bool = False
    ignore_non_redundant: bool = False
    offline_maintenance: bool = False
    """Instances are shut down: only mirrors must not be rebooted together."""
    full_evacuation: bool = False
    one_step_only: bool = False


class SqueezeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Spare room, in units of the policy's standard instance, as htools counts it."""

    minimal_resources: float = 2.0
    target_resources: float = 4.0
