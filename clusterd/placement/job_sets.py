"""Which moves of a plan may run at the same time. Needs no arrays."""

from __future__ import annotations

from collections.abc import Sequence

from clusterd.placement.results import JobSet, Move


def job_sets(moves: Sequence[Move]) -> tuple[JobSet, ...]:
    """Each move goes into the first set after all earlier moves that share a node with it. So every
    node sees its moves in planned order, and what was possible when planned is possible then."""
    sets: list[list[int]] = []
    free_from: dict[str, int] = {}
    for number, move in enumerate(moves):
        nodes = {*move.old, *move.new}
        place = max((free_from.get(node, 0) for node in nodes), default=0)
        if place == len(sets):
            sets.append([])
        sets[place].append(number)
        free_from.update(dict.fromkeys(nodes, place + 1))
    return tuple(JobSet(tuple(one)) for one in sets)
