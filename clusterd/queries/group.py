"""Node groups as they are queried."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from clusterd.model import Cluster, Group
from clusterd.queries.field import (
    Field,
    Resource,
    Value,
    by_name,
    normal,
    plain,
    present,
    stored_fields,
)
from clusterd.queries.node import NDP_FIELDS
from clusterd.queries.parameters import (
    group_diskparams,
    group_ndparams,
    group_policy,
    own_policy,
)
from clusterd.queries.sources import Sources
from jobqueue.errors import Refused


def _nodes(sources: Sources, group: Group) -> list[str]:
    return [node.name for node in sources.nodes_of_group.get(group.uuid, ())]


def _primaries(sources: Sources, group: Group) -> list[str]:
    names = []
    for node in sources.nodes_of_group.get(group.uuid, ()):
        for instance in sources.configuration.instances_on(node.uuid):
            if instance.primary_node == node.uuid and instance.made_by is None:
                names.append(instance.name)
    return sorted(names)


def _ndp(name: str) -> Value:
    return lambda s, g: present(group_ndparams(s.configuration.cluster, g).get(name))


def _effective(get: Callable[[Cluster, Group], Any]) -> Value:
    return lambda sources, group: normal(get(sources.configuration.cluster, group))


def _parameters() -> Iterable[Field]:
    for name, title, effective, own in (
        ("ndparams", "NDParams", group_ndparams, lambda g: g.ndparams),
        ("diskparams", "DiskParameters", group_diskparams, lambda g: g.diskparams),
        ("ipolicy", "InstancePolicy", group_policy, lambda g: own_policy(g.ipolicy)),
    ):
        yield Field(
            name,
            title,
            "other",
            f"Effective {name}",
            _effective(effective),
        )
        yield Field(
            f"custom_{name}", f"Custom{title}", "other", f"{name} set for the group", plain(own)
        )
    for name, title, words, states in (
        ("hv_state", "HypervisorState", "What hypervisors take", lambda g: g.hv_state),
        ("disk_state", "DiskState", "What is kept free of instances", lambda g: g.disk_state),
    ):
        yield Field(name, title, "other", f"{words}, as set for the group", plain(states))
    for name, title, kind in NDP_FIELDS:
        yield Field(f"ndp/{name}", title, kind, f'Node parameter "{name}"', _ndp(name))


FIELDS = (
    Field("name", "Group", "text", "Name", plain(lambda g: g.name)),
    Field(
        "alloc_policy",
        "AllocPolicy",
        "text",
        "Whether new instances go there: preferred, last_resort or unallocable",
        plain(lambda g: g.alloc_policy),
    ),
    Field("node_cnt", "Nodes", "number", "How many nodes", lambda s, g: normal(len(_nodes(s, g)))),
    Field("node_list", "NodeList", "other", "Its nodes", lambda s, g: normal(_nodes(s, g))),
    Field(
        "pinst_cnt",
        "Instances",
        "number",
        "How many instances have their primary node in it",
        lambda s, g: normal(len(_primaries(s, g))),
    ),
    Field(
        "pinst_list",
        "InstanceList",
        "other",
        "Instances that have their primary node in it",
        lambda s, g: normal(_primaries(s, g)),
    ),
)


def find(sources: Sources, name: Any) -> Group | None:
    """A group by name or uuid."""
    try:
        return sources.configuration.group(str(name))
    except Refused:
        return None


RESOURCE = Resource(
    what="group",
    word="Group",
    key="name",
    fields=by_name(stored_fields("node group"), FIELDS, tuple(_parameters())),
    all=lambda sources: sources.configuration.groups(),
    find=find,
    name_of=lambda group: group.name,
)
