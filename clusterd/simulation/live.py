"""A simulated cluster in the likeness of a live one: same configuration, same nodes, disks, memory.

Disks are put on the pretended shelves by the backends' own twins, so they are as a job would have
left them. What has no twin is left out, and a note says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from clusterd.configuration import PREFIX, Configuration
from clusterd.guests import guest_of
from clusterd.likeness import HostLikeness, Likeness
from clusterd.model import Disk, Instance, Node
from clusterd.observation import Sighting
from clusterd.simulation.cluster import SeededRandom, SimulatedCluster
from clusterd.simulation.founded import Blueprint, Founded, FoundedHost, Lodger, stored
from clusterd.simulation.hosts import TEMPLATES
from clusterd.verbs.instance_disks import DIRECTORY as DISK_LINKS
from clusterd.view import View
from clusterd.volumes import must_adopt, volume_on
from jobqueue.store.interface import Entry
from jobqueue.store.memory import MemoryDisk, MemoryStore
from storage.interface import Backend
from storage.memory import memory_backend
from storage.shelf import SHARED_TEMPLATES, Shelf, Wire
from storage.volume import Template

UNKNOWN_POOL_MIB = 1024 * 1024
"""What a node that was never seen is taken to have."""
SEEN_WITHIN_S = 30.0


class NeverSeen:
    """No sights: disks and guests are described from configuration alone."""

    def sight(self, node: str) -> Sighting:
        """Nothing."""
        return Sighting()


class Copy:
    """Builds the copy. ``notes``: in what it differs from the original."""

    def __init__(self, likeness: Likeness, directory: Path) -> None:
        self.notes: list[str] = []
        self._likeness = likeness
        self._directory = directory
        self._hosts = {host.name: host for host in likeness.hosts}
        self._left_out: set[str] = set()
        self._disk = self._stored()
        self._configuration = Configuration()
        Deferred.fromCoroutine(self._configuration.load(MemoryStore(self._disk)))
        self._view = View(self._configuration, NeverSeen(), likeness.time)
        self._wire = Wire()
        self._shelves = {name: self._shelf(host) for name, host in self._hosts.items()}
        self._links: dict[str, dict[str, str]] = {name: {} for name in self._hosts}
        self._lodgers: dict[str, list[Lodger]] = {name: [] for name in self._hosts}

    def cluster(self) -> SimulatedCluster:
        """The simulated cluster, seen by its master."""
        for instance in list(self._configuration.instances()):
            self._furnish(instance)
        others = sorted(name for name in self._hosts if name != self._likeness.master)
        blueprint = Blueprint(
            nodes=(self._likeness.master, *others),
            founded=self._founded(),
            hypervisors=self._configuration.cluster.enabled_hypervisors,
            oses={
                name: variants
                for host in self._hosts.values()
                for name, variants in host.oses.items()
            },
        )
        cluster = SimulatedCluster(self._directory, blueprint)
        cluster.wire.devices.update(self._wire.devices)
        cluster.wait_for_nodes(SEEN_WITHIN_S)
        cluster.clock.run(1.0)
        return cluster

    # -- configuration -----------------------------------------------------------------------------

    def _stored(self) -> MemoryDisk:
        """The store; instances whose disks have no twin are left out of it."""
        entries = {}
        for key, value in self._likeness.objects.items():
            if key.startswith(f"{PREFIX}instance/") and self._has_no_twin(value):
                continue
            entries[key] = Entry(key, msgspec.json.encode(value), 1)
        disk = MemoryDisk()
        disk.entries, disk.keys, disk.revision = entries, sorted(entries), 1
        return disk

    def _has_no_twin(self, instance: dict[str, Any]) -> bool:
        template = instance["disk_template"]
        if template == Template.DISKLESS or template in TEMPLATES:
            return False
        self.notes.append(
            f"instance {instance['name']} is left out: disks of template {template} are not "
            "simulated"
        )
        return True

    # -- disks and guests --------------------------------------------------------------------------

    def _shelf(self, host: HostLikeness) -> Shelf:
        """Empty, with room for everything; how much is free is set right afterwards."""
        pools = {one.pool for one in host.capacity}
        pools |= {
            pool
            for instance in self._configuration.instances()
            for disk in instance.disks
            for pool in (disk.pool, disk.meta_pool)
            if pool
        }
        return Shelf(host.name, dict.fromkeys(pools, 1 << 50), self._wire)

    def _furnish(self, instance: Instance) -> None:
        primary = self._view.primary(instance)
        paths = []
        for disk in instance.disks:
            path = self._place(instance, disk, primary)
            name = f"{instance.name}:{instance.disks.index(disk)}"
            if path:
                self._links[primary.name][name] = path
            paths.append(str(self._directory / primary.name / "run" / DISK_LINKS / name))
        host = self._hosts[primary.name]
        if host.reachable and instance.name in host.running:
            guest = guest_of(self._view, instance, paths)
            self._lodgers[primary.name].append(Lodger(guest=guest))

    def _place(self, instance: Instance, disk: Disk, primary: Node) -> str:
        """One disk on its nodes; its device on the primary, empty when it is not attached."""
        sides: list[tuple[Node, Backend]] = []
        for node in self._view.nodes_of(instance):
            backend = memory_backend(Template(disk.template), self._shelves[node.name])
            volume = volume_on(self._view, instance, disk, node)
            if must_adopt(disk.template):
                self._wire.devices[volume.name] = disk.size_mib
            _now(backend.ensure(volume))
            sides.append((node, backend))
        device = ""
        if not instance.disks_active:
            return device
        for node, backend in sides:
            if self._hosts[node.name].reachable:
                volume = volume_on(self._view, instance, disk, node)
                path = _now(backend.attach(volume, clean=True))
                device = path if node is primary else device
        if device:
            _now(sides[0][1].open(volume_on(self._view, instance, disk, primary), force=True))
        return device

    # -- hosts -------------------------------------------------------------------------------------

    def _founded(self) -> Founded:
        return Founded(
            now=self._likeness.time,
            random=SeededRandom(1).state(),
            entries=self._disk.entries,
            revision=self._disk.revision,
            shared=self._wire.shared,
            hosts={name: self._host(host) for name, host in self._hosts.items()},
        )

    def _host(self, host: HostLikeness) -> FoundedHost:
        if not host.reachable:
            self.notes.append(f"node {host.name} does not answer: it is taken to have no power")
        shelf = self._shelves[host.name]
        own, attached = stored(shelf)
        lodgers = self._lodgers[host.name]
        held_mib = sum(one.guest.memory_mib for one in lodgers)
        return FoundedHost(
            powered=host.reachable,
            links=self._links[host.name],
            own=own,
            attached=attached,
            lodgers=tuple(lodgers),
            pools=self._pools(host, shelf),
            told=_told(host) if host.seen else {},
            memory_mib=host.memory_free_mib + held_mib,
            cpus=host.cpus,
            bridges=host.bridges,
        )

    def _pools(self, host: HostLikeness, shelf: Shelf) -> dict[str, int]:
        """Totals with which as much is free as there is."""
        totals = dict.fromkeys(shelf.pools, 0 if host.seen else UNKNOWN_POOL_MIB)
        for shared in (False, True):
            pieces = shelf.wire.shared if shared else shelf.own
            free: dict[str, int] = {}
            for one in host.capacity:
                if (one.template in SHARED_TEMPLATES) is shared:
                    free[one.pool] = min(one.free_mib, free.get(one.pool, one.free_mib))
            for pool, free_mib in free.items():
                taken = sum(piece.taken_mib for key, piece in pieces.items() if key[1] == pool)
                totals[pool] = max(totals[pool], free_mib + taken)
        return totals


def _told(host: HostLikeness) -> dict[Template, tuple[str, ...]]:
    """Whose room its backends tell."""
    return {
        template: tuple(sorted({one.pool for one in host.capacity if one.template == template}))
        for template in TEMPLATES
    }


def _now(coroutine: Any) -> Any:
    """What a twin answers; it never waits."""
    found: list[Any] = []
    Deferred.fromCoroutine(coroutine).addCallback(found.append)
    return found[0] if found else None
