"""External storage providers as they are queried. Nodes do not report any in this release."""

from __future__ import annotations

from operator import attrgetter

from clusterd.queries.field import Field, Resource, by_name, plain

FIELDS = tuple(
    Field(name, title, kind, doc, plain(attrgetter(name)))
    for name, title, kind, doc in (
        ("name", "Name", "text", "Name of the provider"),
        ("node_status", "NodeStatus", "other", "What each node found"),
        ("nodegroup_status", "NodegroupStatus", "other", "Whether each group can use it"),
        ("parameters", "Parameters", "other", "Parameters that it takes"),
    )
)

RESOURCE = Resource(
    what="extstorage",
    word="ExtStorage provider",
    key="name",
    fields=by_name(FIELDS),
    all=lambda _sources: (),
    find=lambda _sources, _name: None,
    name_of=lambda provider: provider.name,
)
