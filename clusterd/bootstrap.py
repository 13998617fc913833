"""Begin a cluster on this machine, and end it: what no job can do, since jobs need a cluster.

Decided here: the order, and what a crash in the middle leaves. A marker lies in the state directory
from before the first change until all daemons serve; a later ``init`` that finds it first takes
away what the unfinished one made. Everything that can be refused is refused before the marker.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from clusterd import certificates
from clusterd.certificates import MASTER_CANDIDATE, Subject
from clusterd.configuration import Configuration, added
from clusterd.durable import make_directory, sync_directory, write_durable
from clusterd.errors import ClusterError, NoCluster, NotMaster, NotReady
from clusterd.founding import Decided, Found, Founding, first_objects, wanted_directories
from clusterd.founding_checks import Known, decide
from clusterd.master_address import MasterAddress
from clusterd.model import Cluster, Node
from clusterd.services import Machine, Services
from clusterd.settings import ClusterSection, NodeSection, Settings, StorageSection
from clusterd.store_members import BEGIN_FILE, FIRST_OBJECTS, Begin, Member, write_members
from jobqueue.errors import Refused
from jobqueue.store.interface import Store

MARKER = "initialising"
STATE_PATTERNS = (
    *("ca.*", "node.*", "node-*", "rapi.pem", "rapi/users", "known_hosts"),
    *("store-ca.*", "store.pem", "store.key", "store-begin", "store-members", FIRST_OBJECTS),
)
"""What a cluster leaves in the state directory; other files there are the operator's."""

PING_TIMEOUT_S = 2.0
DOOR_POLL_S = 0.2
MIB = 1024 * 1024


class FirstMachine(Machine, Protocol):
    """The machine that is to be the first node."""

    def hostname(self) -> str:
        """Its full name."""

    def resolve(self, name: str, family: socket.AddressFamily) -> str | None:
        """The first address of a name, or None."""

    def answers(self, address: str, port: int, timeout_s: float) -> bool:
        """True when something takes connections there."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def uuid(self) -> str:
        """A new random uuid."""


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to act."""

    machine: FirstMachine
    services: Callable[[Settings], Services]
    open_store: Callable[[Path], Store]
    door_answers: Callable[[], bool]
    known: Known
    told: Callable[[str], None] = lambda line: None


def look(founding: Founding, machine: FirstMachine, port: int) -> Found:
    """What there is on this machine; changes nothing."""
    family = socket.AF_INET6 if founding.primary_ip_version == 6 else socket.AF_INET
    hostname = machine.hostname()
    links = json.loads(_output(machine, ["ip", "-j", "address"], "[]"))
    addresses = tuple(row["local"] for link in links for row in link.get("addr_info", []))
    cluster_ip = founding.master_ip or machine.resolve(founding.cluster_name, family)
    foreign = cluster_ip is not None and cluster_ip not in addresses
    directories = tuple(Path(path) for path in wanted_directories(founding) if path)
    return Found(
        hostname=hostname,
        node_ip=machine.resolve(founding.node_name or hostname, family),
        cluster_ip=cluster_ip,
        cluster_ip_answers=foreign and machine.answers(cluster_ip or "", port, PING_TIMEOUT_S),
        addresses=addresses,
        links=tuple(link["ifname"] for link in links),
        volume_groups=_volume_groups(machine),
        not_directories=tuple(
            str(path) for path in directories if path.exists() and not path.is_dir()
        ),
    )


async def initialise(founding: Founding, settings: Settings, tools: Tools) -> Settings:
    """Make the cluster and start it; answers this machine's settings. Raises Refused unchanged,
    ClusterError after taking back what was made."""
    if _marker(settings).exists():
        tools.told("an earlier init did not finish; taking away what it made")
        _take_away(settings, tools)
        settings = settings.without_cluster()
    if settings.cluster.uuid:
        raise Refused("Cluster is already initialised", "wrong_state")
    found = look(founding, tools.machine, settings.node.port)
    decided = decide(founding, found, tools.known)
    for warning in decided.warnings:
        tools.told(f"warning: {warning}")
    made = settings
    try:
        made = await _make(decided, settings, tools)
        _start(made, tools)
    except BaseException:
        try:
            _take_away(made, tools)
        except ClusterError as second:
            tools.told(
                f"what was made could not be taken away ({second}); the next init tries again"
            )
        raise
    _marker(made).unlink()
    sync_directory(made.state_directory)
    return made


