"""A small cluster as values: three nodes, one of them offline, and instances in each state."""

from __future__ import annotations

from typing import Any

from clusterd.configuration import Configuration, added
from clusterd.model import (
    ANY,
    AdminState,
    Cluster,
    Disk,
    DrbdPair,
    Group,
    Image,
    Instance,
    InstanceSnapshot,
    Network,
    Nic,
    Node,
    Policy,
)
from clusterd.observation import Observation, OsFound, Sighting
from clusterd.view import View
from hypervisors.guest import GuestState, GuestStatus, NodeHardware
from jobqueue.store.interface import Transaction
from jobqueue.store.memory import MemoryStore
from storage.volume import Capacity, Template
from tests.unit.driving import now

CLUSTER = Cluster(
    uuid="c-uuid",
    name="cluster.example.com",
    master_node="n1-uuid",
    master_netdev="eth0",
    mac_prefix="aa:00:00",
    volume_group_name="xenvg",
    enabled_disk_templates=("drbd", "plain", "diskless"),
    enabled_hypervisors=("kvm", "memory"),
    hvparams={"kvm": {"serial_console": True, "accel": "tcg"}},
    beparams={"maxmem": 256},
    osparams={"noop": {"colour": "red"}},
    ipolicy=Policy(vcpu_ratio=8.0),
    hidden_os=("secret",),
    tags=("b", "a"),
    ctime=100.5,
)
GROUPS = (
    Group(
        uuid="g1-uuid",
        name="default",
        ndparams={"spindle_count": 7},
        networks={"net-uuid": {"mode": "bridged", "link": "br7"}},
    ),
    Group(uuid="g2-uuid", name="rack2", alloc_policy="last_resort"),
)
HARDWARE = NodeHardware(
    memory_total_mib=4096,
    memory_free_mib=3000,
    memory_host_mib=200,
    cpus=4,
    cpu_sockets=1,
    cpu_nodes=1,
    host_cpus=4,
    version="1",
)


def node(number: int, **fields: Any) -> Node:
    """``n1.example.com`` and so on."""
    return Node(
        uuid=f"n{number}-uuid",
        name=f"n{number}.example.com",
        primary_ip=f"192.0.2.{number}",
        secondary_ip=f"198.51.100.{number}",
        **{"group": "g1-uuid", "master_candidate": number == 1, **fields},
    )


def disk(uuid: str, size_mib: int = 1024, **fields: Any) -> Disk:
    """A mirrored disk over n1 and n2."""
    pair = DrbdPair(nodes=("n1-uuid", "n2-uuid"), minors=(0, 0), port=11000, secret="s" * 40)
    return Disk(uuid=uuid, template="drbd", size_mib=size_mib, pool="xenvg", drbd=pair, **fields)


def instance(name: str, **fields: Any) -> Instance:
    """An instance on n1 that should run."""
    return Instance(
        uuid=f"{name.split('.', maxsplit=1)[0]}-uuid",
        name=name,
        **{
            "primary_node": "n1-uuid",
            "hypervisor": "kvm",
            "os": "noop",
            "disk_template": "diskless",
            "admin_state": AdminState.UP,
            **fields,
        },
    )


NODES = (node(1), node(2), node(3, group="g2-uuid", offline=True))
WEB1 = instance(
    "web1.example.com",
    secondary_node="n2-uuid",
    disk_template="drbd",
    disks=(disk("d0"), disk("d1", 512, name="data")),
    nics=(
        Nic(uuid="nic0", mac="aa:00:00:00:00:01", ip="203.0.113.5", network="net-uuid"),
        Nic(uuid="nic1", mac="aa:00:00:00:00:02", params={"mode": "routed", "link": "r0"}),
    ),
    beparams={"vcpus": 2},
    osparams={"size": "big"},
    network_port=11001,
    tags=("t2", "t1"),
    snapshots=(InstanceSnapshot(uuid="snap-uuid", name="before", ctime=1.0, disks=("d0",)),),
)
INSTANCES = (
    WEB1,
    instance("web2.example.com", admin_state=AdminState.DOWN),
    instance("web10.example.com", primary_node="n2-uuid"),
    instance("down1.example.com"),
    instance("off1.example.com", admin_state=AdminState.OFFLINE),
    instance("dark1.example.com", primary_node="n3-uuid"),
    instance("user1.example.com", admin_state=AdminState.DOWN, admin_state_source="user"),
    instance("lost1.example.com"),
    instance("new1.example.com", made_by=7),
)
IMAGE = Image(
    uuid="image-uuid",
    name="debian-12",
    template="rbd",
    pool="rbd",
    size_mib=512,
    format="qcow2",
    checksum=f"sha256:{1:064x}",
    properties={"os": "debian"},
)
NETWORK = Network(uuid="net-uuid", name="net1", network="203.0.113.0/28", gateway="203.0.113.1")


def guest(name: str, memory_mib: int = 256, state: GuestState = GuestState.RUNNING) -> GuestStatus:
    """A guest that a node sees."""
    uuid = f"{name.split('.', maxsplit=1)[0]}-uuid"
    return GuestStatus(name=name, uuid=uuid, state=state, memory_mib=memory_mib, vcpus=2)


def observed(name: str, *guests: GuestStatus, oses: tuple[OsFound, ...] = ()) -> Sighting:
    """A node that answers."""
    return Sighting(
        observation=Observation(
            node=name,
            time=1000.0,
            boot_id=f"boot-{name}",
            hardware=HARDWARE,
            guests={"kvm": guests, "memory": ()},
            capacity=(
                Capacity(template=Template.PLAIN, pool="other", total_mib=1, free_mib=1),
                Capacity(template=Template.PLAIN, pool="xenvg", total_mib=9000, free_mib=5000),
            ),
            oses=oses,
        ),
        received=1000.0,
        connected=True,
    )


NOOP = OsFound(
    name="noop",
    path="/srv/ganeti/os/noop",
    valid=True,
    variants=("default", "tiny"),
    api_versions=(20,),
    parameters=(("colour", "which colour"),),
)
OTHER_NOOP = OsFound(
    name="noop", path="/x/noop", valid=True, variants=("default",), api_versions=(20, 15)
)
SECRET = OsFound(name="secret", path="/srv/ganeti/os/secret", valid=True, api_versions=(20,))
BROKEN = OsFound(
    name="broken", path="/srv/ganeti/os/broken", valid=False, message="no create script"
)


class Watch:
    """What nodes see, settable."""

    def __init__(self) -> None:
        self.sights = {
            "n1.example.com": observed(
                "n1.example.com", guest("web1.example.com"), oses=(NOOP, SECRET, BROKEN)
            ),
            "n2.example.com": observed(
                "n2.example.com",
                guest("web10.example.com", 512),
                guest("lost1.example.com"),
                oses=(OTHER_NOOP, SECRET, BROKEN),
            ),
        }

    def sight(self, name: str) -> Sighting:
        return self.sights.get(name, Sighting())


class SmallCluster:
    """The configuration in a store, and what nodes see of it."""

    def __init__(self, *more: ANY) -> None:
        self.store = MemoryStore()
        self.configuration = Configuration()
        self.watch = Watch()
        now(self.configuration.load(self.store))
        objects: tuple[ANY, ...] = (CLUSTER, *GROUPS, *NODES, *INSTANCES, NETWORK, IMAGE)
        for value in (*objects, *more):
            now(self.store.commit(added(value)))

    def view(self) -> View:
        return View(self.configuration, self.watch, 2000.0)

    def commit(self, transaction: Transaction) -> None:
        now(self.store.commit(transaction))
