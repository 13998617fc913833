"""The stored objects of a cluster: frozen values, one object a key.

Nodes and instances are keyed by uuid and never refer to each other by name. What can be derived
(who is on a node, which ports are taken) is not stored. Times are seconds since the epoch, sizes
MiB.
"""

from __future__ import annotations

import enum
from typing import Any, Literal

import msgspec

ParamValue = str | int | float | bool
Params = dict[str, ParamValue]
Specs = dict[str, int]


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What each object carries."""

    uuid: str
    name: str
    serial_no: int = 1
    ctime: float = 0.0
    mtime: float = 0.0
    tags: tuple[str, ...] = ()


class MinMax(msgspec.Struct, frozen=True, kw_only=True):
    """One alternative of an instance policy."""

    min: Specs
    max: Specs


class Policy(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """What instances may look like. At group level None means: the cluster's."""

    minmax: tuple[MinMax, ...] | None = None
    std: Specs | None = None
    disk_templates: tuple[str, ...] | None = None
    vcpu_ratio: float | None = None
    spindle_ratio: float | None = None


class Balancing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the cluster is kept even without being asked. Gains are differences of htools' score."""

    enabled: bool = False
    begin_gain: float = 0.5
    """A round begins at rest when it gains this much,"""
    end_gain: float = 0.1
    """and others follow as long as they gain this much."""
    least_gain: float = 0.01
    """A move that gains less ends its round."""
    round_pause_s: float = 900.0
    """Between the end of a round and the next."""
    instance_pause_s: float = 6 * 3600.0
    """So long an instance stays where a round put it."""
    max_moves: int = 20
    """Of a round, in each node group."""
    disk_moves: bool = True
    cost_per_gib: float = 0.0
    """What a move must gain for each GiB that it copies."""
    quiet_hours: tuple[str, ...] = ()
    """``HH:MM-HH:MM`` in ``timezone``: no round begins."""
    timezone: str = "UTC"


