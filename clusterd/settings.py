"""What one machine must know before it can ask anybody: one typed TOML file.

Decided here: its sections, defaults, bounds, where files lie, and where each value came from. Not
decided here: anything that belongs to the cluster as a whole; that is configuration, in the store.

``CLUSTERD_ROOT`` is a prefix of the four directories, so that several daemons run on one machine;
the file itself never names it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from clusterd import names
from clusterd.errors import ClusterError, NoCluster

ROOT_VARIABLE = "CLUSTERD_ROOT"
DAEMONS = ("clusterd-node", "clusterd-store", "clusterd-master", "clusterd-rapi")
"""In the order in which they are started; stopped the other way round."""

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]
Absolute = Annotated[str, msgspec.Meta(pattern=r"^/")]
Role = Literal["master-candidate", "node"]


class BadSettings(ClusterError):
    """The settings file cannot be used."""

    code = "bad_settings"


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of the file."""


def _check_addresses(section: Section, keys: tuple[str, ...]) -> None:
    for key in keys:
        value = getattr(section, key)
        if not value:
            continue
        try:
            ipaddress.ip_address(value)
        except ValueError:
            raise ValueError(f"{key}: {value!r} is not an IP address") from None


class ClusterSection(Section, frozen=True, kw_only=True):
    """Which cluster this machine is part of; empty before it is."""

    name: str = ""
    uuid: str = ""


class NodeSection(Section, frozen=True, kw_only=True):
    """This machine. ``bind_address`` empty: all addresses."""

    name: str = ""
    role: Role = "node"
    primary_ip: str = ""
    secondary_ip: str = ""
    bind_address: str = ""
    port: Port = names.NODE_PORT

    def __post_init__(self) -> None:
        _check_addresses(self, ("primary_ip", "secondary_ip", "bind_address"))


class RapiSection(Section, frozen=True, kw_only=True):
    """The remote API; ``user`` is whom it runs as when started by root, if that user exists."""

    bind_address: str = ""
    port: Port = names.RAPI_PORT
    user: str = "clusterd-rapi"
    require_authentication: bool = False

    def __post_init__(self) -> None:
        _check_addresses(self, ("bind_address",))


class Directories(Section, frozen=True, kw_only=True):
    """Before the prefix; read them through ``Settings``."""

    config: Absolute = names.CONFIG_DIRECTORY
    state: Absolute = names.STATE_DIRECTORY
    run: Absolute = names.RUN_DIRECTORY
    log: Absolute = names.LOG_DIRECTORY
    export: Absolute = names.EXPORT_DIRECTORY


class StoreSection(Section, frozen=True, kw_only=True):
    """Where the cluster's state lives; a relative ``path`` lies in the state directory. The ports
    are those of this machine's member of the etcd cluster, for clients and for other members."""

    engine: Literal["sqlite", "etcd"] = "sqlite"
    path: str = "store.sqlite"
    client_port: Port = names.STORE_PORT
    peer_port: Port = names.STORE_PEER_PORT
    lease_s: Annotated[float, msgspec.Meta(ge=2, le=300)] = 6.0
    """With etcd: so long after a master has fallen silent another one takes over. A store that is
    slow for longer costs the master its mastership."""


class StorageSection(Section, frozen=True, kw_only=True):
    """What this machine offers for disks. An empty list offers nothing."""

    volume_groups: tuple[str, ...] = ()
    file_directories: tuple[Absolute, ...] = ()
    shared_file_directories: tuple[Absolute, ...] = ()
    ceph_config: Absolute = "/etc/ceph/ceph.conf"
    ceph_user: str = ""
    ceph_pools: tuple[str, ...] = ("rbd",)


class HypervisorsSection(Section, frozen=True, kw_only=True):
    """Which drivers this machine offers; empty: all that there are."""

    offered: tuple[str, ...] = ()


