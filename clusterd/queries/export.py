"""Exports of instances as they are queried, from what nodes tell: a row for each on each node.

A node without any, or that is not seen, has one row, as in Ganeti.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from clusterd.model import Node
from clusterd.queries.field import (
    NODATA,
    OFFLINE,
    UNAVAILABLE,
    Cell,
    Field,
    Resource,
    by_name,
    normal,
    plain,
)
from clusterd.queries.sources import Sources


class ExportSeen(msgspec.Struct, frozen=True):
    """One export on a node; without a name, what stands for none."""

    node: Node
    name: str | None


def exports(sources: Sources) -> Iterator[ExportSeen]:
    """All rows."""
    for node in sources.configuration.nodes():
        observation = sources.view.sight(node).observation
        seen = observation.exports if observation and sources.view.reachable(node) else ()
        for name in seen or (None,):
            yield ExportSeen(node, name)


def _export(sources: Sources, seen: ExportSeen) -> Cell:
    if seen.name is not None:
        return normal(seen.name)
    if seen.node.offline:
        return OFFLINE
    return UNAVAILABLE if sources.view.reachable(seen.node) else NODATA


def found_on(sources: Sources, nodes: tuple[str, ...] | None) -> dict[str, list[str] | bool]:
    """Node -> its exports, False where it is not seen; Ganeti's old form."""
    rows: dict[str, list[str] | bool] = {}
    for node in sources.configuration.nodes():
        if nodes and node.name not in nodes:
            continue
        observation = sources.view.sight(node).observation
        there = observation is not None and sources.view.reachable(node)
        rows[node.name] = list(observation.exports) if observation and there else False
    return rows


FIELDS = (
    Field("node", "Node", "text", "Node", plain(lambda seen: seen.node.name), hostname=True),
    Field("export", "Export", "text", "Name of the exported instance", _export),
)

RESOURCE = Resource(
    what="export",
    word="Export",
    # a node has several and several nodes have one of a name: nothing names a single row
    key="",
    fields=by_name(FIELDS),
    all=exports,
    find=lambda _sources, _name: None,
    name_of=lambda seen: f"{seen.node.name} {seen.name or ''}",
)