def destroy(settings: Settings, tools: Tools, address: MasterAddress) -> None:
    """End the daemons of this machine and forget the cluster. Again after a crash: goes on."""
    write_durable(_marker(settings), msgspec.json.encode(address))
    _take_away(settings, tools)


def recover(settings: Settings, tools: Tools) -> bool:
    """Finish a ``destroy`` or take away an ``init`` that was cut off; False when there is none."""
    if not _marker(settings).exists():
        return False
    _take_away(settings, tools)
    return True


async def check_master(store: Store, settings: Settings) -> tuple[Cluster, Node]:
    """The cluster and its master node; raises NotMaster unless that is this machine."""
    if settings.node.role != MASTER_CANDIDATE:
        raise NotMaster(
            f"{settings.node.name} is not the master and not a candidate; see gnt-cluster getmaster"
        )
    configuration = Configuration()
    await configuration.load(store)
    if not configuration.exists:
        raise NoCluster(f"the store {settings.store_path} holds no cluster")
    cluster = configuration.cluster
    master = configuration.find_node(cluster.master_node)
    if master is None or master.name != settings.node.name:
        raise NotMaster(
            f"the master is {master.name if master else 'unknown'}, this is {settings.node.name}"
        )
    return cluster, master


async def _make(decided: Decided, settings: Settings, tools: Tools) -> Settings:
    machine, now, asked = tools.machine, tools.machine.now(), decided.founding
    make_directory(settings.config_directory)
    # others find there only what they know by name and may read (the remote API's key)
    make_directory(settings.state_directory, 0o711)
    address = MasterAddress(
        ip=decided.master_ip,
        netmask=decided.master_netmask,
        netdev=decided.founding.master_netdev,
    )
    write_durable(_marker(settings), msgspec.json.encode(address))
    _wipe_state(settings)
    for path in decided.directories:
        make_directory(Path(path), 0o750)
    tools.told("making the cluster's keys")
    print_ = _make_keys(decided, settings, now)
    cluster, group, node = first_objects(decided, machine.uuid, now, print_)
    made = _settings(decided, settings, cluster.uuid)
    tools.told("writing the configuration")
    if asked.store == "etcd":
        first = added(cluster) + added(group) + added(node)
        write_durable(made.state_directory / FIRST_OBJECTS, msgspec.json.encode(first.puts))
        begin_etcd(made, now)
    else:
        store = tools.open_store(made.store_path)
        try:
            await store.commit(added(cluster) + added(group) + added(node))
        finally:
            await store.close()
    # the settings last: they are what makes this machine part of a cluster
    write_durable(made.path, made.to_toml().encode(), 0o644)
    address.up(machine)
    return made


def begin_etcd(settings: Settings, now: float) -> None:
    """An etcd of one member, on this machine, empty; ``clusterd-store`` starts it."""
    state, node = settings.state_directory, settings.node
    authority = certificates.make_authority(f"{settings.cluster.name} store", now)
    own = tuple(dict.fromkeys((node.primary_ip, node.secondary_ip)))
    subject = Subject(name=node.name, addresses=own, role=MASTER_CANDIDATE)
    for name, content in certificates.store_files(authority, subject, now).items():
        write_durable(state / name, content)
    member = Member(
        name=node.name,
        address=node.primary_ip,
        client_port=settings.store.client_port,
        peer_port=settings.store.peer_port,
    )
    write_members(settings.members_path, (member,))
    begin = Begin(members=(member,), state="new", token=settings.cluster.uuid)
    write_durable(state / BEGIN_FILE, msgspec.json.encode(begin))
    make_directory(settings.store_data, 0o700)


