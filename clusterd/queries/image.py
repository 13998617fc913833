"""Images as they are queried."""

from __future__ import annotations

from typing import Any

from clusterd.model import Image
from clusterd.queries.field import Field, Resource, by_name, normal, plain, stored_fields
from clusterd.queries.sources import Sources
from clusterd.volumes import image_children


def _nodes(sources: Sources, image: Image) -> list[str]:
    return [node.name for node in sources.configuration.nodes() if node.uuid in image.nodes]


def _cached(sources: Sources, image: Image) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in sources.configuration.nodes():
        if node.uuid in image.cached:
            group = sources.configuration.group(node.group).name
            found.setdefault(group, []).append(node.name)
    return found


FIELDS = (
    Field("name", "Image", "text", "Name", plain(lambda i: i.name)),
    Field("disk_template", "Template", "text", "Where it is kept", plain(lambda i: i.template)),
    Field("pool", "Pool", "text", "Volume group, directory or pool", plain(lambda i: i.pool)),
    Field("size", "Size", "unit", "Size in MiB", plain(lambda i: i.size_mib)),
    Field("format", "Format", "text", "What it was made from", plain(lambda i: i.format)),
    Field(
        "checksum", "Checksum", "text", "Of the file it was made from", plain(lambda i: i.checksum)
    ),
    Field("source", "Source", "text", "Node and file it was made from", plain(lambda i: i.source)),
    Field("nodes", "Nodes", "other", "Nodes with a copy", lambda s, i: normal(_nodes(s, i))),
    Field(
        "cached",
        "Cached",
        "other",
        "Nodes that got their copy from another node, by group",
        lambda s, i: normal(_cached(s, i)),
    ),
    Field(
        "contents",
        "Contents",
        "text",
        "Checksum of each copy; empty while none was copied between nodes",
        plain(lambda i: i.contents),
    ),
    Field(
        "properties",
        "Properties",
        "other",
        "For people and programs",
        plain(lambda i: i.properties),
    ),
    Field(
        "instances",
        "Instances",
        "other",
        "Instances whose disks read from it",
        lambda s, i: normal(image_children(s.configuration, i)),
    ),
)


def find(sources: Sources, name: Any) -> Image | None:
    """A finished image by name or uuid."""
    found = sources.configuration.find_image(str(name))
    return found if found is not None and found.made_by is None else None


RESOURCE = Resource(
    what="image",
    word="Image",
    key="name",
    fields=by_name(stored_fields("image"), FIELDS),
    all=lambda sources: sources.configuration.images(),
    find=find,
    name_of=lambda image: image.name,
)
