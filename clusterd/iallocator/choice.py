"""How an opcode declares that something is chosen for it, and by which allocator. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clusterd.iallocator.answers import Answer
from clusterd.iallocator.requests import Request
from clusterd.names import DEFAULT_IALLOCATOR
from clusterd.view import View
from clusterd.world import ExportFound
from jobqueue.surroundings import Chosen

DEFAULT_WORDS = (".", "")
"""Stand for the cluster's default."""
BUILT_IN = (DEFAULT_IALLOCATOR,)

Taken = Mapping[str, str]
"""uuid of a node -> the job that holds it alone."""


def nothing_to_learn(_opcode: Any, _view: View) -> None:
    """For operations that read no export."""
    return


def as_it_is(opcode: Any, _view: View, _found: tuple[str, ExportFound]) -> Any:
    """For operations that read no export."""
    return opcode


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Two pure functions around an allocator's run, and two around a look at an export."""

    wanted: Callable[[Any, View, Taken], Request | None]
    """(opcode, view, taken nodes) -> what is asked; None when nothing is to be chosen. Raises
    Refused for what no choice can help."""

    settle: Callable[[Any, View, Answer], Chosen]
    """(opcode, view, answer) -> the opcode with the answer in it, or the plan. Raises Refused."""

    learn: Callable[[Any, View], tuple[str, str] | None] = nothing_to_learn
    """(opcode, view) -> node (host name) and path of an export that must be read first."""

    learned: Callable[[Any, View, tuple[str, ExportFound]], Any] = as_it_is
    """(opcode, view, (node, what it found)) -> the opcode, completed. Raises Refused."""


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
