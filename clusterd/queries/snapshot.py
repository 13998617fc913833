"""Snapshots of instances as they are queried, one row each; named ``INSTANCE@SNAPSHOT``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from clusterd.model import Instance, InstanceSnapshot
from clusterd.queries.field import Field, Resource, by_name, normal, plain
from clusterd.queries.sources import Sources
from clusterd.volumes import snapshot_children


class Row(NamedTuple):
    """One snapshot with whose it is."""

    instance: Instance
    snapshot: InstanceSnapshot

    @property
    def name(self) -> str:
        """``INSTANCE@SNAPSHOT``"""
        return f"{self.instance.name}@{self.snapshot.name}"


def _size_mib(row: Row) -> int:
    return sum(disk.size_mib for disk in row.instance.disks if disk.uuid in row.snapshot.disks)


FIELDS = (
    Field("name", "Name", "text", "Instance@snapshot", plain(lambda r: r.name)),
    Field("snapshot", "Snapshot", "text", "Its name", plain(lambda r: r.snapshot.name)),
    Field("instance", "Instance", "text", "Whose disks", plain(lambda r: r.instance.name)),
    Field("uuid", "UUID", "text", "UUID of the snapshot", plain(lambda r: r.snapshot.uuid)),
    Field("ctime", "CTime", "timestamp", "When it was taken", plain(lambda r: r.snapshot.ctime)),
    Field("size", "Size", "unit", "Size of its disks in MiB", plain(_size_mib)),
    Field(
        "frozen",
        "Frozen",
        "bool",
        "The guest's file systems were frozen when it was taken",
        plain(lambda r: r.snapshot.frozen),
    ),
    Field(
        "children",
        "Children",
        "other",
        "Instances whose disks read from it",
        lambda s, r: normal(snapshot_children(s.view, r.instance, r.snapshot.name)),
    ),
)


def _all(sources: Sources) -> Iterator[Row]:
    for instance in sources.configuration.instances():
        for snapshot in instance.snapshots:
            if snapshot.made_by is None:
                yield Row(instance, snapshot)


def find(sources: Sources, name: Any) -> Row | None:
    """The snapshot ``INSTANCE@SNAPSHOT``."""
    whose, _, wanted = str(name).partition("@")
    instance = sources.configuration.find_instance(whose)
    for snapshot in instance.snapshots if instance is not None else ():
        if snapshot.name == wanted and instance is not None:
            return Row(instance, snapshot)
    return None


RESOURCE = Resource(
    what="snapshot",
    word="Snapshot",
    key="name",
    fields=by_name(FIELDS),
    all=_all,
    find=find,
    name_of=lambda row: row.name,
)
