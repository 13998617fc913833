"""A pretended node host: power, disks, guests, and the real node daemon graph above them.

The daemon may die and be started again without the host losing power; guests and attachments stay
then. Without power only the disks and what the daemon keeps stay.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

from clusterd.calls.server import Peer
from clusterd.calls.surface import Surface
from clusterd.calls.wire import Policy
from clusterd.node.blocking import InlineThreads
from clusterd.node.compose import build_node
from clusterd.node.equipment import Equipment
from clusterd.node.keep import MemoryKeep
from clusterd.node.observe import Rhythm
from clusterd.node.service import NodeService
from clusterd.simulation.attention import AttendedNode, Attention
from clusterd.simulation.clock import Clock, ProcessClock
from clusterd.simulation.disk_trouble import troubled
from clusterd.simulation.founded import FoundedHost, lodgers, moved_in, shelved, stored
from clusterd.simulation.network import Network
from clusterd.simulation.pretended_site import PretendedCommands, PretendedScripts
from clusterd.simulation.pretended_streams import PretendedPeers, PretendedStreams, kept, put_back
from clusterd.verbs.checks import bridges
from clusterd.verbs.exports import found_names
from clusterd.verbs.hooks import scripts_in
from clusterd.verbs.host import Places
from clusterd.verbs.instance_disks import DIRECTORY as DISK_LINKS
from clusterd.verbs.os import usable
from clusterd.verbs.os_definitions import find_all
from clusterd.verbs.seeds import DIRECTORY as SEEDS
from hypervisors.guest import Guest
from hypervisors.interface import Driver
from hypervisors.machine_room import Machine, MachineRoom, Presence
from hypervisors.memory import MemoryDriver
from storage.diskless import DisklessBackend
from storage.external_providers import find_all as find_providers
from storage.interface import Backend
from storage.memory import memory_backend
from storage.memory_faults import Disks
from storage.shelf import Shelf, Wire
from storage.volume import Template

TEMPLATES = (
    Template.PLAIN,
    Template.DRBD,
    Template.FILE,
    Template.SHAREDFILE,
    Template.RBD,
    Template.EXT,
    Template.GLUSTER,
    Template.BLOCKDEV,
    Template.MEMORY,
)
_FILES = "/srv/ganeti/file-storage", "/srv/ganeti/shared-file-storage"
_OUTSIDE = "pretended", "127.0.0.1:24007/gv0"
POOLS = dict.fromkeys(("xenvg", "xenvg/thin", "rbd", "memory", *_FILES, *_OUTSIDE), 1024 * 1024)
TOLD = {
    Template.PLAIN: ("xenvg", "xenvg/thin"),
    Template.DRBD: ("xenvg",),
    Template.FILE: _FILES[:1],
    Template.SHAREDFILE: _FILES[1:],
    Template.RBD: ("rbd",),
    Template.EXT: (),
    Template.GLUSTER: _OUTSIDE[1:],
    Template.MEMORY: ("memory",),
}
"""Whose room each backend tells, as the real ones do."""
DEVICES = {"/dev/disk/by-id/lun-1": 1024, "/dev/disk/by-id/lun-2": 2048}
"""What each node is connected to."""
FOREIGN = {("xenvg", "old-data"): 1024}
"""Logical volumes that are nobody's."""
RHYTHM = Rhythm(interval_s=10.0, soon_s=0.05, longest_silence_s=60.0)
IMAGE_FILE = "/srv/images/pretended.img"
IMAGE_FILE_MIB = 512
BRIDGE = "br0"
SURFACE = Surface()
T = TypeVar("T")
MASTER_SUFFIX = "/master"
"""A master's network card is apart from its node's, so that its links can be cut one by one."""


SETTLED = frozenset({find_all, usable, bridges, find_providers})
"""Read what nobody changes while a cluster is simulated."""
OWN = frozenset({found_names})
"""Read what only the host itself changes."""
READING = frozenset({scripts_in})
"""What nodes often do with files and changes none."""


class HostFiles(InlineThreads):
    """No threads, and files are read again only where they may have changed: nodes look often."""

    def __init__(self, settled: Callable[..., Any]) -> None:
        """``settled`` reads files that nobody changes, each once for all hosts."""
        self._settled = settled
        self._own: dict[Any, tuple[int, Any]] = {}
        self._touched = 0

    def touch(self) -> None:
        """A file of the host changes."""
        self._touched += 1

    def touches(self) -> int:
        """How often some file of the host may have been changed."""
        return self._touched

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """See ``Threads``."""
        found: T
        if function in SETTLED:
            found = self._settled(function, *args)
            return found
        if function in OWN:
            touched, found = self._own.get(function, (-1, None))
            if touched != self._touched:
                found = function(*args)
                self._own[function] = (self._touched, found)
            return found
        if function not in READING:
            self.touch()
        return function(*args)


