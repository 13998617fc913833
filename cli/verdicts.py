"""What an allocator found, for people: each node with why it was or was not chosen. Pure.

The values are those that stand with a job: see ``clusterd.iallocator.answers.Considered``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Considered = Mapping[str, Any]


def placement_info(considered: Iterable[Considered]) -> list[list[tuple[str, Any]]]:
    """As ``gnt-job info`` shows it."""
    return [
        [
            ("Instance", one["instance"]),
            ("Allocator", one["allocator"]),
            ("Chosen", ", ".join(one.get("chosen", ())) or "none"),
            *([("Said", one["info"])] if one.get("info") else []),
            *([("Nodes", [(row["node"], sentence(row)) for row in one["nodes"]])]
              if one.get("nodes") else []),
            *([("Further nodes", one["left_out"])] if one.get("left_out") else []),
        ]
        for one in considered
    ]  # fmt: skip


def explanation(considered: Iterable[Considered]) -> list[str]:
    """As ``--explain`` prints it: one line a node."""
    lines = []
    for one in considered:
        chosen = ", ".join(one.get("chosen", ()))
        lines.append(
            f"{one['instance']}: {f'would go to {chosen}' if chosen else 'fits nowhere'}"
            f" (iallocator {one['allocator']})"
        )
        if one.get("info"):
            lines.append(f"  {one['info']}")
        width = max((len(row["node"]) for row in one.get("nodes", ())), default=0)
        lines += [f"  {row['node']:<{width}}  {sentence(row)}" for row in one.get("nodes", ())]
        if one.get("left_out"):
            lines.append(f"  and {one['left_out']} more nodes")
    return lines


def sentence(row: Mapping[str, Any]) -> str:
    """``chosen as primary``, ``fits (score 1.23)``, ``refused: memory short by 512 MiB``."""
    if row["verdict"] == "refused":
        return f"refused: {row.get('text') or 'no reason given'}"
    role = f" as {row['role']}" if row.get("role") else ""
    score = row.get("score")
    told = "" if score is None else f" (score {score:.6f})"
    return f"{row['verdict']}{role}{told}"
