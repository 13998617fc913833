"""Values that describe a volume and what was found of it. No behaviour, no I/O.

A volume is described completely by the caller, from one node's point of view: a plugin never
looks anything up. Sizes are MiB. Names follow Ganeti's on-disk layout.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec


class Template(enum.StrEnum):
    """The disk templates; the value is what users write after ``-t``."""

    PLAIN = "plain"
    DRBD = "drbd"
    FILE = "file"
    SHAREDFILE = "sharedfile"
    DISKLESS = "diskless"
    RBD = "rbd"
    EXT = "ext"
    GLUSTER = "gluster"
    BLOCKDEV = "blockdev"
    MEMORY = "memory"


class Mirror(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node's side of a DRBD pair. Invariant: the two sides share port and secret only."""

    minor: int
    port: int
    secret: str
    local_name: str
    """Host name of this node, as DRBD and messages show it."""
    local_address: str
    peer_name: str
    peer_address: str
    peer_minor: int
    meta_pool: str
    meta_name: str
    meta_size_mib: int = 128
    side: Literal[0, 1] = 0
    """Which of the two this node is as long as the pair lasts, whoever is primary and whoever the
    peer becomes. DRBD 9 writes it into the metadata."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The snapshot that a volume starts as, of the same template, and reachable where it is."""

    pool: str
    name: str
    snapshot: str
    size_mib: int
    label: str = ""
    """The owner's name where paths contain it."""


class Volume(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One disk as one node holds it.

    ``pool`` is the volume group, directory, pool or provider; ``name`` the logical volume, file or
    image in it (``<uuid>.disk0`` for plain, ``<uuid>.disk0_data`` for drbd, an absolute path's last
    part for files, a whole path for adopted devices). ``owner`` is the instance's uuid, ``label``
    its name (goes into LV tags).
    """

    template: Template
    uuid: str
    pool: str
    name: str
    size_mib: int
    owner: str
    label: str
    alias: str = ""
    """What people call the disk; empty for nothing."""
    index: int = 0
    access: Literal["rw", "ro"] = "rw"
    mirror: Mirror | None = None
    origin: Origin | None = None
    """What ``ensure`` starts a new volume from, by copy on write where the backend can; it must not
    be larger than the volume. Without effect on one that is there already."""
    params: dict[str, str | int | bool | float] = {}


class Role(enum.StrEnum):
    """Who may write here: ``primary`` is open for writing, ``secondary`` only receives."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    UNKNOWN = "unknown"


class Link(enum.StrEnum):
    """The mirror's connection, folded to what a decision needs."""

    NONE = "none"
    """Not a mirror, or not attached."""
    STANDALONE = "standalone"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    SYNCING = "syncing"


class Health(enum.StrEnum):
    """State of the local data, Ganeti's ldisk status."""

    OK = "ok"
    SYNC = "sync"
    FAULTY = "faulty"
    UNKNOWN = "unknown"


class NetworkSource(msgspec.Struct, frozen=True, kw_only=True):
    """How a guest reaches a volume by itself, without a device on the node."""

    protocol: Literal["rbd", "gluster", "nbd", "iscsi"]
    name: str
    """``pool/namespace/image``, ``volume/path``, an export, ``target/lun``."""
    hosts: tuple[tuple[str, int], ...] = ()
    """Address and port, where the protocol has no configuration file."""
    socket: str = ""
    """Path of a local socket instead of a host."""
    config: str = ""
    """The service's configuration file on this node."""
    user: str = ""
    keyring: str = ""
    """File on this node with the user's key."""

    @property
    def uri(self) -> str:
        """What QEMU's own programs call it."""
        if self.socket:
            return f"{self.protocol}+unix:///{self.name}?socket={self.socket}"
        if self.protocol != "rbd":
            host, port = self.hosts[0]
            return f"{self.protocol}://{host}:{port}/{self.name}"
        options = [("conf", self.config), ("id", self.user), ("keyring", self.keyring)]
        return "".join([f"rbd:{self.name}", *(f":{key}={text}" for key, text in options if text)])


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot of a volume; ``children`` are the volumes that depend on it, sorted."""

    name: str
    size_mib: int
    children: tuple[str, ...] = ()
    path: str | None = None
    """The file that it is and that others may read, where it is one."""


class VolumeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a node sees of one volume: ``present`` of its stored data, ``path`` while attached."""

    uuid: str
    present: bool
    path: str | None = None
    """Block device or file while attached, else None. A volume that guests reach through ``source``
    has one too, ``rbd:pool/image``: a name for people, not a file."""
    source: NetworkSource | None = None
    """How guests reach it, where that is not ``path``."""
    format: Literal["raw", "qcow2"] = "raw"
    """What is in the file at ``path``."""
    origin: str | None = None
    """The snapshot that its unwritten parts are read from, as the backend spells it."""
    snapshots: tuple[Snapshot, ...] = ()
    """Oldest first."""
    size_mib: int | None = None
    role: Role = Role.UNKNOWN
    peer_role: Role = Role.UNKNOWN
    link: Link = Link.NONE
    health: Health = Health.UNKNOWN
    peer_health: Health = Health.UNKNOWN
    two_primaries_allowed: bool = False
    sync_percent: float | None = None
    sync_seconds_left: int | None = None
    sync_stalled: bool = False
    """It was begun and does not go on: nothing was copied for minutes, or it was paused."""

    @property
    def degraded(self) -> bool:
        """True when a copy is missing, stale or unreachable."""
        return self.link is not Link.NONE and (
            self.link is not Link.CONNECTED or self.peer_health is not Health.OK
        )


class Filled(enum.StrEnum):
    """How a volume got the contents of an image."""

    COPIED = "copied"
    """Copied and compared."""
    SHARED = "shared"
    """It shares the blocks of the file until either is written; neither depends on the other."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of storage that a plugin finds on a node, wanted or not (``list``)."""

    template: Template
    pool: str
    name: str
    size_mib: int
    owner: str | None = None
    """Instance uuid where the storage itself records it (LV tag, directory), else None."""
    attached: bool = False
    """Shared storage may be told to be where another node has it."""
    held: bool = False
    """This node has something of shared storage that stays until it is detached here."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """Room in one pool."""

    template: Template
    pool: str
    total_mib: int
    free_mib: int
