"""The configuration in memory: a mirror of the store's objects with indices for decisions.

Decided here: how objects are keyed, found by name, and changed. One object a key, so a change costs
O(objects touched). The mirror follows the store by watching it; nothing else writes to it.

Invariant: after a commit returned, the mirror shows it. Reading is synchronous, so code without an
``await`` decides on one consistent state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from typing import TypeVar

import msgspec

from clusterd import names
from clusterd.address_pool import as_number
from clusterd.claims import Claims
from clusterd.model import (
    ANY,
    KINDS,
    AdminState,
    Cluster,
    Group,
    Image,
    Instance,
    Network,
    Node,
    Stored,
)
from jobqueue.errors import Refused
from jobqueue.store.interface import ABSENT, Change, Store, Transaction

PREFIX = "config/"

S = TypeVar("S", bound=Stored)
_DECODERS = {kind: msgspec.json.Decoder(type_) for kind, type_ in KINDS.items()}


def key_of(value: ANY) -> str:
    """The store's key of an object."""
    return f"{PREFIX}{_kind_of(value)}/{value.uuid}"


def _kind_of(value: ANY) -> str:
    return type(value).__name__.lower()


def added(value: ANY) -> Transaction:
    """The writes that add a new object."""
    key = key_of(value)
    return Transaction(expects=((key, ABSENT),), puts=((key, msgspec.json.encode(value)),))


