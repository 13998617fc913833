"""The rows of ``gnt-instance`` for operations on disks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cli.command import Option
from cli.exits import WrongInput
from cli.notation import BadText, integer, size_mib
from cli.readers import sequence
from cli.rows import FORCE_ONLY, IALLOCATOR, not_, row, sets
from cli.spelling import Spelling


def replace_disks(body: dict[str, Any]) -> dict[str, Any]:
    """The mode, from the options that name a side."""
    body = dict(body)
    modes = [mode for mode in _MODES if body.pop(mode, False)]
    if len(modes) > 1:
        raise WrongInput("Only one of -p, -s and -a can be given")
    new = "remote_node" in body or "iallocator" in body
    if modes and new and modes != ["replace_on_secondary"]:
        raise WrongInput("A new secondary node goes with neither -p nor -a")
    if new:
        modes = ["replace_new_secondary"]
    if not modes:
        raise WrongInput("Name what to replace: -p, -s, -a, or a new secondary node (-n, -I)")
    return {**body, "mode": modes[0]}


_MODES = ("replace_on_primary", "replace_on_secondary", "replace_auto")


def numbers(text: str) -> list[int]:
    """``0,2`` -> [0, 2]"""
    return [integer(part) for part in text.split(",")]


def recreated(texts: Sequence[str]) -> list[list[Any]]:
    """Repeated ``INDEX[:size=SIZE]``."""
    found: list[list[Any]] = []
    for index, values in sequence("disk")(texts):
        spec: dict[str, Any] = dict(values)
        if "size" in spec:
            spec["size"] = size_mib(str(spec["size"]))
        if "spindles" in spec:
            spec["spindles"] = integer(str(spec["spindles"]))
        found.append([index, spec])
    return found


def pair(text: str) -> list[str]:
    """``n1[:n2]`` -> nodes."""
    nodes = text.split(":")
    if not all(nodes) or len(nodes) > 2:
        raise BadText(f"'{text}' is not of the form NODE or PRIMARY:SECONDARY")
    return nodes


DISKS = (
    Spelling(
        tool="instance", name="grow-disk", opcode="instance_grow_disk",
        positional=("instance_name", "disk", "amount"), shown="<instance> <disk> <size>",
        reads={"amount": size_mib},
        options=(
            not_("wait_for_sync", "--no-wait-for-sync", words="Do not wait for mirrors"),
            row("absolute", "--absolute"),
        ),
    ),
    Spelling(
        tool="instance", name="replace-disks", opcode="instance_replace_disks",
        finish=replace_disks, hidden=("mode",),
        options=(
            sets("-p", "--on-primary", words="Make the copy on the primary node anew",
                 replace_on_primary=True),
            sets("-s", "--on-secondary", words="Make the copy on the secondary node anew",
                 replace_on_secondary=True),
            sets("-a", "--auto", words="Make the broken copy anew", replace_auto=True),
            row("remote_node", "-n", "--new-secondary", metavar="NODE", completes="node"),
            row("disks", "--disks", reads=numbers, metavar="N,..."),
            IALLOCATOR,
        ),
    ),
    Spelling(
        tool="instance", name="move", opcode="instance_move", extra=(FORCE_ONLY,),
        options=(
            row("target_node", "-n", "--node", metavar="NODE", completes="node"),
        ),
    ),
    Spelling(
        tool="instance", name="recreate-disks", opcode="instance_recreate_disks",
        hidden=("node_uuids",),
        options=(
            Option(names=("--disk",), field="disks", many=True, reads=recreated,
                   metavar="N[:size=SIZE]", words="Only this disk, with another size"),
            row("nodes", "-n", "--node", reads=pair, metavar="PNODE[:SNODE]", completes="node"),
            IALLOCATOR,
        ),
    ),
)  # fmt: skip
