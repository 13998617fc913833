"""The memory driver: guests of pretended machines. Ships with the product, for the simulator.

It keeps the laws of the kvm driver, also the unpleasant ones: an arrived guest stands still until
it is released, and a driver made anew does not know how the migrations of the old one ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec

from hypervisors.errors import (
    BadParameter,
    DeviceMissing,
    GuestMissing,
    HypervisorDown,
    MigrationFailed,
    MigrationRunning,
    NotEnoughMemory,
    StillAttached,
    StillRunning,
)
from hypervisors.guest import Guest, GuestStatus, MigrationStatus, NodeHardware, ParamValue
from hypervisors.interface import Clock, Driver
from hypervisors.machine_room import Machine, MachineRoom, Passage, Presence, Resident
from hypervisors.passing import passed
from hypervisors.plugins import Plugin, Surroundings

NAME = "memory"
TOKEN = "memory"
MS_PER_POLL = 100
DOWNTIME_MS = 10


class MemoryParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The only parameter is the one that opcodes ask for."""

    migration_mode: Literal["live", "non-live"] = "live"


def memory_parameters(params: Mapping[str, ParamValue]) -> MemoryParameters:
    """The parameters, strictly typed. Raises BadParameter."""
    try:
        return msgspec.convert(dict(params), MemoryParameters, strict=False)
    except msgspec.ValidationError as error:
        raise BadParameter(f"hypervisor parameters of memory: {error}", subject=NAME) from None


