"""The kvm driver: QEMU guests through libvirt, run by the processor or emulated.

Decided here: the order of checks before a start, and which outgoing migrations this process knows.
A guest is a transient domain: it has a definition exactly while it runs. So a power failure or a
guest's own power-off leaves nothing here, and ``settle`` has no definition to keep.
What libvirt is told stands in ``domain_xml``, how it is spoken to in ``libvirt_link``.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import msgspec
from twisted.internet.defer import Deferred

from hypervisors import kvm_devices, kvm_migration
from hypervisors import libvirt_guests as guests
from hypervisors.disk_secrets import define_secrets
from hypervisors.domain_displays import has_display
from hypervisors.domain_logs import has_left
from hypervisors.domain_xml import domain_xml
from hypervisors.errors import GuestMissing, HypervisorError, MigrationRunning, StillRunning
from hypervisors.guest import (
    Guest,
    GuestStatus,
    MigrationStatus,
    NodeHardware,
    ParamValue,
)
from hypervisors.host import Host
from hypervisors.interface import Clock, Driver
from hypervisors.kvm_parameters import GLOBAL_PARAMETERS, KvmParameters, kvm_parameters
from hypervisors.kvm_preparation import Preparation
from hypervisors.libvirt_link import LibvirtLink
from hypervisors.passing import passed
from hypervisors.plugins import Plugin, Surroundings

NAME = "kvm"
ENDED_KEPT = 256
"""How many ended migrations are remembered."""


class Outgoing:
    """One outgoing migration of this process; ``result`` once it has ended."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.result: MigrationStatus | None = None
        self._waiting: list[Deferred[None]] = []

    def end(self, result: MigrationStatus) -> None:
        """It has ended so: whoever waits goes on."""
        self.result = result
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)

    async def over(self, clock: Clock, longest_s: float | None = None) -> None:
        """Until it has ended, or so long."""
        if self.result is not None:
            return
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        alarm = clock.callLater(longest_s, self._give_up, waiting) if longest_s else None
        await waiting
        if alarm is not None and alarm.active():
            alarm.cancel()

    def _give_up(self, waiting: Deferred[None]) -> None:
        self._waiting.remove(waiting)
        waiting.callback(None)