class PretendedHypervisor(MemoryDriver):
    """Stands for any driver: what that one's parameters mean is not simulated."""

    def _check(self, machine: Machine, guest: Guest) -> None:
        super()._check(machine, msgspec.structs.replace(guest, params={}))


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What all hosts of a simulated cluster stand on."""

    clock: Clock
    network: Network
    room: MachineRoom
    wire: Wire
    directory: Path
    attention: Attention
    settled: Callable[..., Any]
    """See ``HostFiles``."""
    streams: dict[str, PretendedStreams]
    hypervisors: tuple[str, ...]


class SimulatedHost:
    """One host. ``boot`` powers it on and starts its daemon."""

    def __init__(self, name: str, ground: Ground) -> None:
        self.name = name
        self.shelf = Shelf(name, POOLS, ground.wire)
        self.shelf.told.update(TOLD)
        self.shelf.files[IMAGE_FILE] = IMAGE_FILE_MIB
        self.shelf.foreign.update(FOREIGN)
        ground.wire.devices.update(DEVICES)
        self.keep = MemoryKeep()
        self.scripts = PretendedScripts()
        self.files = HostFiles(ground.settled)
        self.streams = PretendedStreams(
            self.shelf,
            ground.streams,
            lambda: self.alive,
            self.scripts,
            self.files.touch,
        )
        self.disks = Disks()
        self.skew_s = 0.0
        self.service: NodeService | None = None
        self.powered = False
        self.boots = 0
        self.silenced: list[Any] = []
        """Calls that a dead daemon never answered."""
        self._attention = ground.attention
        self._clock = ground.clock
        self._network = ground.network
        self._room = ground.room
        self._process: ProcessClock | None = None
        self._directory = ground.directory / name
        self._networks = ground.directory / "net" / name
        """Beside what else it has in files: nobody changes it, so nobody need look whether it has
        changed."""
        self._links = self._directory / "run" / DISK_LINKS
        self.exports = self._directory / "export"
        shutil.rmtree(self.exports, ignore_errors=True)
        self._hypervisors = ground.hypervisors
        self._bridges = {BRIDGE}
        self.place_bridge(BRIDGE)
        self._lose_links()
        self.shelf.in_use = self._in_use
        machine = ground.room.machine(name)
        machine.device_exists = self._can_be_opened
        machine.bridge_exists = self._bridges.__contains__

    @property
    def alive(self) -> bool:
        """The node daemon runs."""
        return self.powered and self._process is not None and not self._process.dead

    def boot(self) -> None:
        """Power on and start the daemon."""
        self.powered = True
        self.boots += 1
        self.shelf.power_on()
        self._room.power_on(self.name)
        self._network.power(self.name, on=True)
        self.start_daemon()

    def portrayed(self) -> FoundedHost:
        """What is on it, to be ``restore``d on another."""
        directory = self._directory / "run" / DISK_LINKS
        own, attached = stored(self.shelf)
        return FoundedHost(
            powered=self.powered,
            boots=self.boots,
            keep=dict(self.keep.values),
            links={link.name: str(link.readlink()) for link in sorted(directory.glob("*"))},
            own=own,
            attached=attached,
            writes=self.shelf.writes,
            lodgers=lodgers(self._room.machine(self.name).residents),
            exports=kept(self.exports),
        )

    def restore(self, found: FoundedHost) -> None:
        """Be as that one was; its daemon starts anew, the host did not."""
        self.keep.values.update(found.keep)
        self.boots, self.powered = found.boots, found.powered
        shelved(self.shelf, found)
        self.shelf.powered = found.powered
        machine = self._room.machine(self.name)
        machine.powered = found.powered
        self._equip(found, machine)
        moved_in(machine.residents, found.lodgers)
        put_back(self.exports, found.exports)
        self._network.power(self.name, on=found.powered)
        if found.links:
            directory = self._directory / "run" / DISK_LINKS
            directory.mkdir(parents=True, exist_ok=True)
            for name, device in found.links.items():
                (directory / name).symlink_to(device)
        if found.powered:
            self.start_daemon()

    def _equip(self, found: FoundedHost, machine: Machine) -> None:
        """Its size, where it is not the usual one."""
        if found.pools is not None:
            self.shelf.pools = dict(found.pools)
            self.shelf.told = dict(found.told)
        machine.memory_mib = found.memory_mib or machine.memory_mib
        machine.cpus = found.cpus or machine.cpus
        for bridge in found.bridges:
            self.place_bridge(bridge)

    def place_bridge(self, name: str) -> None:
        """It has this bridge, too."""
        self._bridges.add(name)
        (self._networks / name / "bridge").mkdir(parents=True, exist_ok=True)

    def power_off(self) -> None:
        """Everything but the disks is gone at once."""
        self.kill_daemon()
        self.powered = False
        self._network.power(self.name, on=False)
        self._room.power_off(self.name)
        self.shelf.power_off()
        self._lose_links()

    def kill_daemon(self) -> None:
        """kill -9 of the node daemon; its guests and devices stay."""
        if self._process is not None:
            self._process.dead = True

    def start_daemon(self) -> None:
        """Start the node daemon again; one that runs is killed first."""
        self.kill_daemon()
        self.streams.accepted.clear()
        process = self._process = ProcessClock(self._clock, self)
        service = build_node(
            self._equipment(process),
            self._backends(process),
            self._drivers(process),
            surface=SURFACE,
            rhythm=RHYTHM,
        )
        self.service = service
        alive = self._living(process)
        factory = service.factory(_identify, Policy())
        factory.node = AttendedNode(service, self._attention, alive, self.silenced)
        self._network.listen(self.name, factory, alive)
        service.start()

    # -- disks of guests -------------------------------------------------------------------------

    def device(self, path: str) -> str:
        """The device behind a disk of a guest. Guests know links that are named alike everywhere,
        so only the name counts; empty when there is no such link here."""
        try:
            return os.readlink(f"{self._links}/{path.rpartition('/')[2]}")
        except OSError:
            return ""

    def _lose_links(self) -> None:
        """They are not kept without power."""
        self.files.touch()
        for name in (DISK_LINKS, SEEDS):
            for link in sorted((self._directory / "run" / name).glob("*")):
                link.unlink()

    def _can_be_opened(self, path: str) -> bool:
        """As a real hypervisor finds: a mirror that is not primary cannot be opened."""
        if SEEDS in path:
            return (self._directory / "run" / SEEDS / Path(path).name).is_file()
        device = self.device(path)
        return any(
            attached.path == device and (attached.mirror is None or attached.primary)
            for attached in self.shelf.attached.values()
        )

    def _in_use(self, device: str) -> bool:
        residents = self._room.machine(self.name).residents.values()
        return any(
            self.device(disk.path) == device
            for resident in residents
            if resident.presence is not Presence.CRASHED
            for disk in resident.guest.disks
        )

    def _living(self, process: ProcessClock) -> Callable[[], bool]:
        return lambda: self.powered and not process.dead

    def _backends(self, clock: ProcessClock) -> dict[str, Backend]:
        twins: dict[str, Backend] = {
            str(template): troubled(memory_backend(template, self.shelf), self.disks, clock)
            for template in TEMPLATES
        }
        return {**twins, str(Template.DISKLESS): DisklessBackend()}

    def _drivers(self, process: ProcessClock) -> dict[str, Driver]:
        kinds: dict[str, type[MemoryDriver]] = {MemoryDriver.name: MemoryDriver}
        return {
            name: kinds.get(name, PretendedHypervisor)(self._room, self.name, process)
            for name in self._hypervisors
        }

    def _equipment(self, process: ProcessClock) -> Equipment:
        home = self._directory
        return Equipment(
            name=self.name,
            cluster_name="cluster",
            cluster_uuid="cluster",
            places=Places(
                config=home,
                state=home,
                run=home / "run",
                log=home / "log",
                hooks=(home / "hooks",),
                oses=(self._directory.parent / "os",),
                providers=(self._directory.parent / "extstorage",),
                iallocators=(self._directory.parent / "iallocators",),
                exports=(self.exports,),
                networks=self._networks,
                drbd=home / "drbd",
            ),
            clock=process,
            keep=self.keep,
            commands=PretendedCommands(self.shelf),
            scripts=self.scripts,
            threads=self.files,
            streams=self.streams,
            peers=PretendedPeers(),
            reach=_reach,
            end=self.kill_daemon,
            log=structlog.get_logger("node").bind(),
            boot_id=f"boot-{self.boots}",
        )


def _identify(transport: Any) -> Peer:
    """In the simulation every caller is a master candidate and says the truth."""
    return Peer(str(transport.getPeer()).removesuffix(MASTER_SUFFIX), "master-candidate")


async def _reach(address: str, port: int, timeout_s: float) -> str:
    return ""
