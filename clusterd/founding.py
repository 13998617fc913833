"""What a new cluster is: the request, what was found on its first node, and the objects. Pure.

Decided here: which objects a new cluster begins with. What is refused is ``founding_checks``,
acting is ``bootstrap``. Backend, network and node parameters are stored in full; of hypervisor and
disk parameters only what the operator gave, since their defaults belong to the drivers and
backends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from clusterd import defaults, ipolicy, names, parameters
from clusterd.model import Cluster, Group, Node, Params, Policy

FILE_DIRECTORY = "/srv/ganeti/file-storage"
SHARED_FILE_DIRECTORY = "/srv/ganeti/shared-file-storage"
DEFAULT_NETDEV = "xen-br0"


class Founding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator asks for; None and empty mean: not said."""

    cluster_name: str
    node_name: str = ""
    primary_ip: str = ""
    secondary_ip: str = ""
    primary_ip_version: int = 4
    master_ip: str = ""
    """Instead of what the cluster's name resolves to."""
    master_netdev: str = DEFAULT_NETDEV
    master_netmask: int | None = None
    mac_prefix: str = names.MAC_PREFIX
    enabled_disk_templates: tuple[str, ...] = ("drbd", "plain")
    enabled_hypervisors: tuple[str, ...] = ("kvm",)
    vg_name: str | None = None
    drbd_usermode_helper: str = ""
    file_storage_dir: str | None = None
    shared_file_storage_dir: str | None = None
    gluster_storage_dir: str | None = None
    default_iallocator: str = ""
    default_iallocator_params: Params = {}
    candidate_pool_size: int = names.CANDIDATE_POOL_SIZE
    hvparams: dict[str, Params] = {}
    beparams: Params = {}
    nicparams: Params = {}
    ndparams: Params = {}
    diskparams: dict[str, Params] = {}
    ipolicy: dict[str, Any] = {}
    """In the shape of ``clusterd.model.Policy``."""
    maintain_node_health: bool = False
    prealloc_wipe_disks: bool = False
    store: Literal["sqlite", "etcd"] = "sqlite"
    """Where the cluster's state lives: a file of the master, or etcd on the master candidates."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that is to be the first node."""

    hostname: str
    node_ip: str | None
    """What the node's name resolves to."""
    cluster_ip: str | None
    """What the cluster's name resolves to."""
    cluster_ip_answers: bool = False
    addresses: tuple[str, ...]
    links: tuple[str, ...]
    volume_groups: dict[str, int]
    """Name -> size in MiB."""
    not_directories: tuple[str, ...] = ()
    """Wanted directories that are something else."""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """The request with nothing left open. ``master_ip`` empty: the cluster needs no own one."""

    founding: Founding
    node_name: str
    primary_ip: str
    secondary_ip: str
    master_ip: str
    master_netmask: int
    vg_name: str
    file_storage_dir: str
    shared_file_storage_dir: str
    warnings: tuple[str, ...] = ()

    @property
    def directories(self) -> tuple[str, ...]:
        """Those that disks lie in."""
        return tuple(filter(None, (self.file_storage_dir, self.shared_file_storage_dir)))


def wanted_directories(founding: Founding) -> tuple[str, str]:
    """Of ``file`` and of ``sharedfile``; empty for a template that is not enabled."""
    enabled = founding.enabled_disk_templates
    own, shared = founding.file_storage_dir, founding.shared_file_storage_dir
    return (
        (FILE_DIRECTORY if own is None else own) if "file" in enabled else "",
        (SHARED_FILE_DIRECTORY if shared is None else shared) if "sharedfile" in enabled else "",
    )


def first_objects(
    decided: Decided, uuid: Callable[[], str], now: float, certificate: str
) -> tuple[Cluster, Group, Node]:
    """What the store of a new cluster holds. ``certificate``: fingerprint of the node's."""
    asked = decided.founding
    cluster_uuid, group_uuid, node_uuid = uuid(), uuid(), uuid()
    cluster = Cluster(
        uuid=cluster_uuid,
        name=asked.cluster_name,
        ctime=now,
        mtime=now,
        master_node=node_uuid,
        master_netdev=asked.master_netdev,
        master_ip=decided.master_ip,
        master_netmask=decided.master_netmask,
        primary_ip_version=asked.primary_ip_version,
        mac_prefix=asked.mac_prefix.lower(),
        volume_group_name=decided.vg_name,
        drbd_usermode_helper=asked.drbd_usermode_helper,
        file_storage_dir=decided.file_storage_dir,
        shared_file_storage_dir=decided.shared_file_storage_dir,
        gluster_storage_dir=asked.gluster_storage_dir or "",
        enabled_disk_templates=asked.enabled_disk_templates,
        enabled_hypervisors=asked.enabled_hypervisors,
        default_iallocator=asked.default_iallocator,
        default_iallocator_params=asked.default_iallocator_params,
        candidate_pool_size=asked.candidate_pool_size,
        hvparams=effective_hvparams(asked),
        beparams=effective_beparams(asked.beparams),
        nicparams=effective_nicparams(asked.nicparams),
        ndparams={**defaults.NDPARAMS, **parameters.node(asked.ndparams, {})},
        diskparams=effective_diskparams(asked),
        ipolicy=effective_ipolicy(asked),
        prealloc_wipe_disks=asked.prealloc_wipe_disks,
        maintain_node_health=asked.maintain_node_health,
        store=asked.store,
    )
    group = Group(uuid=group_uuid, name=names.DEFAULT_GROUP, ctime=now, mtime=now)
    node = Node(
        uuid=node_uuid,
        name=decided.node_name,
        ctime=now,
        mtime=now,
        primary_ip=decided.primary_ip,
        secondary_ip=decided.secondary_ip,
        group=group_uuid,
        master_candidate=True,
        certificate=certificate,
        store_member=asked.store == "etcd",
    )
    return cluster, group, node


def effective_beparams(given: Params) -> Params:
    """Ganeti's defaults below what was given. This and those below raise Refused."""
    return {**defaults.BEPARAMS, **parameters.beparams(given, {})}


def effective_nicparams(given: Params) -> Params:
    """Ganeti's defaults below what was given."""
    own = parameters.merged(given, {}, defaults.NICPARAMS, "network card")
    return {**defaults.NICPARAMS, **own}


def effective_hvparams(founding: Founding) -> dict[str, Params]:
    """What was given, as the right types; one entry for each hypervisor that is enabled."""
    wanted = dict.fromkeys((*founding.enabled_hypervisors, *founding.hvparams))
    return {
        name: parameters.hypervisor(name, founding.hvparams.get(name, {}), {}) for name in wanted
    }


def effective_diskparams(founding: Founding) -> dict[str, Params]:
    """What was given, as the right types."""
    return {
        name: parameters.merged(given, {}, parameters.disk_defaults(name), f"{name} disk")
        for name, given in founding.diskparams.items()
    }


def effective_ipolicy(founding: Founding) -> Policy:
    """Ganeti's defaults below what was given; by default the templates that are enabled."""
    base = {**defaults.IPOLICY, "disk-templates": list(founding.enabled_disk_templates)}
    return ipolicy.changed(founding.ipolicy, msgspec.convert(base, Policy))