def _make_keys(decided: Decided, settings: Settings, now: float) -> str:
    """The authority, this node's pair, the remote API's; answers the node's fingerprint."""
    state = settings.state_directory
    authority = certificates.make_authority(decided.founding.cluster_name, now)
    certificates.write_authority(state, authority)
    own = tuple(dict.fromkeys((decided.primary_ip, decided.secondary_ip)))
    subject = Subject(name=decided.node_name, addresses=own, role=MASTER_CANDIDATE)
    pair = certificates.issue_node(authority, subject, now)
    certificates.write_node(state, pair)
    names = (decided.founding.cluster_name, decided.node_name, decided.master_ip, *own)
    rapi = certificates.issue_rapi(authority, (*filter(None, names), "localhost"), now)
    certificates.write_rapi(state, rapi, authority.certificate)
    make_directory(settings.users_path.parent, 0o750)
    write_durable(settings.users_path, b"")
    for path, mode in (
        (state / certificates.RAPI_FILE, 0o640),
        (state / certificates.AUTHORITY_FILE, 0o640),
        (settings.users_path.parent, 0o750),
        (settings.users_path, 0o640),
    ):
        # without that user the remote API runs as whoever starts it
        with contextlib.suppress(LookupError, PermissionError):
            shutil.chown(path, group=settings.rapi.user)
        path.chmod(mode)
    return certificates.fingerprint(pair.certificate)


def _settings(decided: Decided, settings: Settings, cluster_uuid: str) -> Settings:
    asked = decided.founding
    return msgspec.structs.replace(
        settings,
        cluster=ClusterSection(name=asked.cluster_name, uuid=cluster_uuid),
        node=NodeSection(
            name=decided.node_name,
            role=MASTER_CANDIDATE,
            primary_ip=decided.primary_ip,
            secondary_ip=decided.secondary_ip,
            bind_address=settings.node.bind_address,
            port=settings.node.port,
        ),
        store=msgspec.structs.replace(settings.store, engine=asked.store),
        storage=StorageSection(
            volume_groups=(decided.vg_name,) if decided.vg_name else (),
            file_directories=tuple(filter(None, (decided.file_storage_dir,))),
            shared_file_directories=tuple(filter(None, (decided.shared_file_storage_dir,))),
        ),
    )


def _start(settings: Settings, tools: Tools) -> None:
    tools.services(settings).start_all(lambda daemon: tools.told(f"{daemon} serves"))
    for _ in range(int(settings.timeouts.start_s / DOOR_POLL_S) + 1):
        if tools.door_answers():
            return
        tools.machine.pause(DOOR_POLL_S)
    raise NotReady(
        f"the master daemon runs but does not answer; see {settings.log_path('clusterd-master')}"
    )


def _take_away(settings: Settings, tools: Tools) -> None:
    """Whatever there is of a cluster; the marker goes last, so that this can be begun again."""
    marker = _marker(settings)
    if not marker.exists():
        return
    tools.services(settings).stop_all()
    with contextlib.suppress(msgspec.DecodeError, ClusterError):
        msgspec.json.decode(marker.read_bytes(), type=MasterAddress).down(tools.machine)
    left = settings.without_cluster()
    if left.to_toml() == Settings().to_toml():
        settings.path.unlink(missing_ok=True)
    else:
        write_durable(settings.path, left.to_toml().encode(), 0o644)
    _wipe_state(settings)
    marker.unlink()
    sync_directory(settings.state_directory)


def _wipe_state(settings: Settings) -> None:
    state, store = settings.state_directory, settings.store_path
    for directory, pattern in (
        *((state, pattern) for pattern in STATE_PATTERNS),
        (store.parent, f"{store.name}*"),
    ):
        for path in sorted(directory.glob(pattern)):
            if path.is_file():
                path.unlink()
    shutil.rmtree(settings.store_data, ignore_errors=True)


def _marker(settings: Settings) -> Path:
    return settings.state_directory / MARKER


def _volume_groups(machine: FirstMachine) -> dict[str, int]:
    command = ["vgs", "--noheadings", "--nosuffix", "--units", "b", "--separator", "|"]
    output = _output(machine, [*command, "-o", "vg_name,vg_size"], "")
    rows = [line.strip().split("|") for line in output.splitlines()]
    return {row[0]: int(row[1]) // MIB for row in rows if len(row) == 2 and row[1].isdigit()}


def _output(machine: FirstMachine, command: list[str], otherwise: str) -> str:
    ended = machine.run(command, 30.0)
    return otherwise if ended.code else ended.output