class Cluster(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """The cluster itself and its defaults."""

    master_node: str
    """uuid of the node that is master."""
    master_netdev: str
    master_ip: str = ""
    """Empty: the cluster has no address of its own beside the master node's."""
    master_netmask: int = 32
    primary_ip_version: int = 4
    mac_prefix: str
    volume_group_name: str = ""
    drbd_usermode_helper: str = ""
    file_storage_dir: str = ""
    shared_file_storage_dir: str = ""
    gluster_storage_dir: str = ""
    """Below it nodes mount volumes of Gluster; empty: below their own directory for that."""
    enabled_disk_templates: tuple[str, ...] = ()
    enabled_hypervisors: tuple[str, ...] = ()
    default_iallocator: str = ""
    default_iallocator_params: Params = {}
    candidate_pool_size: int = 10
    max_running_jobs: int = 20
    max_tracked_jobs: int = 25
    job_archive_age_s: float = 21600.0
    """Jobs that ended so long ago are archived by themselves; 0: never. Ganeti's watcher's age."""
    hvparams: dict[str, Params] = {}
    os_hvp: dict[str, dict[str, Params]] = {}
    beparams: Params = {}
    nicparams: Params = {}
    ndparams: Params = {}
    diskparams: dict[str, Params] = {}
    osparams: dict[str, dict[str, str]] = {}
    ipolicy: Policy = Policy()
    hidden_os: tuple[str, ...] = ()
    blacklisted_os: tuple[str, ...] = ()
    reserved_lvs: tuple[str, ...] = ()
    prealloc_wipe_disks: bool = False
    maintain_node_health: bool = False
    modify_etc_hosts: bool = False
    watcher_pause: float | None = None
    queue_drained: bool = False
    balancing: Balancing = Balancing()
    store: Literal["sqlite", "etcd"] = "sqlite"
    """The engine that this configuration lives in."""


class Group(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """A node group."""

    alloc_policy: Literal["preferred", "last_resort", "unallocable"] = "preferred"
    ndparams: Params = {}
    diskparams: dict[str, Params] = {}
    ipolicy: Policy = Policy()
    hv_state: dict[str, Specs] = {}
    """Hypervisor -> what it and the node take. As ``disk_state`` kept for those who set it; nothing
    is decided by it."""
    disk_state: dict[str, dict[str, Specs]] = {}
    """Disk template -> volume group -> what is kept free of instances."""
    networks: dict[str, Params] = {}
    """uuid of each network that its nodes reach -> ``mode``, ``link`` and ``vlan`` of its cards."""


class Node(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """A node host."""

    primary_ip: str
    secondary_ip: str
    group: str
    """uuid of its group."""
    offline: bool = False
    drained: bool = False
    master_candidate: bool = False
    master_capable: bool = True
    vm_capable: bool = True
    ndparams: Params = {}
    certificate: str = ""
    """SHA-256 fingerprint of the node's certificate."""
    store_member: bool = False
    """It runs a member of the store."""


class Nic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A network card of an instance; ``params`` are only what differs from the cluster's."""

    uuid: str
    mac: str
    ip: str | None = None
    name: str | None = None
    network: str | None = None
    params: Params = {}


class DrbdPair(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Identities of a mirrored disk. Invariant: which node is primary is the instance's matter;
    ``nodes`` and ``minors`` keep their order over the life of the pair."""

    nodes: tuple[str, str]
    minors: tuple[int, int]
    port: int
    secret: str
    labels: tuple[str, str] | None = None
    """What the two nodes call their data, where one of them was exchanged; None: the disk's label
    on both."""


class DiskOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot that a disk is a copy on write of, by its on-node names."""

    image: str | None = None
    """uuid of the image; None: a snapshot of an instance."""
    pool: str
    name: str
    snapshot: str
    size_mib: int
    label: str = ""


class Disk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A disk of an instance."""

    uuid: str
    template: str
    size_mib: int
    pool: str = ""
    """Volume group or directory."""
    meta_pool: str = ""
    label: str = ""
    """The part of the on-node names that Ganeti draws apart from the uuid: ``<label>.disk0``."""
    number: int | None = None
    """The N of those names; None: the disk's place among the instance's. It stays when a disk
    before it is removed."""
    mode: Literal["rw", "ro"] = "rw"
    name: str | None = None
    drbd: DrbdPair | None = None
    params: Params = {}
    origin: DiskOrigin | None = None
    synced: bool = False
    """True once the mirror was complete for the first time."""


class InstanceSnapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The contents that all disks of an instance had at one moment."""

    uuid: str
    name: str
    ctime: float
    disks: tuple[str, ...]
    """uuids of the disks."""
    frozen: bool = False
    """The guest's file systems were frozen at that moment."""
    made_by: int | None = None
    """The job that is still making it."""


class CloudInit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What cloud-init in the guest is told at its first boot, beside its name and network."""

    user_data: str = ""
    ssh_keys: tuple[str, ...] = ()
    """Public keys that the guest's usual user is given."""
    network_config: str = ""
    """Instead of what follows from the network cards."""


class AdminState(enum.StrEnum):
    """What the operator wants."""

    UP = "up"
    DOWN = "down"
    OFFLINE = "offline"


class Instance(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """A virtual machine."""

    primary_node: str
    """uuid"""
    secondary_node: str | None = None
    hypervisor: str
    os: str
    disk_template: str
    admin_state: AdminState = AdminState.DOWN
    admin_state_source: Literal["admin", "user"] = "admin"
    disks_active: bool = False
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    hvparams: Params = {}
    beparams: Params = {}
    osparams: dict[str, str] = {}
    network_port: int | None = None
    snapshots: tuple[InstanceSnapshot, ...] = ()
    """Oldest first."""
    made_by: int | None = None
    """The job that is still making it; hidden from queries until that job commits it."""
    drafted: tuple[Disk, ...] = ()
    """Disks that a job is making for this instance, or has taken from it and not removed yet: their
    identities are taken, and no guest uses them. Those that are not on the instance's own nodes
    are on ``moving_to``."""
    cloud_init: CloudInit | None = None
    """Its guest gets a seed disk with this; None: it gets none."""
    moving_to: str | None = None
    """uuid of the node that a live migration under way takes it to."""

    def number_of(self, disk: Disk) -> int:
        """The N in the on-node names of one of its disks, drafted ones included."""
        return self.disks.index(disk) if disk.number is None else disk.number


class Network(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """A pool of addresses that instances' cards may have. Which of them have one is not stored."""

    network: str
    """The IPv4 subnet, ``192.0.2.0/24``."""
    gateway: str | None = None
    network6: str | None = None
    """For the guests and hooks to know; of IPv6 nothing is pooled."""
    gateway6: str | None = None
    mac_prefix: str | None = None
    """Instead of the cluster's."""
    ext_reservations: str = ""
    """For each address of the subnet 1 if no instance may have it, else 0. Empty: the subnet's own
    address, the broadcast address and the gateway alone."""


class Image(Stored, frozen=True, kw_only=True, omit_defaults=True):
    """What instances can begin as: a protected snapshot of a volume of its own."""

    template: str
    pool: str
    size_mib: int = 0
    """Zero until it was measured."""
    format: str = ""
    """What it was made from: raw or qcow2."""
    checksum: str = ""
    """``sha256:...`` of the file that it was made from."""
    source: str = ""
    """The file, and its node."""
    nodes: tuple[str, ...] = ()
    """uuids of the nodes that hold a copy each; empty where all nodes of a group reach it."""
    cached: tuple[str, ...] = ()
    """Those of them that got theirs from another node, for the instances there."""
    contents: str = ""
    """``sha256:...`` of what the copies hold; known since one was copied between nodes."""
    params: Params = {}
    properties: dict[str, str] = {}
    """For people and programs; clusterd reads none."""
    made_by: int | None = None
    """The job that is still making it; hidden until then."""


ANY = Cluster | Group | Node | Instance | Network | Image

KINDS: dict[str, type[Any]] = {
    "cluster": Cluster,
    "group": Group,
    "node": Node,
    "instance": Instance,
    "network": Network,
    "image": Image,
}
