"""What is asked of an iallocator, and how it stands in the request of the protocol. Pure.

``excluded`` of a request are nodes that it must not be given, each with the reason: the allocator
is told only the others, the reasons stand among the verdicts.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from clusterd.view import View

EvacuationMode = Literal["primary-only", "secondary-only", "all"]
Excluded = dict[str, str]
"""Node -> why it cannot be taken."""


class NewInstance(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that needs nodes."""

    name: str
    disk_template: str
    vcpus: int
    memory_mib: int
    disk_sizes_mib: tuple[int, ...]
    disk_modes: tuple[str, ...] = ()
    disk_spindles: tuple[int | None, ...] = ()
    disk_total_mib: int
    """What its disks take on each node that holds them."""
    nics: tuple[dict[str, Any], ...] = ()
    networks: tuple[str, ...] = ()
    """uuids"""
    spindle_use: int = 1
    spindles: int | None = None
    """Of its disks together, where storage is exclusive."""
    os: str = ""
    hypervisor: str = ""
    tags: tuple[str, ...] = ()
    required_nodes: int = 1
    group: str | None = None
    """uuid; None is any."""

    def wire(self, view: View) -> dict[str, Any]:
        """As in the protocol."""
        group = (
            {} if self.group is None else {"group_name": view.configuration.group(self.group).name}
        )
        return {
            "type": "allocate",
            "name": self.name,
            "disk_template": self.disk_template,
            "tags": list(self.tags),
            "os": self.os,
            "vcpus": self.vcpus,
            "memory": self.memory_mib,
            "spindle_use": self.spindle_use,
            "disks": [
                {"size": size, "mode": _at(self.disk_modes, index, "rw"),
                 "spindles": _at(self.disk_spindles, index, None)}
                for index, size in enumerate(self.disk_sizes_mib)
            ],
            "disk_space_total": self.disk_total_mib,
            "nics": list(self.nics),
            "required_nodes": self.required_nodes,
            "hypervisor": self.hypervisor,
            **group,
        }  # fmt: skip


class Allocate(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes for one new instance."""

    instance: NewInstance
    excluded: Excluded = {}
    replaces: str = ""
    """uuid of the instance that is asked for again: what it had counts as free."""

    def wire(self, view: View) -> dict[str, Any]:
        """As in the protocol."""
        return {**self.instance.wire(view), **_restriction(view, self.excluded)}


class MultiAllocate(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes for several new instances, each knowing those before it."""

    instances: tuple[NewInstance, ...]
    excluded: Excluded = {}

    def wire(self, view: View) -> dict[str, Any]:
        """As in the protocol."""
        return {
            "type": "multi-allocate",
            "instances": [one.wire(view) for one in self.instances],
            **_restriction(view, self.excluded),
        }


class Relocate(msgspec.Struct, frozen=True, kw_only=True):
    """Another node in the place of ``relocate_from``: a new secondary, or a new only node."""

    name: str
    relocate_from: tuple[str, ...]
    """Names of nodes."""
    disk_total_mib: int
    excluded: Excluded = {}

    def wire(self, view: View) -> dict[str, Any]:
        """As in the protocol."""
        return {
            "type": "relocate",
            "name": self.name,
            "disk_space_total": self.disk_total_mib,
            "required_nodes": 1,
            "relocate_from": list(self.relocate_from),
            **_restriction(view, self.excluded),
        }


class NodeEvacuate(msgspec.Struct, frozen=True, kw_only=True):
    """The moves that free the nodes of ``instances``, within their groups."""

    instances: tuple[str, ...]
    mode: EvacuationMode
    ignore_soft_errors: bool = False
    excluded: Excluded = {}

    def wire(self, view: View) -> dict[str, Any]:
        """As in the protocol."""
        return {
            "type": "node-evacuate",
            "instances": list(self.instances),
            "evac_mode": self.mode,
            "ignore-soft-errors": self.ignore_soft_errors,
        }


class ChangeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The moves that bring instances into another group."""

    instances: tuple[str, ...]
    target_groups: tuple[str, ...] = ()
    """uuids; empty is any other."""
    excluded: Excluded = {}

    def wire(self, view: View) -> dict[str, Any]:
        """As in the protocol."""
        return {
            "type": "change-group",
            "instances": list(self.instances),
            "target_groups": list(self.target_groups),
        }


class AllocateSecondary(msgspec.Struct, frozen=True, kw_only=True):
    """A secondary node for an instance that is to become mirrored."""

    name: str
    excluded: Excluded = {}

    def wire(self, view: View) -> dict[str, Any]:
        """As in the protocol."""
        return {"type": "allocate-secondary", "name": self.name}


Request = Allocate | MultiAllocate | Relocate | NodeEvacuate | ChangeGroup | AllocateSecondary


def _restriction(view: View, excluded: Excluded) -> dict[str, Any]:
    if not excluded:
        return {}
    left = [node.name for node in view.configuration.nodes() if node.name not in excluded]
    return {"restrict-to-nodes": left}


def _at(values: tuple[Any, ...], index: int, default: Any) -> Any:
    return values[index] if index < len(values) else default
