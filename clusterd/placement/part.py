"""A part of a cluster as a cluster: one group, as ``balance`` and ``check`` look at it.

Instances belong where their primary is. One that is split over two groups keeps its place and is
never moved; its mirror in another group is not seen from here.
"""

from __future__ import annotations

import msgspec
import numpy as np

from clusterd.placement.model import NOWHERE, Cluster, Rows


def only_group(cluster: Cluster, group: int) -> Cluster:
    """The nodes of a group and the instances whose primary is there."""
    if len(cluster.facts.groups) == 1:
        return cluster
    nodes = np.flatnonzero(cluster.nodes.group == group)
    instances = np.flatnonzero(cluster.nodes.group[cluster.instances.primary] == group)
    number = np.full(len(cluster.nodes.names) + 1, NOWHERE)
    number[nodes] = np.arange(len(nodes))
    taken = {
        name: _rows(getattr(cluster.instances, name), instances)
        for name in cluster.instances.__struct_fields__
        if name != "worded"
    }
    taken["primary"] = number[cluster.instances.primary[instances]]
    taken["secondary"] = number[cluster.instances.secondary[instances]]
    kept = np.zeros(len(cluster.instances.names), dtype=np.bool_)
    kept[cluster.instances.worded] = True
    taken["worded"] = np.flatnonzero(kept[instances])
    return msgspec.structs.replace(
        cluster,
        nodes=msgspec.structs.replace(
            cluster.nodes,
            **{
                name: _rows(getattr(cluster.nodes, name), nodes)
                for name in cluster.nodes.__struct_fields__
            },
        ),
        instances=msgspec.structs.replace(cluster.instances, **taken),
        node_number={cluster.nodes.names[row]: at for at, row in enumerate(nodes.tolist())},
        instance_number={
            cluster.instances.names[row]: at for at, row in enumerate(instances.tolist())
        },
    )


def _rows(values: object, rows: Rows) -> object:
    if isinstance(values, tuple):
        return tuple(values[row] for row in rows.tolist())
    assert isinstance(values, np.ndarray)
    return values[rows]
