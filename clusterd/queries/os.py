"""OS definitions as they are queried, from what the nodes found.

A definition is valid when each node that may hold instances, and answers, has it in order; its
variants, parameters and interface versions are those that all of these nodes have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from clusterd.observation import OsFound
from clusterd.queries.field import Cell, Field, Resource, by_name, normal, plain
from clusterd.queries.sources import Sources


class OsSeen(msgspec.Struct, frozen=True):
    """One definition and what each asked node (by name) found of it."""

    name: str
    found: dict[str, tuple[OsFound, ...]]

    @property
    def valid(self) -> bool:
        """True when the first one on each node is in order."""
        return bool(self.found) and all(seen and seen[0].valid for seen in self.found.values())

    def shared(self, get: Callable[[OsFound], Iterable[Any]]) -> list[Any]:
        """What all nodes have, in the first node's order."""
        if not self.valid:
            return []
        first, *others = (tuple(get(seen[0])) for seen in self.found.values())
        return [item for item in first if all(item in other for other in others)]


def definitions(sources: Sources) -> list[OsSeen]:
    """All definitions that some node has."""
    seen: dict[str, dict[str, tuple[OsFound, ...]]] = {}
    for node in sources.configuration.nodes():
        observation = sources.view.sight(node).observation
        if observation is None or not node.vm_capable or not sources.view.reachable(node):
            continue
        here: dict[str, list[OsFound]] = {}
        for found in observation.oses:
            here.setdefault(found.name, []).append(found)
        seen[node.name] = {name: tuple(copies) for name, copies in here.items()}
    names = sorted({name for found in seen.values() for name in found})
    return [
        OsSeen(name, {node: found.get(name, ()) for node, found in seen.items()}) for name in names
    ]


def _node_status(definition: OsSeen) -> dict[str, list[Any]]:
    return {
        node: [
            [
                one.path,
                one.valid,
                one.message,
                list(one.variants),
                [list(parameter) for parameter in one.parameters],
                sorted(one.api_versions),
                True,
            ]
            for one in found
        ]
        for node, found in definition.found.items()
    }


def _listed(get: Callable[[Any], Iterable[str]]) -> Callable[[Sources, OsSeen], Cell]:
    return lambda sources, seen: normal(seen.name in get(sources.configuration.cluster))


def _of_cluster(name: str) -> Callable[[Sources, OsSeen], Cell]:
    return lambda sources, seen: normal(
        getattr(sources.configuration.cluster, name).get(seen.name, {})
    )


FIELDS = (
    Field("name", "Name", "text", "Name without variant", plain(lambda o: o.name)),
    Field("valid", "Valid", "bool", "Whether all nodes have it in order", plain(lambda o: o.valid)),
    Field(
        "variants", "Variants", "other", "Variants", plain(lambda o: o.shared(lambda f: f.variants))
    ),
    Field(
        "parameters",
        "Parameters",
        "other",
        "Parameters: name, description",
        plain(lambda o: o.shared(lambda f: f.parameters)),
    ),
    Field(
        "api_versions",
        "ApiVersions",
        "other",
        "Versions of the OS interface",
        plain(lambda o: sorted(o.shared(lambda f: f.api_versions))),
    ),
    Field("hidden", "Hidden", "bool", "Whether it is hidden", _listed(lambda c: c.hidden_os)),
    Field(
        "blacklisted",
        "Blacklisted",
        "bool",
        "Whether it may not be used",
        _listed(lambda c: c.blacklisted_os),
    ),
    Field(
        "trusted", "Trusted", "bool", "Whether its scripts run on the node", plain(lambda _o: True)
    ),
    Field("node_status", "NodeStatus", "other", "What each node found", plain(_node_status)),
    Field("os_hvp", "OsHypervisorParams", "other", "Hypervisor parameters", _of_cluster("os_hvp")),
    Field("osparams", "OsParameters", "other", "Parameters set for all", _of_cluster("osparams")),
)


def find(sources: Sources, name: Any) -> OsSeen | None:
    """A definition by name without variant."""
    return next((seen for seen in definitions(sources) if seen.name == name), None)


RESOURCE = Resource(
    what="os",
    word="OS",
    key="name",
    fields=by_name(FIELDS),
    all=definitions,
    find=find,
    name_of=lambda seen: seen.name,
)