class Configuration:
    """All objects. ``changed`` and ``removed`` make writes; a step hands them to its outcome."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, ANY]] = {kind: {} for kind in KINDS}
        self._names: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        self._cluster: Cluster | None = None
        """The same as in ``_objects``: it is asked for all the time."""
        self._versions: dict[str, int] = {}
        self._on_node: dict[str, set[str]] = defaultdict(set)
        self._ports: dict[int, str] = {}
        self._minors: dict[str, dict[int, str]] = defaultdict(dict)
        self._macs: dict[str, str] = {}
        self._addresses: dict[str, dict[int, str]] = defaultdict(dict)
        self.claims = Claims()
        """What jobs have drawn and is not shown here yet."""
        self._awake: dict[str, dict[str, str]] = defaultdict(dict)
        self._by_label: dict[str, dict[str, set[str]]] = {kind: {} for kind in KINDS}
        """First component of a name -> names."""
        self._sorted_names: dict[str, list[str]] = {}
        """By kind, as long as no name came or went."""
        self._lowest_port = names.FIRST_DRBD_PORT
        """No port below is free."""

    async def load(self, store: Store) -> None:
        """Read everything and follow the store from now on."""
        store.watch(PREFIX, self._take)
        entries = await store.read(PREFIX)
        self._take(tuple(Change(entry.key, entry.value, entry.version) for entry in entries))

    # -- reading ---------------------------------------------------------------------------------

    @property
    def cluster(self) -> Cluster:
        """The cluster object; there is exactly one."""
        if self._cluster is None:
            raise Refused("The cluster is not initialised", "wrong_state")
        return self._cluster

    @property
    def exists(self) -> bool:
        """True once the cluster object is there."""
        return self._cluster is not None

    def nodes(self) -> Iterator[Node]:
        """All nodes by name."""
        return self._sorted("node", Node)

    def groups(self) -> Iterator[Group]:
        """All node groups by name."""
        return self._sorted("group", Group)

    def networks(self) -> Iterator[Network]:
        """All networks by name."""
        return self._sorted("network", Network)

    def images(self, *, unfinished: bool = False) -> Iterator[Image]:
        """All images by name; those still being made only if asked for."""
        for image in self._sorted("image", Image):
            if unfinished or image.made_by is None:
                yield image

    def image(self, name: str) -> Image:
        """A finished image by name or uuid; raises Refused."""
        found = self._find("image", name, Image, "Image")
        if found.made_by is not None:
            raise Refused(f"Image '{found.name}' is still being made", "wrong_state")
        return found

    def find_image(self, name: str) -> Image | None:
        """An image by exact name or uuid, finished or not, or None."""
        return self._get("image", name, Image)

    def instances(self, *, unfinished: bool = False) -> Iterator[Instance]:
        """All instances by name; those still being made only if asked for."""
        for instance in self._sorted("instance", Instance):
            if unfinished or instance.made_by is None:
                yield instance

    def node(self, name: str) -> Node:
        """A node by name (or unambiguous leading components of it) or uuid; raises Refused."""
        return self._find("node", name, Node, "Node")

    def instance(self, name: str) -> Instance:
        """An instance by name or uuid; raises Refused."""
        return self._find("instance", name, Instance, "Instance")

    def group(self, name: str) -> Group:
        """A group by name or uuid; raises Refused."""
        return self._find("group", name, Group, "Group")

    def network(self, name: str) -> Network:
        """A network by name or uuid; raises Refused."""
        return self._find("network", name, Network, "Network")

    def find(self, kind: str, name: str) -> ANY | None:
        """An object of any kind by exact name or uuid, or None."""
        return self._objects[kind].get(self._names[kind].get(name, name))

    def find_group(self, name: str) -> Group | None:
        """A group by exact name or uuid, or None."""
        return self._get("group", name, Group)

    def find_network(self, name: str) -> Network | None:
        """A network by exact name or uuid, or None."""
        return self._get("network", name, Network)

    def find_instance(self, name: str) -> Instance | None:
        """An instance by exact name or uuid, or None."""
        return self._get("instance", name, Instance)

    def find_node(self, name: str) -> Node | None:
        """A node by exact name or uuid, or None."""
        return self._get("node", name, Node)

    def instances_on(self, node_uuid: str) -> list[Instance]:
        """Instances with this node as primary or secondary, by name, unfinished ones included."""
        found = (self._objects["instance"].get(uuid) for uuid in self._on_node[node_uuid])
        return sorted((i for i in found if isinstance(i, Instance)), key=lambda i: i.name)

    def ports(self) -> dict[int, str]:
        """Taken TCP ports -> uuid of the instance."""
        return dict(self._ports)

    def free_port(self, taken: Container[int] = ()) -> int | None:
        """The lowest free port of the pool that is not in ``taken`` either, or None."""
        while self._lowest_port in self._ports:
            self._lowest_port += 1
        for port in range(self._lowest_port, names.LAST_DRBD_PORT + 1):
            if port not in self._ports and port not in taken:
                return port
        return None

    def owner_of_mac(self, mac: str) -> str | None:
        """Uuid of the instance that has this MAC address."""
        return self._macs.get(mac)

    def addresses_in(self, network_uuid: str) -> Mapping[int, str]:
        """Addresses that cards have in a network, as numbers -> uuid of the instance."""
        return self._addresses[network_uuid]

    def awake_on(self, node_uuid: str) -> Mapping[str, str]:
        """Name -> uuid of the instances that are to run on this node as their primary, or are being
        made there."""
        return self._awake[node_uuid]

    def minors(self, node_uuid: str) -> dict[int, str]:
        """Taken DRBD minors of a node -> uuid of the instance."""
        return dict(self._minors[node_uuid])

    def macs(self) -> dict[str, str]:
        """Taken MAC addresses -> uuid of the instance."""
        return dict(self._macs)

    # -- writes ----------------------------------------------------------------------------------

    def changed(self, old: S, now: float, **changes: object) -> Transaction:
        """The writes that replace ``old`` by itself with ``changes``; counts its serial number."""
        new = msgspec.structs.replace(old, serial_no=old.serial_no + 1, mtime=now, **changes)
        key = key_of(old)  # type: ignore[arg-type]
        return Transaction(
            expects=((key, self._versions.get(key, ABSENT)),),
            puts=((key, msgspec.json.encode(new)),),
        )

    def removed(self, old: ANY) -> Transaction:
        """The writes that remove an object."""
        key = key_of(old)
        return Transaction(expects=((key, self._versions.get(key, ABSENT)),), deletes=(key,))

    # -- inside ----------------------------------------------------------------------------------

    def _sorted(self, kind: str, type_: type[S]) -> Iterator[S]:
        found = self._names[kind]
        order = self._sorted_names.get(kind)
        if order is None:
            order = self._sorted_names[kind] = sorted(found)
        for name in order:
            value = self._objects[kind].get(found.get(name, ""))
            if isinstance(value, type_):
                yield value

    def _get(self, kind: str, name: str, type_: type[S]) -> S | None:
        value = self._objects[kind].get(self._names[kind].get(name, name))
        return value if isinstance(value, type_) else None

    def _find(self, kind: str, name: str, type_: type[S], word: str) -> S:
        value = self._get(kind, name, type_)
        if value is not None:
            return value
        alike = self._by_label[kind].get(name.partition(".")[0], ())
        near = [known for known in alike if known.startswith(name + ".")]
        if len(near) == 1 and name:
            value = self._get(kind, near[0], type_)
            if value is not None:
                return value
        raise Refused(f"{word} '{name}' not known", "unknown_entity")

    def _take(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            if change.version < self._versions.get(change.key, 0):
                continue
            kind, uuid = change.key.removeprefix(PREFIX).split("/", 1)
            old = self._objects[kind].pop(uuid, None)
            if old is not None:
                self._unindex(kind, old)
            if change.value is None:
                if old is self._cluster:
                    self._cluster = None
                self._versions.pop(change.key, None)
                self._sorted_names.pop(kind, None)
                continue
            new = _DECODERS[kind].decode(change.value)
            if old is None or old.name != new.name:
                self._sorted_names.pop(kind, None)
            self._versions[change.key] = change.version
            self._objects[kind][uuid] = new
            self._index(kind, new)
            if isinstance(new, Cluster):
                self._cluster = new

    def _index(self, kind: str, value: ANY) -> None:
        self._names[kind][value.name] = value.uuid
        self._by_label[kind].setdefault(value.name.partition(".")[0], set()).add(value.name)
        if not isinstance(value, Instance):
            return
        for node in _nodes_of(value):
            self._on_node[node].add(value.uuid)
        if value.admin_state is AdminState.UP or value.made_by is not None:
            self._awake[value.primary_node][value.name] = value.uuid
        for nic in value.nics:
            self._macs[nic.mac] = value.uuid
            self.claims.stored(("mac", nic.mac))
            if nic.network is not None and nic.ip is not None:
                number = as_number(nic.ip)
                self._addresses[nic.network][number] = value.uuid
                self.claims.stored(("address", nic.network, number))
        if value.network_port is not None:
            self._take_port(value.network_port, value.uuid)
        for disk in (*value.disks, *value.drafted):
            if disk.drbd is not None:
                self._take_port(disk.drbd.port, value.uuid)
                for node, minor in zip(disk.drbd.nodes, disk.drbd.minors, strict=True):
                    self._minors[node][minor] = value.uuid
                    self.claims.stored(("minor", node, minor))

    def _unindex(self, kind: str, value: ANY) -> None:
        if self._names[kind].get(value.name) == value.uuid:
            del self._names[kind][value.name]
            label = value.name.partition(".")[0]
            self._by_label[kind][label].discard(value.name)
            if not self._by_label[kind][label]:
                del self._by_label[kind][label]
        if not isinstance(value, Instance):
            return
        for node in _nodes_of(value):
            self._on_node[node].discard(value.uuid)
        self._awake[value.primary_node].pop(value.name, None)
        for nic in value.nics:
            self._macs.pop(nic.mac, None)
            if nic.network is not None and nic.ip is not None:
                self._addresses[nic.network].pop(as_number(nic.ip), None)
        if value.network_port is not None:
            self._free(value.network_port)
        for disk in (*value.disks, *value.drafted):
            if disk.drbd is not None:
                self._free(disk.drbd.port)
                for node, minor in zip(disk.drbd.nodes, disk.drbd.minors, strict=True):
                    self._minors[node].pop(minor, None)

    def _take_port(self, port: int, uuid: str) -> None:
        self._ports[port] = uuid
        self.claims.stored(("port", port))

    def _free(self, port: int) -> None:
        self._ports.pop(port, None)
        self._lowest_port = max(names.FIRST_DRBD_PORT, min(self._lowest_port, port))


def _nodes_of(instance: Instance) -> set[str]:
    nodes = {instance.primary_node}
    if instance.secondary_node is not None:
        nodes.add(instance.secondary_node)
    if instance.moving_to is not None:
        nodes.add(instance.moving_to)
    for disk in (*instance.disks, *instance.drafted):
        if disk.drbd is not None:
            nodes.update(disk.drbd.nodes)
    return nodes