class KvmDriver(Driver):
    """QEMU guests of one node. Keeps nothing but the outgoing migrations that it began."""

    name: ClassVar[str] = NAME

    def __init__(self, surroundings: Surroundings, host: Host) -> None:
        self._threads = surroundings.threads
        self._clock = surroundings.clock
        self._peers = surroundings.peers
        self._link = LibvirtLink(surroundings.threads, surroundings.settings.libvirt_uri)
        self._host = host
        self._preparation = Preparation(host, surroundings.settings.console_directory)
        self._outgoing: dict[str, Outgoing] = {}

    # -- life ------------------------------------------------------------------------------------

    async def start(self, guest: Guest, *, paused: bool = False) -> None:
        self._outgoing.pop(guest.name, None)
        await self._link.use(partial(self._start_now, guest, paused), subject=guest.name)

    async def ask_to_stop(self, name: str) -> None:
        if await self._link.use(partial(guests.press_power_button, name), subject=name):
            raise StillRunning(f"guest {name} was asked to power off and still runs", subject=name)

    async def destroy(self, name: str) -> None:
        await self._link.use(partial(guests.end_named, name), subject=name)

    async def reboot(self, guest: Guest, *, hard: bool) -> None:
        await self._link.use(partial(guests.restart, guest.name, hard), subject=guest.name)

    async def reshape(self, guest: Guest) -> None:
        await self._link.use(partial(self._reshape_now, guest), subject=guest.name)

    async def freeze(self, name: str) -> bool:
        return await self._link.use(partial(guests.freeze, name), subject=name)

    async def thaw(self, name: str) -> None:
        await self._link.use(partial(guests.thaw, name), subject=name)

    # -- live migration --------------------------------------------------------------------------

    async def accept(self, guest: Guest) -> str:
        self._outgoing.pop(guest.name, None)
        if any(disk.travels for disk in guest.disks):
            await self._peers.expect_guest(guest.uuid)
        return await self._link.use(partial(self._accept_now, guest), subject=guest.name)

    async def migrate(self, guest: Guest, target: str, token: str, *, live: bool) -> None:
        known = self._outgoing.get(guest.name)
        if known is not None and known.result is None:
            return
        travelling = tuple(disk.path for disk in guest.disks if disk.travels)
        departure = kvm_migration.Departure(
            name=guest.name,
            target=target,
            peer_socket=await self._peers.libvirt_socket(target),
            live=live,
            parameters=kvm_parameters(guest.params),
            travelling=travelling,
            ways=await self._peers.ways(target, guest.uuid) if travelling else None,
        )
        check = partial(_may_depart, departure, token)
        if not await self._link.use(check, subject=guest.name):
            return
        peer = await self._threads.run(kvm_migration.reached, departure)
        outgoing = self._remember(departure)
        Deferred.fromCoroutine(self._depart(outgoing, peer, departure, guest.uuid))

    async def migration(self, name: str, *, patience_s: float = 0.0) -> MigrationStatus:
        known = self._outgoing.get(name)
        if known is not None and patience_s > 0:
            await known.over(self._clock, patience_s)
        if known is not None and known.result is not None:
            return known.result
        found = await self._under_way(name)
        if known is None and found is not None and patience_s > 0:
            # begun by a daemon before this one: its end is not told here, and asking costs
            await passed(self._clock, patience_s)
        if known is not None:  # it may have ended while libvirt was asked
            return known.result or found or MigrationStatus(state="running")
        return found or await self._left_before(name)

    async def abort_migration(self, name: str) -> None:
        known = self._outgoing.get(name)
        under_way = known is not None and known.result is None
        if under_way or await self._under_way(name):
            await self._link.use(partial(_stop, name), subject=name)
            if known is not None and under_way:
                await known.over(self._clock)
        if known is not None and known.result and known.result.state == "completed":
            raise GuestMissing(
                f"guest {name} has left for node {known.target}; its migration had ended",
                subject=name,
            )
        if known is None and await self._under_way(name):
            raise MigrationRunning(f"the migration of guest {name} is being stopped", subject=name)

    async def settle(self, guest: Guest, *, arrived: bool) -> None:
        work = guests.keep_arrived if arrived else guests.remove_leftover
        await self._link.use(partial(work, guest.name), subject=guest.name)

    # -- reading ---------------------------------------------------------------------------------

    async def look(self, name: str) -> GuestStatus | None:
        return await self._link.use(partial(guests.look, name), subject=name)

    async def list(self) -> tuple[GuestStatus, ...]:
        return await self._link.use(guests.statuses)

    async def hardware(self) -> NodeHardware:
        return await self._link.use(self._hardware_now)

    async def validate(self, params: dict[str, ParamValue]) -> None:
        await self._threads.run(self._preparation.check_parameters, kvm_parameters(params))

    async def console(self, guest: Guest) -> dict[str, Any]:
        return console_of(guest, kvm_parameters(guest.params), self._link.uri)

    async def close(self) -> None:
        """The connection to libvirt is given up."""
        await self._link.close()

    # -- blocking --------------------------------------------------------------------------------

    def _start_now(self, guest: Guest, paused: bool, library: Any, connection: Any) -> None:
        domain = guests.find(library, connection, guest.name)
        found = domain and guests.status_of(library, domain)
        if found and found.incoming:
            raise MigrationRunning(
                f"guest {guest.name} is being received here by a migration", subject=guest.name
            )
        # one that stands still since it came by a migration may be older than its disks
        if found and found.alive and not found.unreleased:
            guests.release(library, domain)
            return
        if found:
            guests.end(library, domain)
        parameters = kvm_parameters(guest.params)
        decided = self._preparation.prepare(guest, parameters)
        flags = library.VIR_DOMAIN_START_PAUSED if paused else 0
        define_secrets(library, connection, guest, self._host)
        connection.createXML(domain_xml(guest, parameters, decided), flags)

    def _reshape_now(self, guest: Guest, library: Any, connection: Any) -> None:
        domain = guests.find(library, connection, guest.name)
        found = domain and guests.status_of(library, domain)
        if not found or not found.alive:
            raise GuestMissing(f"guest {guest.name} does not run here", subject=guest.name)
        parameters = kvm_parameters(guest.params)
        self._preparation.check_devices(guest)
        kvm_devices.reshape(library, domain, guest, parameters)

    def _accept_now(self, guest: Guest, library: Any, connection: Any) -> str:
        domain = guests.find(library, connection, guest.name)
        if domain is not None:
            guests.refuse_to_end_alive(guest.name, library, domain)
            guests.end(library, domain)
        decided = self._preparation.prepare(guest, kvm_parameters(guest.params))
        define_secrets(library, connection, guest, self._host)
        token = kvm_migration.Token(accelerator=decided.accelerator)
        return msgspec.json.encode(token).decode()

    def _hardware_now(self, library: Any, connection: Any) -> NodeHardware:
        _, _, cpus, _, nodes, sockets, _, _ = connection.getInfo()
        memory = self._host.memory()
        alive = [one for one in guests.statuses(library, connection) if one.alive]
        used_mib = memory.total_mib - memory.free_mib
        return NodeHardware(
            memory_total_mib=memory.total_mib,
            memory_free_mib=memory.free_mib,
            memory_host_mib=max(0, used_mib - sum(one.memory_mib for one in alive)),
            cpus=cpus,
            cpu_sockets=sockets * nodes,
            cpu_nodes=nodes,
            host_cpus=cpus,
            version=f"QEMU {_dotted(connection.getVersion())}, "
            f"libvirt {_dotted(connection.getLibVersion())}",
        )

    # -- outgoing migrations ----------------------------------------------------------------------

    async def _under_way(self, name: str) -> MigrationStatus | None:
        """What libvirt says of a migration that runs, whoever began it."""
        found: MigrationStatus | None = await self._link.use(partial(_outgoing, name), subject=name)
        return found

    async def _left_before(self, name: str) -> MigrationStatus:
        """What is known of a migration that a daemon before this one began, and that has ended."""
        if await self.look(name) is None and await self._threads.run(has_left, self._host, name):
            return MigrationStatus(state="completed", message="it has left, says libvirt's log")
        return MigrationStatus(state="none")

    def _remember(self, departure: kvm_migration.Departure) -> Outgoing:
        self._outgoing.pop(departure.name, None)
        ended = [name for name, one in self._outgoing.items() if one.result is not None]
        for name in ended[: max(0, len(ended) - ENDED_KEPT + 1)]:
            del self._outgoing[name]
        outgoing = self._outgoing[departure.name] = Outgoing(departure.target)
        return outgoing

    async def _depart(
        self, outgoing: Outgoing, peer: Any, departure: kvm_migration.Departure, uuid: str
    ) -> None:
        try:
            result = await self._threads.run(kvm_migration.depart, self._link.uri, peer, departure)
        except HypervisorError as error:
            result = MigrationStatus(state="failed", message=error.message)
        except Exception as error:  # noqa: BLE001 - nobody waits for this coroutine
            result = MigrationStatus(state="failed", message=f"internal: {error!r}")
        try:
            if departure.ways is not None:
                await self._peers.end_ways(departure.target, uuid)
        finally:
            outgoing.end(result)