class Timeouts(Section, frozen=True, kw_only=True):
    """How long to wait for others."""

    connect_s: Seconds = 5.0
    start_s: Seconds = 60.0
    stop_s: Seconds = 30.0


class Effective(msgspec.Struct, frozen=True):
    """One value as it is used, and why."""

    key: str
    value: Any
    why: str


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. ``root`` and ``origins`` are never in it."""

    cluster: ClusterSection = ClusterSection()
    node: NodeSection = NodeSection()
    rapi: RapiSection = RapiSection()
    directories: Directories = Directories()
    store: StoreSection = StoreSection()
    storage: StorageSection = StorageSection()
    hypervisors: HypervisorsSection = HypervisorsSection()
    timeouts: Timeouts = Timeouts()
    root: str = ""
    origins: dict[str, str] = {}
    """Key of a value -> where it came from; what is absent is the default."""

    @classmethod
    def load(
        cls, path: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> Settings:
        """Read ``path`` (None: the usual place). Raises NoCluster without a file, BadSettings."""
        root = root_of(environment)
        where = path or usual_path(root)
        try:
            text = where.read_text("utf-8")
        except FileNotFoundError:
            raise NoCluster(
                f"this machine is not part of a cluster: there is no {where}; run"
                " 'gnt-cluster init' here or 'gnt-node add' on the master"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(f"cannot read {where}: {error}") from error
        return cls.parse(text, source=str(where), root=root)

    @classmethod
    def parse(cls, text: str, *, source: str, root: str = "") -> Settings:
        """Decode strictly; the error names the key and what is known instead."""
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise BadSettings(f"{source} is not valid TOML: {error}") from None
        _refuse_unknown(data, source)
        try:
            found = msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise BadSettings(f"{source}: {error}") from None
        origins = {
            f"{section}.{key}": f"file {source}" for section in data for key in data[section]
        }
        return msgspec.structs.replace(found, root=root, origins=origins)

    def override(self, section: str, why: str, **values: Any) -> Settings:
        """The same with values from elsewhere (an option), checked like those of the file."""
        merged = msgspec.to_builtins(getattr(self, section)) | values
        try:
            part = msgspec.convert(merged, type(getattr(self, section)))
        except msgspec.ValidationError as error:
            raise BadSettings(f"{why}: {error}") from None
        origins = self.origins | {f"{section}.{key}": why for key in values}
        return msgspec.structs.replace(self, **{section: part}, origins=origins)

    def effective(self) -> tuple[Effective, ...]:
        """Every value with where it came from; directories with the prefix."""
        rows = []
        for section, part in self._sections():
            for key in part.__struct_fields__:
                name = f"{section}.{key}"
                why = self.origins.get(name, "default")
                value = getattr(part, key)
                if section == "directories" and self.root:
                    value, why = self.root + value, f"{why}, below {ROOT_VARIABLE}={self.root}"
                rows.append(Effective(name, value, why))
        return tuple(rows)

    def to_toml(self) -> str:
        """The file's text: what differs from the defaults, and who the machine is."""
        lines = [
            "# Settings of clusterd on this machine; see them all with --show-effective --why."
        ]
        for section, part in self._sections():
            shown = [
                f"{key} = {_toml(getattr(part, key))}"
                for key in part.__struct_fields__
                if getattr(part, key) != getattr(type(part)(), key)
            ]
            if shown:
                lines += ["", f"[{section}]", *shown]
        return "\n".join(lines) + "\n"

    def without_cluster(self) -> Settings:
        """What stays when this machine leaves its cluster: where files lie, ports, times."""
        return msgspec.structs.replace(
            self,
            cluster=ClusterSection(),
            node=NodeSection(bind_address=self.node.bind_address, port=self.node.port),
            storage=StorageSection(),
            store=msgspec.structs.replace(self.store, engine="sqlite"),
        )

    @property
    def daemons(self) -> tuple[str, ...]:
        """Those that run on this machine, by its role and the store's engine."""
        if self.node.role == "node":
            return DAEMONS[:1]
        member = self.store.engine == "etcd" and self.store_data.is_dir()
        return tuple(one for one in DAEMONS if one != "clusterd-store" or member)

    def require_cluster(self) -> Settings:
        """Itself; raises NoCluster when the file says only where things lie."""
        if not self.cluster.uuid:
            raise NoCluster(f"this machine is not part of a cluster: {self.path} names none")
        return self

    @property
    def config_directory(self) -> Path:
        """This file, hooks, the users of the remote API."""
        return Path(self.root + self.directories.config)

    @property
    def state_directory(self) -> Path:
        """Keys, certificates, the store."""
        return Path(self.root + self.directories.state)

    @property
    def run_directory(self) -> Path:
        """Sockets, pid files; empty after a reboot."""
        return Path(self.root + self.directories.run)

    @property
    def log_directory(self) -> Path:
        """One file a daemon."""
        return Path(self.root + self.directories.log)

    @property
    def export_directory(self) -> Path:
        """Where this machine keeps exports of instances."""
        return Path(self.root + self.directories.export)

    @property
    def path(self) -> Path:
        """The settings file itself."""
        return self.config_directory / names.SETTINGS_FILE

    @property
    def store_path(self) -> Path:
        """The file of the embedded store."""
        return self.state_directory / self.store.path

    @property
    def store_data(self) -> Path:
        """What this machine's member of the etcd cluster keeps; absent where it is none."""
        return self.state_directory / "etcd"

    @property
    def members_path(self) -> Path:
        """Where the members of the etcd cluster are written down."""
        return self.state_directory / "store-members"

    @property
    def socket_directory(self) -> Path:
        """The master's local doors, under the names that Ganeti's clients look for."""
        return self.run_directory / "socket"

    @property
    def users_path(self) -> Path:
        """Users of the remote API, in Ganeti's format."""
        return self.state_directory / "rapi" / "users"

    def pid_path(self, daemon: str) -> Path:
        """Held locked by the daemon as long as it lives."""
        return self.run_directory / f"{daemon}.pid"

    def log_path(self, daemon: str) -> Path:
        """One event a line."""
        return self.log_directory / f"{daemon}.log"

    def _sections(self) -> tuple[tuple[str, Section], ...]:
        pairs = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return tuple((name, part) for name, part in pairs if isinstance(part, Section))


