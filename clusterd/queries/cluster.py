"""The cluster itself: as a queryable kind, as one dictionary, and as single values."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

from clusterd import names
from clusterd.defaults import BEPARAMS, NICPARAMS
from clusterd.model import Cluster
from clusterd.queries.field import Cell, Field, Resource, by_name, normal, plain, present
from clusterd.queries.parameters import (
    cluster_diskparams,
    cluster_hvparams,
    cluster_ndparams,
    cluster_policy,
)
from clusterd.queries.sources import Sources
from jobqueue.errors import Refused

VCS_VERSION = f"clusterd {names.PRODUCT_VERSION}"
COLLECTORS = ("cpu-avg-load", "diskstats", "drbd", "inst-status-xen", "lv", "xen-cpu-avg-load")
COLLECTOR_INTERVAL_US = 5_000_000


def architecture() -> list[str]:
    """``["64bits", "x86_64"]``"""
    return [platform.architecture()[0].replace("bit", "bits"), platform.machine()]


def master_name(sources: Sources) -> str:
    """The master node's name."""
    return sources.configuration.node(sources.configuration.cluster.master_node).name


def info(sources: Sources) -> dict[str, Any]:
    """What ``gnt-cluster info`` and RAPI's ``/2/info`` are made of."""
    cluster = sources.configuration.cluster
    return {
        **_versions(),
        "architecture": architecture(),
        "name": cluster.name,
        "master": master_name(sources),
        **_parameters(cluster),
        **_settings(cluster),
        **_constants(),
    }


def _versions() -> dict[str, Any]:
    return {
        "software_version": names.SOFTWARE_VERSION,
        "protocol_version": names.PROTOCOL_VERSION,
        "config_version": names.CONFIG_VERSION,
        "os_api_version": names.OS_API_VERSION,
        "export_version": names.EXPORT_VERSION,
        "vcs_version": VCS_VERSION,
    }


def _parameters(cluster: Cluster) -> dict[str, Any]:
    return {
        "default_hypervisor": next(iter(cluster.enabled_hypervisors), ""),
        "enabled_hypervisors": list(cluster.enabled_hypervisors),
        "hvparams": cluster_hvparams(cluster),
        "os_hvp": cluster.os_hvp,
        "beparams": {"default": {**BEPARAMS, **cluster.beparams}},
        "osparams": cluster.osparams,
        "ipolicy": cluster_policy(cluster),
        "nicparams": {"default": {**NICPARAMS, **cluster.nicparams}},
        "ndparams": cluster_ndparams(cluster),
        "diskparams": cluster_diskparams(cluster),
    }


def _settings(cluster: Cluster) -> dict[str, Any]:
    return {
        "candidate_pool_size": cluster.candidate_pool_size,
        "max_running_jobs": cluster.max_running_jobs,
        "max_tracked_jobs": cluster.max_tracked_jobs,
        "job_archive_age": cluster.job_archive_age_s,
        "mac_prefix": cluster.mac_prefix,
        "master_netdev": cluster.master_netdev,
        "master_netmask": cluster.master_netmask,
        "volume_group_name": cluster.volume_group_name or None,
        "vg_name": cluster.volume_group_name or None,
        "drbd_usermode_helper": cluster.drbd_usermode_helper or None,
        "drbd_helper": cluster.drbd_usermode_helper or None,
        "file_storage_dir": cluster.file_storage_dir,
        "shared_file_storage_dir": cluster.shared_file_storage_dir,
        "gluster_storage_dir": cluster.gluster_storage_dir,
        "maintain_node_health": cluster.maintain_node_health,
        "ctime": cluster.ctime,
        "mtime": cluster.mtime,
        "uuid": cluster.uuid,
        "tags": sorted(cluster.tags),
        "default_iallocator": cluster.default_iallocator,
        "default_iallocator_params": cluster.default_iallocator_params,
        "reserved_lvs": list(cluster.reserved_lvs),
        "primary_ip_version": cluster.primary_ip_version,
        "prealloc_wipe_disks": cluster.prealloc_wipe_disks,
        "hidden_os": list(cluster.hidden_os),
        "blacklisted_os": list(cluster.blacklisted_os),
        "enabled_disk_templates": list(cluster.enabled_disk_templates),
    }