def console_of(guest: Guest, parameters: KvmParameters, uri: str) -> dict[str, Any]:
    """How people reach the guest. The caller adds the instance and, to ``ssh``, the host. Pure."""
    if parameters.serial_console:
        command = ["virsh", "-c", uri, "console", guest.name]
        return {"kind": "ssh", "user": "root", "command": command}
    if has_display(guest, parameters) and not parameters.vnc_bind_address.startswith("/"):
        kind = "vnc" if parameters.vnc_bind_address else "spice"
        bind = parameters.vnc_bind_address or parameters.spice_bind
        return {"kind": kind, "host": bind, "port": guest.network_port}
    message = (
        f"guest {guest.name} has no console: set serial_console, vnc_bind_address or spice_bind"
    )
    return {"kind": "msg", "message": message}


def _may_depart(
    departure: kvm_migration.Departure, token: str, library: Any, connection: Any
) -> bool:
    return kvm_migration.may_depart(library, connection, departure, token)


def _outgoing(name: str, library: Any, connection: Any) -> MigrationStatus | None:
    return kvm_migration.outgoing(library, connection, name)


def _stop(name: str, library: Any, connection: Any) -> None:
    kvm_migration.stop(library, connection, name)


def _dotted(number: int) -> str:
    """libvirt's version number: 7002022 is 7.2.22."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def make(surroundings: Surroundings) -> KvmDriver:
    """The driver of this machine."""
    return KvmDriver(surroundings, Host())


PLUGINS = (
    Plugin(
        name=NAME,
        make=make,
        parameters=KvmParameters,
        check=kvm_parameters,
        global_parameters=GLOBAL_PARAMETERS,
    ),
)
