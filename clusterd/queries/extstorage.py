"""Ext-storage providers as they are queried, from what the nodes found.

A group can use a provider when each of its nodes that may hold instances, and answers, has it in
order; its parameters are those that all nodes which have it in order agree on.
"""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.queries.field import Field, Resource, by_name, plain
from clusterd.queries.sources import Sources
from storage.external_providers import ProviderFound


class ProviderSeen(msgspec.Struct, frozen=True):
    """One provider and what each asked node (by name) found of it."""

    name: str
    found: dict[str, ProviderFound | None]
    groups: dict[str, str]
    """Node -> the name of its group."""


def providers(sources: Sources) -> list[ProviderSeen]:
    """All providers that some node has."""
    seen: dict[str, dict[str, ProviderFound]] = {}
    groups: dict[str, str] = {}
    for node in sources.configuration.nodes():
        observation = sources.view.sight(node).observation
        if observation is None or not node.vm_capable or not sources.view.reachable(node):
            continue
        seen[node.name] = {found.name: found for found in observation.providers}
        groups[node.name] = sources.configuration.group(node.group).name
    names = sorted({name for found in seen.values() for name in found})
    return [
        ProviderSeen(name, {node: found.get(name) for node, found in seen.items()}, groups)
        for name in names
    ]


def _node_status(provider: ProviderSeen) -> dict[str, list[Any]]:
    return {
        node: []
        if one is None
        else [[one.path, one.valid, one.message, [list(pair) for pair in one.parameters]]]
        for node, one in provider.found.items()
    }


def _group_status(provider: ProviderSeen) -> dict[str, bool]:
    usable: dict[str, bool] = {}
    for node, one in provider.found.items():
        group = provider.groups[node]
        usable[group] = usable.get(group, True) and one is not None and one.valid
    return usable


def _parameters(provider: ProviderSeen) -> list[list[str]]:
    valid = [one for one in provider.found.values() if one is not None and one.valid]
    first = valid[0].parameters if valid else ()
    return [list(pair) for pair in first if all(pair in one.parameters for one in valid)]


FIELDS = (
    Field("name", "Name", "text", "Name of the provider", plain(lambda p: p.name)),
    Field("node_status", "NodeStatus", "other", "What each node found", plain(_node_status)),
    Field(
        "nodegroup_status",
        "NodegroupStatus",
        "other",
        "Whether each group can use it",
        plain(_group_status),
    ),
    Field("parameters", "Parameters", "other", "Parameters that it takes", plain(_parameters)),
)


def find(sources: Sources, name: Any) -> ProviderSeen | None:
    """A provider by name."""
    return next((seen for seen in providers(sources) if seen.name == name), None)


RESOURCE = Resource(
    what="extstorage",
    word="ExtStorage provider",
    key="name",
    fields=by_name(FIELDS),
    all=providers,
    find=find,
    name_of=lambda provider: provider.name,
)
