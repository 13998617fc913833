"""An iallocator of the site, pretended: it reads the protocol's request and takes what comes first.

It knows no score; it is there so that what surrounds an allocator can be simulated with one.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

NAME = "pretended"
Data = dict[str, Any]


def place(directory: Path) -> None:
    """A program of that name; it is never run, only found."""
    program = directory / NAME
    if not program.exists():
        directory.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\nexit 1\n", "utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)


def run(path: str) -> str:
    """What it writes for the request in a file."""
    data: Data = msgspec.json.decode(Path(path).read_bytes())
    asked = data["request"]
    result = _ANSWERS[asked["type"]](data, asked)
    reply = {"success": result is not None, "info": "pretended", "result": result or []}
    return msgspec.json.encode(reply).decode()


def _usable(data: Data, asked: Data, memory_mib: int, group: str = "") -> list[str]:
    left = asked.get("restrict-to-nodes", list(data["nodes"]))
    return [
        name
        for name, node in sorted(data["nodes"].items())
        if name in left
        and not node["offline"]
        and not node["drained"]
        and group in ("", node["group"])
        and node.get("free_memory", 0) >= memory_mib
    ]


def _allocate(data: Data, asked: Data) -> list[str] | None:
    found = _usable(data, asked, asked["memory"])[: asked["required_nodes"]]
    return found if len(found) == asked["required_nodes"] else None


def _multi_allocate(data: Data, asked: Data) -> Any:
    limits = {key: asked[key] for key in ("restrict-to-nodes",) if key in asked}
    found = {one["name"]: _allocate(data, {**one, **limits}) for one in asked["instances"]}
    return [
        [[name, nodes] for name, nodes in found.items() if nodes],
        [name for name, nodes in found.items() if not nodes],
    ]


def _relocate(data: Data, asked: Data) -> list[str] | None:
    instance = data["instances"][asked["name"]]
    others = [
        node
        for node in _usable(data, asked, instance["memory"])
        if node not in instance["nodes"] and node not in asked["relocate_from"]
    ]
    return others[:1] or None


def _evacuate(data: Data, asked: Data) -> Any:
    moved, jobs = [], []
    for name in asked["instances"]:
        primary, *others = data["instances"][name]["nodes"]
        moved.append([name, data["nodes"][primary]["group"], [*others, primary]])
        jobs.append([{"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": name,
                      "allow_failover": True}])  # fmt: skip
    return [moved, [], jobs]


def _change_group(data: Data, asked: Data) -> Any:
    """Only instances on shared storage can go."""
    moved, failed, jobs = [], [], []
    for name in asked["instances"]:
        memory_mib = data["instances"][name]["memory"]
        targets = [
            node
            for group in asked["target_groups"]
            for node in _usable(data, asked, memory_mib, group)
        ]
        if not targets:
            failed.append([name, "no node of those groups"])
            continue
        moved.append([name, data["nodes"][targets[0]]["group"], targets[:1]])
        jobs.append([{"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": name,
                      "target_node": targets[0], "allow_failover": True}])  # fmt: skip
    return [moved, failed, jobs]


_ANSWERS: dict[str, Callable[[Data, Data], Any]] = {
    "allocate": _allocate,
    "multi-allocate": _multi_allocate,
    "relocate": _relocate,
    "node-evacuate": _evacuate,
    "change-group": _change_group,
}