def _constants() -> dict[str, Any]:
    """Settings of Ganeti that this cluster does not have, with the values that mean so."""
    return {
        "use_external_mip_script": False,
        "uid_pool": [],
        "install_image": "",
        "instance_communication_network": "",
        "zeroing_image": "",
        "compression_tools": [],
        "enabled_user_shutdown": False,
        "enabled_data_collectors": dict.fromkeys(COLLECTORS, False),
        "data_collector_interval": dict.fromkeys(COLLECTORS, COLLECTOR_INTERVAL_US),
        "modify_ssh_setup": False,
        "ssh_key_type": "rsa",
        "ssh_key_bits": 2048,
    }


CONFIG_VALUES: dict[str, Callable[[Sources], Any]] = {
    "cluster_name": lambda sources: sources.configuration.cluster.name,
    "master_node": master_name,
    "drain_flag": lambda sources: sources.jobs.drained,
    "watcher_pause": lambda sources: sources.configuration.cluster.watcher_pause,
    "modify_ssh_setup": lambda _sources: False,
    "ssh_key_type": lambda _sources: "rsa",
    "ssh_key_bits": lambda _sources: 2048,
}


def config_value(sources: Sources, name: str) -> Any:
    """One value of the configuration; raises Refused."""
    get = CONFIG_VALUES.get(name)
    if get is None:
        raise Refused(f"Unknown configuration value '{name}'", "wrong_input")
    return get(sources)


def _value(name: str) -> Callable[[Sources, Cluster], Cell]:
    return lambda sources, _cluster: present(CONFIG_VALUES[name](sources))


def _version(name: str) -> Callable[[Any], Any]:
    return lambda _cluster: _versions()[name]


FIELDS = (
    Field("name", "ClusterName", "text", "Name", plain(lambda c: c.name), hostname=True),
    Field("cluster_name", "ClusterName", "text", "Name", _value("cluster_name")),
    Field("master_node", "Master", "text", "Master node", _value("master_node")),
    Field("drain_flag", "QueueDrained", "bool", "Queue is drained", _value("drain_flag")),
    Field(
        "watcher_pause",
        "WatcherPause",
        "timestamp",
        "Until when the watcher pauses",
        _value("watcher_pause"),
    ),
    Field("ctime", "CTime", "timestamp", "When it was made", plain(lambda c: c.ctime)),
    Field("mtime", "MTime", "timestamp", "When it last changed", plain(lambda c: c.mtime)),
    Field("tags", "Tags", "other", "Tags", plain(lambda c: sorted(c.tags))),
    Field(
        "volume_group_name",
        "VgName",
        "text",
        "Volume group for instances",
        lambda _s, c: present(c.volume_group_name or None),
    ),
    Field(
        "architecture",
        "Architecture",
        "other",
        "Of the master",
        lambda _s, _c: normal(architecture()),
    ),
    *(
        Field(name, title, kind, doc, plain(_version(name)))
        for name, title, kind, doc in (
            ("software_version", "SoftwareVersion", "text", "Interface level of Ganeti"),
            ("protocol_version", "ProtocolVersion", "number", "Version of the protocols"),
            ("config_version", "ConfigVersion", "number", "Version of the configuration"),
            ("os_api_version", "OsApiVersion", "number", "Version of the OS interface"),
            ("export_version", "ExportVersion", "number", "Version of exports"),
            ("vcs_version", "VcsVersion", "text", "Version of this software"),
        )
    ),
)

RESOURCE = Resource(
    what="cluster",
    word="Cluster",
    key="name",
    fields=by_name(FIELDS),
    all=lambda sources: (sources.configuration.cluster,),
    find=lambda sources, name: (
        sources.configuration.cluster if sources.configuration.cluster.name == name else None
    ),
    name_of=lambda cluster: cluster.name,
)