class MemoryDriver(Driver):
    """Guests of one machine in a room. Keeps only which migrations it began itself.

    Its migrations go on by being looked at: without a clock a look never takes its time.
    """

    name: ClassVar[str] = NAME

    def __init__(self, room: MachineRoom, node: str, clock: Clock | None = None) -> None:
        self._room = room
        self._node = node
        self._clock = clock
        self._began: dict[str, Passage] = {}

    # -- life ------------------------------------------------------------------------------------

    async def start(self, guest: Guest, *, paused: bool = False) -> None:
        machine = self._machine()
        self._began.pop(guest.name, None)
        found = machine.residents.get(guest.name)
        if found is not None and found.presence is Presence.RECEIVING:
            raise MigrationRunning(
                f"guest {guest.name} is being received here by a migration", subject=guest.name
            )
        if found is not None and found.presence not in (Presence.CRASHED, Presence.ARRIVED):
            return
        machine.residents.pop(guest.name, None)
        self._check(machine, guest)
        presence = Presence.PAUSED if paused else Presence.RUNNING
        machine.residents[guest.name] = Resident(guest, presence)

    async def ask_to_stop(self, name: str) -> None:
        machine = self._machine()
        found = machine.residents.get(name)
        if found is None or found.presence is Presence.CRASHED:
            return
        found.asked_to_stop += 1
        obeys = name not in machine.deaf and found.presence is Presence.RUNNING
        if obeys and found.asked_to_stop > 1:
            del machine.residents[name]
            return
        raise StillRunning(f"guest {name} was asked to power off and still runs", subject=name)

    async def destroy(self, name: str) -> None:
        self._machine().residents.pop(name, None)

    async def reboot(self, guest: Guest, *, hard: bool) -> None:
        machine = self._machine()
        found = machine.residents.get(guest.name)
        if found is None or found.presence in (Presence.CRASHED, Presence.RECEIVING):
            raise GuestMissing(f"guest {guest.name} does not run here", subject=guest.name)
        if hard or guest.name not in machine.deaf:
            found.boots += 1

    async def reshape(self, guest: Guest) -> None:
        machine = self._machine()
        found = machine.residents.get(guest.name)
        if found is None or found.presence not in (Presence.RUNNING, Presence.PAUSED):
            raise GuestMissing(f"guest {guest.name} does not run here", subject=guest.name)
        self._check_devices(machine, guest)
        kept = {disk.uuid for disk in guest.disks}
        if guest.name in machine.deaf and any(d.uuid not in kept for d in found.guest.disks):
            raise StillAttached(f"guest {guest.name} holds its disks", subject=guest.name)
        found.guest = msgspec.structs.replace(found.guest, disks=guest.disks, nics=guest.nics)

    async def freeze(self, name: str) -> bool:
        machine = self._machine()
        found = machine.residents.get(name)
        if found is None or found.presence is not Presence.RUNNING:
            return False
        found.frozen = name not in machine.deaf
        return found.frozen

    async def thaw(self, name: str) -> None:
        found = self._machine().residents.get(name)
        if found is not None:
            found.frozen = False

    # -- live migration --------------------------------------------------------------------------

    async def accept(self, guest: Guest) -> str:
        machine = self._machine()
        self._began.pop(guest.name, None)
        self._remove_leftover(machine, guest.name)
        self._check(machine, guest)
        return TOKEN

    async def migrate(self, guest: Guest, target: str, token: str, *, live: bool) -> None:
        machine = self._machine()
        passage = self._room.passage(guest.name, self._node)
        if passage is not None and passage.state == "running":
            return
        found = machine.residents.get(guest.name)
        if found is None or found.presence not in (Presence.RUNNING, Presence.PAUSED):
            raise GuestMissing(f"guest {guest.name} does not run here", subject=guest.name)
        there = self._room.machine(target)
        if token != TOKEN or not there.powered or not there.service_runs:
            raise MigrationFailed(f"node {target} cannot be reached", subject=target)
        passage = self._began[guest.name] = self._room.begin(found.guest, self._node, target)
        passage.travelling = tuple(disk.path for disk in guest.disks if disk.travels)

    async def migration(self, name: str, *, patience_s: float = 0.0) -> MigrationStatus:
        self._machine()
        passage = self._room.passage(name, self._node)
        if passage is None:
            return MigrationStatus(state="none")
        mine = self._began.get(name) is passage
        self._room.advance(passage, released=mine)
        if not mine and passage.state != "running" and not self._room.has_left(passage):
            return MigrationStatus(state="none")
        if passage.state == "running" and patience_s > 0 and self._clock is not None:
            await passed(self._clock, patience_s)
        return _status(passage)

    async def abort_migration(self, name: str) -> None:
        self._machine()
        passage = self._room.passage(name, self._node)
        if passage is None:
            return
        if self._began.get(name) is passage and passage.state == "completed":
            raise GuestMissing(
                f"guest {name} has left for node {passage.target}; its migration had ended",
                subject=name,
            )
        self._room.stop(passage)

    async def settle(self, guest: Guest, *, arrived: bool) -> None:
        machine = self._machine()
        if not arrived:
            self._remove_leftover(machine, guest.name)
            return
        found = machine.residents.get(guest.name)
        if found is not None and found.presence is Presence.RECEIVING:
            raise MigrationRunning(
                f"guest {guest.name} is still being received here", subject=guest.name
            )
        if found is None or found.presence is Presence.CRASHED:
            raise GuestMissing(f"guest {guest.name} did not arrive here", subject=guest.name)
        if found.presence is Presence.ARRIVED:
            found.presence = Presence.RUNNING

    # -- reading ---------------------------------------------------------------------------------

    async def look(self, name: str) -> GuestStatus | None:
        found = self._machine().residents.get(name)
        return None if found is None else _guest_status(found)

    async def list(self) -> tuple[GuestStatus, ...]:
        residents = self._machine().residents
        return tuple(_guest_status(residents[name]) for name in sorted(residents))

    async def hardware(self) -> NodeHardware:
        machine = self._machine()
        return NodeHardware(
            memory_total_mib=machine.memory_mib,
            memory_free_mib=machine.free_mib,
            memory_host_mib=0,
            cpus=machine.cpus,
            cpu_sockets=1,
            cpu_nodes=1,
            host_cpus=machine.cpus,
            version="memory 1",
        )

    async def validate(self, params: dict[str, ParamValue]) -> None:
        memory_parameters(params)

    async def console(self, guest: Guest) -> dict[str, Any]:
        return {"kind": "msg", "message": f"guest {guest.name} is pretended: it has no console"}

    # -- inside ----------------------------------------------------------------------------------

    def _machine(self) -> Machine:
        """The hardware. Raises HypervisorDown."""
        machine = self._room.machine(self._node)
        if not machine.powered or not machine.service_runs:
            raise HypervisorDown(
                f"the hypervisor on node {self._node} does not answer", subject=self._node
            )
        return machine

    def _check(self, machine: Machine, guest: Guest) -> None:
        memory_parameters(guest.params)
        self._check_devices(machine, guest)
        if machine.free_mib < guest.memory_mib:
            raise NotEnoughMemory(
                f"guest {guest.name} needs {guest.memory_mib} MiB of memory, "
                f"this node has {machine.free_mib} MiB free",
                subject=guest.name,
            )

    def _check_devices(self, machine: Machine, guest: Guest) -> None:
        for disk in guest.disks:
            if not machine.device_exists(disk.path):
                raise DeviceMissing(f"{disk.path} does not exist on this node", subject=disk.path)
        for nic in guest.nics:
            if nic.mode == "bridged" and not machine.bridge_exists(nic.link):
                raise DeviceMissing(f"there is no bridge {nic.link!r}", subject=nic.link)

    def _remove_leftover(self, machine: Machine, name: str) -> None:
        found = machine.residents.get(name)
        if found is None:
            return
        if found.presence is Presence.ARRIVED:
            raise StillRunning(
                f"guest {name} has arrived here completely and waits to be released", subject=name
            )
        if found.presence in (Presence.RUNNING, Presence.PAUSED):
            raise StillRunning(f"guest {name} runs here", subject=name)
        del machine.residents[name]


def _guest_status(resident: Resident) -> GuestStatus:
    return GuestStatus(
        name=resident.guest.name,
        uuid=resident.guest.uuid,
        state=resident.presence.state,
        memory_mib=resident.guest.memory_mib,
        vcpus=resident.guest.vcpus,
        incoming=resident.presence is Presence.RECEIVING,
        unreleased=resident.presence is Presence.ARRIVED,
    )


def _status(passage: Passage) -> MigrationStatus:
    total_mib = float(passage.guest.memory_mib)
    parts = passage.course.polls + 1
    done = 1.0 if passage.state == "completed" else passage.polled / parts
    return MigrationStatus(
        state=passage.state,
        transferred_mib=total_mib * done,
        remaining_mib=total_mib * (1 - done),
        total_mib=total_mib,
        iteration=passage.polled,
        elapsed_ms=MS_PER_POLL * (passage.polled + 1),
        downtime_ms=DOWNTIME_MS if passage.state == "completed" else None,
        message=passage.message,
    )


def make(surroundings: Surroundings) -> MemoryDriver:
    """A driver in a room of its own: a node that keeps its guests in the daemon's memory."""
    return MemoryDriver(MachineRoom(), "localhost", surroundings.clock)


PLUGINS = (
    Plugin(
        name=NAME,
        make=make,
        parameters=MemoryParameters,
        check=memory_parameters,
        global_parameters=frozenset({"migration_mode"}),
    ),
)
