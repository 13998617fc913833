"""Moves as values."""

from __future__ import annotations

from clusterd.placement.kinds import pair_after
from clusterd.placement.model import NOWHERE
from clusterd.placement.results import Move, MoveKind
from clusterd.placement.survey import (
    ANY,
    FAILOVER,
    FAILOVER_AND_REPLACE,
    REPLACE_AND_FAILOVER,
    REPLACE_PRIMARY,
    REPLACE_SECONDARY,
)
from clusterd.placement.usage import Usage

KIND_NAMES: dict[int, MoveKind] = {
    FAILOVER: "failover",
    REPLACE_SECONDARY: "replace_secondary",
    REPLACE_PRIMARY: "replace_primary",
    REPLACE_AND_FAILOVER: "replace_and_failover",
    FAILOVER_AND_REPLACE: "failover_and_replace",
    ANY: "failover_to_any",
}
STEPS = {
    "failover": ("f",),
    "replace_secondary": ("r:{t}",),
    "replace_primary": ("f", "r:{t}", "f"),
    "replace_and_failover": ("r:{t}", "f"),
    "failover_and_replace": ("f", "r:{t}"),
    "failover_to_any": ("fa:{t}",),
}


def move_value(
    usage: Usage, number: int, step: tuple[int, int], scores: tuple[float, float]
) -> Move:
    """The move ``step`` (kind, target) of an instance that is still where it was; ``scores``
    before and after."""
    kind, target = step
    old = int(usage.primary[number]), int(usage.secondary[number])
    new = pair_after(old, kind, target)
    names = usage.cluster.nodes.names
    name = KIND_NAMES[kind]
    copies = name not in ("failover", "failover_to_any")
    aim = names[target] if target != NOWHERE else ""
    return Move(
        instance=usage.cluster.instances.names[number],
        kind=name,
        old=tuple(names[node] for node in old if node != NOWHERE),
        new=tuple(names[node] for node in new if node != NOWHERE),
        steps=tuple(one.format(t=aim) for one in STEPS[name]),
        score=scores[1],
        gain=scores[0] - scores[1],
        copied_mib=int(usage.cluster.instances.disk[number]) if copies else 0,
        running=bool(usage.cluster.instances.running[number]),
    )
