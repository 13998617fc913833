"""How an opcode declares that something is chosen for it, and by which allocator. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clusterd.iallocator.answers import Answer
from clusterd.iallocator.requests import Request
from clusterd.names import DEFAULT_IALLOCATOR
from clusterd.view import View
from jobqueue.surroundings import Chosen

DEFAULT_WORDS = (".", "")
"""Stand for the cluster's default."""
BUILT_IN = (DEFAULT_IALLOCATOR,)

Taken = Mapping[str, str]
"""uuid of a node -> the job that holds it alone."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Two pure functions around an allocator's run."""

    wanted: Callable[[Any, View, Taken], Request | None]
    """(opcode, view, taken nodes) -> what is asked; None when nothing is to be chosen. Raises
    Refused for what no choice can help."""

    settle: Callable[[Any, View, Answer], Chosen]
    """(opcode, view, answer) -> the opcode with the answer in it, or the plan. Raises Refused."""


def allocator_name(view: View, asked: str | None) -> str:
    """The allocator of an opcode: its own, else the cluster's, else the built-in one."""
    if asked is not None and asked not in DEFAULT_WORDS:
        return asked
    return view.configuration.cluster.default_iallocator or DEFAULT_IALLOCATOR


def program_options(view: View) -> tuple[str, ...]:
    """``default_iallocator_params`` as a program takes them."""
    params = view.configuration.cluster.default_iallocator_params
    return tuple(
        f"--{key}" if value is True else f"--{key}={value}"
        for key, value in sorted(params.items())
        if value is not None and value is not False
    )


def node_excluded(view: View, taken: Taken) -> dict[str, str]:
    """Nodes that nothing new can go to whatever it is -> why."""
    excluded = {}
    for node in view.configuration.nodes():
        if node.uuid in taken:
            excluded[node.name] = f"is locked by job {taken[node.uuid]}"
        elif not node.offline and not view.sight(node).connected:
            excluded[node.name] = "does not answer"
    return excluded
