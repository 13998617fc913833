"""What the master tells nodes without a job: which volumes to watch, and who their peers are.

A node forgets what it watches when its daemon restarts, so it is told whenever its link comes up,
and when the configuration changes what it should know. Nothing here is decided on: a node that does
not take it is told again when it returns or when something changes.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
import structlog
from twisted.internet.defer import Deferred

from clusterd.configuration import Configuration
from clusterd.errors import CallFailed
from clusterd.master.sights import Sightings
from clusterd.master.surroundings import Links
from clusterd.master_address import MasterAddress, address_of
from clusterd.model import Instance, Node
from clusterd.store_members import Member
from clusterd.view import View
from clusterd.volumes import has_mirror, holders, volume_on
from clusterd.world import Clock, Outfit
from storage.volume import Volume

LOG = structlog.get_logger("master")

SOON_S = 0.1
"""Several changes at once are told together."""


class Told(msgspec.Struct, frozen=True):
    """What a node should know."""

    volumes: tuple[Volume, ...]
    peers: dict[str, str]
    members: tuple[Member, ...] = ()
    """Of the store, for candidates."""
    not_here: MasterAddress = MasterAddress()
    """The cluster's address, for everybody but the master."""


class Parts(Protocol):
    """What this module needs of the master."""

    configuration: Configuration
    sights: Sightings
    links: Links
    clock: Clock
    outfit: Outfit

    def view(self) -> View:
        """The snapshot of this moment."""


def to_tell(view: View, node: Node, outfit: Outfit) -> Told:
    """The mirrors in use on the node, the addresses of all nodes, where the store is."""
    volumes = tuple(
        volume_on(view, instance, disk, node)
        for instance in view.configuration.instances_on(node.uuid)
        if instance.disks_active
        for disk in instance.disks
        if has_mirror(disk.template) and node.uuid in holders(instance, disk)
    )
    nodes, cluster = list(view.configuration.nodes()), view.configuration.cluster
    members = [outfit.member(one) for one in nodes if one.store_member and node.master_candidate]
    own = node.uuid == cluster.master_node
    return Told(
        volumes,
        {other.name: other.secondary_ip for other in nodes},
        tuple(members),
        MasterAddress() if own else address_of(cluster),
    )


def keepers(instance: Instance) -> frozenset[str]:
    """Uuids of the nodes with mirrors of the instance's disks."""
    mirrors = (disk for disk in instance.disks if has_mirror(disk.template))
    return frozenset(uuid for disk in mirrors for uuid in holders(instance, disk))


class Watching:
    """Invariant: what is in ``_told`` was accepted over the present link of that node."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._told: dict[str, Told] = {}
        self._holders: dict[str, frozenset[str]] = {}
        """Of each instance with mirrors (uuid), as far as it was looked at."""
        self._due: set[str] = set()
        self._everybody = False
        self._planned: Any = None
        self._stopped = False

    def start(self) -> None:
        """The configuration is known."""
        for instance in self._parts.configuration.instances(unfinished=True):
            if found := keepers(instance):
                self._holders[instance.uuid] = found

    def stop(self) -> None:
        """Tell nobody any more."""
        self._stopped = True
        if self._planned is not None and self._planned.active():
            self._planned.cancel()

    def returned(self, node: str) -> None:
        """The node's link came up: it may have forgotten everything."""
        self._told.pop(node, None)
        self._look_at({node})

    def nodes_changed(self) -> None:
        """Nodes or what holds for all disks is different: everybody is told."""
        self._look_at(None)

    def instance_changed(self, uuid: str) -> None:
        """An instance is different, new or gone: who holds or held its mirrors is told."""
        instance = self._parts.configuration.find_instance(uuid)
        before = self._holders.pop(uuid, frozenset())
        now = keepers(instance) if instance is not None else frozenset()
        if now:
            self._holders[uuid] = now
        if before | now:
            found = (self._parts.configuration.find_node(one) for one in before | now)
            self._look_at({node.name for node in found if node is not None})

    def _look_at(self, nodes: set[str] | None) -> None:
        """None: all of them."""
        self._everybody = self._everybody or nodes is None
        self._due |= nodes or set()
        if self._stopped or (self._planned is not None and self._planned.active()):
            return
        self._planned = self._parts.clock.callLater(SOON_S, self._tell_all)

    def _tell_all(self) -> None:
        view = self._parts.view()
        due, everybody = self._due, self._everybody
        self._due, self._everybody = set(), False
        for node in view.configuration.nodes():
            if not everybody and node.name not in due:
                continue
            wanted = to_tell(view, node, self._parts.outfit)
            if view.reachable(node) and self._told.get(node.name) != wanted:
                Deferred.fromCoroutine(self._tell(node.name, wanted))

    async def _tell(self, name: str, wanted: Told) -> None:
        self._told[name] = wanted
        node: Any = self._parts.links.node(name)
        try:
            await node.watch(wanted.volumes)
            await node.peers(wanted.peers)
            if wanted.members:
                await node.store_members(wanted.members)
            if wanted.not_here.ip:
                await node.drop_address(wanted.not_here)
        except CallFailed as error:
            self._told.pop(name, None)
            LOG.warning("node was not told what to watch", node=name, error=error.message)
