"""Instance exports as they are queried: a row a node. What a node keeps is not known yet."""

from __future__ import annotations

from clusterd.queries.field import NODATA, OFFLINE, Field, Resource, by_name, plain
from clusterd.queries.node import find

FIELDS = (
    Field("node", "Node", "text", "Node", plain(lambda n: n.name), hostname=True),
    Field(
        "export",
        "Export",
        "text",
        "Name of the exported instance",
        lambda _s, node: OFFLINE if node.offline else NODATA,
    ),
)

RESOURCE = Resource(
    what="export",
    word="Node",
    key="node",
    fields=by_name(FIELDS),
    all=lambda sources: sources.configuration.nodes(),
    find=find,
    name_of=lambda node: node.name,
)
