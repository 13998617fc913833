"""Instances as they are queried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clusterd.model import Instance, Node
from clusterd.queries import instance_params, instance_parts, instance_state
from clusterd.queries.field import (
    Cell,
    Field,
    Resource,
    by_name,
    normal,
    optional,
    plain,
    stored_fields,
)
from clusterd.queries.sources import Sources
from jobqueue.errors import Refused


def _primary(get: Callable[[Sources, Node], Any]) -> Callable[[Sources, Any], Cell]:
    return lambda sources, instance: normal(get(sources, sources.view.primary(instance)))


def _others(get: Callable[[Sources, Node], Any]) -> Callable[[Sources, Any], Cell]:
    return lambda sources, instance: normal(
        [get(sources, node) for node in sources.view.nodes_of(instance)[1:]]
    )


def _name(_sources: Sources, node: Node) -> str:
    return node.name


def _group(sources: Sources, node: Node) -> str:
    return sources.configuration.group(node.group).name


def _group_uuid(_sources: Sources, node: Node) -> str:
    return node.group


FIELDS = (
    Field("name", "Instance", "text", "Name", plain(lambda i: i.name), hostname=True),
    Field("hypervisor", "Hypervisor", "text", "Hypervisor", plain(lambda i: i.hypervisor)),
    Field("os", "OS", "text", "OS definition, with variant", plain(lambda i: i.os)),
    Field("pnode", "Primary_node", "text", "Primary node", _primary(_name), hostname=True),
    Field("pnode.group", "PrimaryNodeGroup", "text", "Group of the primary node", _primary(_group)),
    Field(
        "pnode.group.uuid",
        "PrimaryNodeGroupUUID",
        "text",
        "UUID of the primary node's group",
        _primary(_group_uuid),
    ),
    Field("snodes", "Secondary_Nodes", "other", "Secondary nodes", _others(_name)),
    Field(
        "snodes.group",
        "SecondaryNodesGroups",
        "other",
        "Groups of the secondary nodes",
        _others(_group),
    ),
    Field(
        "snodes.group.uuid",
        "SecondaryNodesGroupsUUID",
        "other",
        "UUIDs of the secondary nodes' groups",
        _others(_group_uuid),
    ),
    Field(
        "network_port",
        "Network_port",
        "other",
        "TCP port of the graphical console",
        optional(lambda i: i.network_port),
    ),
    Field(
        "forthcoming",
        "Forthcoming",
        "bool",
        "Whether it is only reserved so far",
        plain(lambda _i: False),
    ),
)


def find(sources: Sources, name: Any) -> Instance | None:
    """An instance by name, its leading components, or uuid; one still being made is not there."""
    try:
        instance = sources.configuration.instance(str(name))
    except Refused:
        return None
    return instance if instance.made_by is None else None


RESOURCE = Resource(
    what="instance",
    word="Instance",
    key="name",
    fields=by_name(
        FIELDS,
        stored_fields("instance"),
        instance_state.FIELDS,
        instance_parts.FIELDS,
        instance_params.FIELDS,
    ),
    all=lambda sources: sources.configuration.instances(),
    find=find,
    name_of=lambda instance: instance.name,
)
