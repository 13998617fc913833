"""The rows of commands that move instances by an allocator's advice."""

from __future__ import annotations

from typing import Any

from cli.exits import WrongInput
from cli.rows import FORCE_ONLY, IALLOCATOR, row, sets
from cli.spelling import Spelling


def evacuate(body: dict[str, Any]) -> dict[str, Any]:
    """What the node is for the instances that leave: one of -p and -s, or both."""
    body = dict(body)
    primary, secondary = body.pop("only_primary", False), body.pop("only_secondary", False)
    if primary and secondary:
        raise WrongInput("Only one of --primary-only and --secondary-only can be given")
    if primary and body.get("remote_node"):
        raise WrongInput("Moving primary instances to a named node is not possible")
    only = "primary-only" if primary else "secondary-only" if secondary else "all"
    if body.get("remote_node") and only == "all":
        only = "secondary-only"
    return {**body, "mode": only}


MOVES = (
    Spelling(
        tool="node", name="evacuate", opcode="node_evacuate", common="JP", finish=evacuate,
        positional=("node_name",), shown="<node>", hidden=("mode",), extra=(FORCE_ONLY,),
        options=(
            IALLOCATOR,
            row("remote_node", "-n", "--new-secondary", metavar="NODE", completes="node"),
            row("ignore_soft_errors", "--ignore-soft-errors", flag=True,
                reads=lambda _given: True),
            row("early_release", "--early-release"),
            sets("-p", "--primary-only", words="Only instances that run there",
                 only_primary=True),
            sets("-s", "--secondary-only", words="Only instances that are mirrored there",
                 only_secondary=True),
        ),
    ),
    Spelling(
        tool="instance", name="change-group", opcode="instance_change_group", common="JP",
        options=(
            row("target_groups", "--to", many=True, reads=list, metavar="GROUP",
                completes="group"),
            IALLOCATOR,
            row("early_release", "--early-release"),
        ),
    ),
)  # fmt: skip
