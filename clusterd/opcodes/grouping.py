"""What a node group can be told: fields of its opcodes, and from them its new values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

import hypervisors.plugins
import storage.plugin
from clusterd import defaults, ipolicy, parameters
from clusterd.model import Group, Instance, Node, Specs
from clusterd.model import Params as OwnParams
from clusterd.opcodes.fields import Params
from clusterd.view import View
from jobqueue.errors import Refused

AllocPolicy = Annotated[
    Literal["preferred", "last_resort", "unallocable"] | None,
    Meta(description="whether new instances go there"),
]
NdParams = Annotated[Params | None, Meta(description="node parameters")]
DiskParams = Annotated[
    dict[str, Params] | None, Meta(description="parameters of disk templates, by template")
]
IPolicy = Annotated[dict[str, Any] | None, Meta(description="what instances may look like")]
HvState = Annotated[
    dict[str, Params] | None,
    Meta(description="what hypervisors take; kept, nothing is decided by it"),
]
DiskState = Annotated[
    dict[str, dict[str, Params]] | None,
    Meta(description="what is kept free of instances; kept, nothing is decided by it"),
]
FIELDS = ("alloc_policy", "ndparams", "diskparams", "ipolicy", "hv_state", "disk_state")
STATED_TEMPLATES = ("plain",)


def changes(opcode: Any, group: Group) -> dict[str, Any]:
    """Field -> new value. Raises Refused."""
    new: dict[str, Any] = {}
    if opcode.alloc_policy is not None:
        new["alloc_policy"] = opcode.alloc_policy
    if opcode.ndparams:
        new["ndparams"] = parameters.node(opcode.ndparams, group.ndparams)
    if opcode.diskparams:
        _known("disk template", opcode.diskparams, tuple(map(str, storage.plugin.built_in())))
        disks: dict[str, OwnParams] = dict(group.diskparams)
        for template, given in opcode.diskparams.items():
            disks[template] = parameters.disk(template, given, disks.get(template, {}))
        new["diskparams"] = {template: own for template, own in disks.items() if own}
    if opcode.ipolicy:
        if "std" in opcode.ipolicy:
            raise Refused("A usual instance (std) is the cluster's alone to say", "wrong_input")
        new["ipolicy"] = ipolicy.changed(opcode.ipolicy, group.ipolicy)
    if opcode.hv_state:
        new["hv_state"] = _states(opcode.hv_state, group.hv_state, defaults.HV_STATE, "hypervisor")
        _known("hypervisor", opcode.hv_state, tuple(hypervisors.plugins.built_in()))
    if opcode.disk_state:
        _known("state of disk template", opcode.disk_state, STATED_TEMPLATES)
        kept = dict(group.disk_state)
        for template, given in opcode.disk_state.items():
            old = kept.get(template, {})
            kept[template] = _states(given, old, defaults.DISK_STATE, "disk")
        new["disk_state"] = kept
    return new


def _known(word: str, asked: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in asked:
        if name not in known:
            raise Refused(f"No {word} '{name}'; there are {', '.join(known)}", "wrong_input")


def _states(
    given: Mapping[str, Params],
    old: Mapping[str, Specs],
    known: Specs,
    word: str,
) -> dict[str, Specs]:
    kept = dict(old)
    for name, values in given.items():
        own = parameters.merged(values, dict(kept.get(name, {})), dict(known), f"{word} state")
        kept[name] = {key: int(value) for key, value in own.items()}
    return kept


def nodes_of(view: View, group: Group) -> list[Node]:
    """The group's nodes by name."""
    return [node for node in view.configuration.nodes() if node.group == group.uuid]


def instances_of(view: View, group: Group, *, unfinished: bool = False) -> list[Instance]:
    """The instances that have a node in the group, by name; those that are still being made only if
    asked for."""
    found = {
        one.uuid: one
        for node in nodes_of(view, group)
        for one in view.configuration.instances_on(node.uuid)
        if unfinished or one.made_by is None
    }
    return sorted(found.values(), key=lambda one: one.name)


def require_free(view: View, name: str) -> None:
    """No group has the name; raises Refused."""
    found = view.configuration.find_group(name)
    if found is not None:
        raise Refused(
            f"Desired group name '{name}' already exists as a node group (UUID: {found.uuid})",
            "already_exists",
        )
