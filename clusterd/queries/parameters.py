"""Effective parameters above single instances: Ganeti's defaults below what the cluster stores."""

from __future__ import annotations

from typing import Any

import msgspec

from clusterd.defaults import DISK_TEMPLATES, IPOLICY, NDPARAMS
from clusterd.model import Cluster, Group, Params, Policy
from clusterd.parameters import disk_defaults, hypervisor_defaults


def own_policy(policy: Policy) -> dict[str, Any]:
    """What a policy sets itself."""
    found: dict[str, Any] = msgspec.to_builtins(policy)
    return {name: value for name, value in found.items() if value is not None}


def cluster_policy(cluster: Cluster) -> dict[str, Any]:
    """The cluster's instance policy."""
    return {**IPOLICY, **own_policy(cluster.ipolicy)}


def group_policy(cluster: Cluster, group: Group) -> dict[str, Any]:
    """A group's instance policy; the standard instance is the cluster's."""
    own = own_policy(group.ipolicy)
    own.pop("std", None)
    return {**cluster_policy(cluster), **own}


def cluster_ndparams(cluster: Cluster) -> Params:
    """Node parameters of the cluster."""
    return {**NDPARAMS, **cluster.ndparams}


def group_ndparams(cluster: Cluster, group: Group) -> Params:
    """Node parameters of a group."""
    return {**cluster_ndparams(cluster), **group.ndparams}


def cluster_diskparams(cluster: Cluster) -> dict[str, Params]:
    """Disk parameters by template."""
    below = {template: disk_defaults(template) for template in DISK_TEMPLATES}
    return _by_template(below, cluster.diskparams)


def group_diskparams(cluster: Cluster, group: Group) -> dict[str, Params]:
    """Disk parameters by template in a group."""
    return _by_template(cluster_diskparams(cluster), group.diskparams)


def cluster_hvparams(cluster: Cluster) -> dict[str, Params]:
    """Parameters of the enabled hypervisors."""
    return {
        name: {**hypervisor_defaults(name), **cluster.hvparams.get(name, {})}
        for name in cluster.enabled_hypervisors
    }


def _by_template(below: dict[str, Params], above: dict[str, Params]) -> dict[str, Params]:
    names = sorted(set(below) | set(above))
    return {name: {**below.get(name, {}), **above.get(name, {})} for name in names}