SECTIONS: dict[str, tuple[str, ...]] = {
    name: part.__struct_fields__ for name, part in Settings()._sections()
}
"""Section -> its keys."""


def root_of(environment: Mapping[str, str] | None = None) -> str:
    """The prefix that the environment asks for, without a slash at its end."""
    root = (os.environ if environment is None else environment).get(ROOT_VARIABLE, "")
    if root and not root.startswith("/"):
        raise BadSettings(f"{ROOT_VARIABLE}={root} must be an absolute path")
    return root.rstrip("/")


def usual_path(root: str = "") -> Path:
    """Where the file lies when nobody says otherwise."""
    return Path(f"{root}{names.CONFIG_DIRECTORY}/{names.SETTINGS_FILE}")


def _refuse_unknown(data: dict[str, Any], source: str) -> None:
    for section, part in data.items():
        if section not in SECTIONS:
            raise BadSettings(
                f"{source}: unknown section [{section}]; known are {', '.join(SECTIONS)}"
            )
        if not isinstance(part, dict):
            raise BadSettings(f"{source}: {section} must be a section, written [{section}]")
        for key in part:
            if key not in SECTIONS[section]:
                raise BadSettings(
                    f"{source}: unknown key {key!r} in section [{section}]; known are"
                    f" {', '.join(SECTIONS[section])}"
                )


def _toml(value: object) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # JSON's strings, numbers and booleans are TOML's, but for DEL which TOML wants escaped
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
