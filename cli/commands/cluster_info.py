"""What ``gnt-cluster info`` shows, from the door's QueryClusterInfo. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cli.output import moment
from cli.policy import policy_info
from clusterd.names import EXTSTORAGE_SEARCH_PATH, OS_SEARCH_PATH

_PARAMETERS = (
    ("candidate pool size", "candidate_pool_size"),
    ("maximal number of jobs running simultaneously", "max_running_jobs"),
    ("maximal number of jobs simultaneously tracked by the scheduler", "max_tracked_jobs"),
    ("age in seconds at which jobs are archived", "job_archive_age"),
    ("mac prefix", "mac_prefix"),
    ("master netdev", "master_netdev"),
    ("master netmask", "master_netmask"),
    ("use external master IP address setup script", "use_external_mip_script"),
    ("lvm volume group", "volume_group_name"),
    ("lvm reserved volumes", "reserved_lvs"),
    ("drbd usermode helper", "drbd_usermode_helper"),
    ("file storage path", "file_storage_dir"),
    ("shared file storage path", "shared_file_storage_dir"),
    ("gluster storage path", "gluster_storage_dir"),
    ("maintenance of node health", "maintain_node_health"),
    ("uid pool", "uid_pool"),
    ("default instance allocator", "default_iallocator"),
    ("default instance allocator parameters", "default_iallocator_params"),
    ("primary ip version", "primary_ip_version"),
    ("preallocation wipe disks", "prealloc_wipe_disks"),
    ("OS search path", ""),
    ("ExtStorage Providers search path", ""),
    ("enabled disk templates", "enabled_disk_templates"),
    ("install image", "install_image"),
    ("instance communication network", "instance_communication_network"),
    ("zeroing image", "zeroing_image"),
    ("compression tools", "compression_tools"),
    ("enabled user shutdown", "enabled_user_shutdown"),
    ("modify ssh setup", "modify_ssh_setup"),
    ("ssh_key_type", "ssh_key_type"),
    ("ssh_key_bits", "ssh_key_bits"),
)
"""Title and key; a key that the answer lacks is left out."""

_SEARCH_PATHS = {
    "OS search path": OS_SEARCH_PATH,
    "ExtStorage Providers search path": EXTSTORAGE_SEARCH_PATH,
}
_NAMES_WITH_COMMAS = frozenset({"enabled_disk_templates", "uid_pool"})
_NONE_WHEN_EMPTY = frozenset({"volume_group_name", "drbd_usermode_helper"})


def cluster_info(cluster: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Keys and values in their order."""
    architecture: Sequence[str] = cluster.get("architecture") or ("", "")
    rows: list[tuple[str, Any]] = [
        ("Cluster name", cluster["name"]),
        ("Cluster UUID", cluster["uuid"]),
        ("Creation time", moment(cluster["ctime"])),
        ("Modification time", moment(cluster["mtime"])),
        ("Master node", cluster["master"]),
        ("Architecture (this node)", f"{architecture[0]} ({architecture[1]})"),
        ("Tags", ", ".join(sorted(cluster.get("tags") or ())) or "(none)"),
        ("Default hypervisor", cluster["default_hypervisor"]),
        ("Enabled hypervisors", ", ".join(cluster["enabled_hypervisors"])),
        ("Hypervisor parameters", _enabled(cluster)),
        ("OS-specific hypervisor parameters", _sorted(cluster.get("os_hvp"))),
        ("OS parameters", _sorted(cluster.get("osparams"))),
        ("Hidden OSes", ", ".join(cluster.get("hidden_os") or ())),
        ("Blacklisted OSes", ", ".join(cluster.get("blacklisted_os") or ())),
        ("Cluster parameters", _parameters(cluster)),
        ("Default node parameters", _sorted(cluster.get("ndparams"))),
        ("Default instance parameters", _sorted(cluster.get("beparams"))),
        ("Default nic parameters", _sorted(cluster.get("nicparams"))),
        ("Default disk parameters", _sorted(cluster.get("diskparams"))),
        (
            "Instance policy - limits for instances",
            policy_info(cluster.get("ipolicy") or {}),
        ),
    ]
    collectors = _collectors(cluster)
    return [*rows, ("Data collectors", collectors)] if collectors else rows


def _enabled(cluster: Mapping[str, Any]) -> dict[str, Any]:
    enabled = cluster["enabled_hypervisors"]
    found = cluster.get("hvparams") or {}
    return {name: _sorted(found[name]) for name in sorted(found) if name in enabled}


def _sorted(value: Any) -> dict[str, Any]:
    return {
        key: _sorted(item) if isinstance(item, dict) else _text(item)
        for key, item in sorted((value or {}).items())
    }


def _text(value: Any) -> Any:
    return "" if value is None else value


def _parameters(cluster: Mapping[str, Any]) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for title, key in _PARAMETERS:
        if not key:
            rows.append((title, ", ".join(_SEARCH_PATHS[title])))
        elif key in cluster:
            rows.append((title, _parameter(key, cluster[key])))
    return rows


def _parameter(key: str, value: Any) -> Any:
    if key == "reserved_lvs":
        return ", ".join(value or ()) or "(none)"
    if key in _NONE_WHEN_EMPTY:
        return value or "None"
    if key in _NAMES_WITH_COMMAS:
        return ", ".join(str(item) for item in value or ())
    return _text(value)


def _collectors(cluster: Mapping[str, Any]) -> dict[str, Any]:
    intervals = cluster.get("data_collector_interval") or {}
    return {
        name: {"active": active, "interval": f"{intervals.get(name, 0) / 1e6:.3f}s"}
        for name, active in sorted((cluster.get("enabled_data_collectors") or {}).items())
    }
