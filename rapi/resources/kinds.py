"""The kinds of objects that have lists, and their few peculiarities."""

from __future__ import annotations

from rapi.field_sets import (
    FILTER_FIELDS,
    GROUP_FIELDS,
    IMAGE_FIELDS,
    INSTANCE_FIELDS,
    NETWORK_FIELDS,
    NODE_FIELDS,
)
from rapi.resources.rows import Kind, Row


def _instance(row: Row) -> Row:
    """``beparams.memory`` is what clients of long ago look for."""
    beparams = row.get("beparams")
    if isinstance(beparams, dict) and "maxmem" in beparams:
        row["beparams"] = {**beparams, "memory": beparams["maxmem"]}
    return row


def _node(row: Row) -> Row:
    return {**row, "secondary_ip": row["sip"]}


INSTANCES = Kind(
    path="/2/instances",
    method="QueryInstances",
    fields=tuple(INSTANCE_FIELDS),
    dressed=_instance,
)
NODES = Kind(path="/2/nodes", method="QueryNodes", fields=tuple(NODE_FIELDS), single=_node)
GROUPS = Kind(path="/2/groups", method="QueryGroups", fields=tuple(GROUP_FIELDS), label="name")
NETWORKS = Kind(
    path="/2/networks", method="QueryNetworks", fields=tuple(NETWORK_FIELDS), label="name"
)
IMAGES = Kind(path="/2/images", method="QueryImages", fields=tuple(IMAGE_FIELDS), label="name")
FILTERS = Kind(
    path="/2/filters",
    method="QueryFilters",
    fields=tuple(FILTER_FIELDS),
    key="uuid",
    label="uuid",
    locking=False,
)
