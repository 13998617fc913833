"""The outgoing side of a live migration between two libvirt hosts. Blocking functions.

Decided here: libvirt carries the guest peer to peer and tunnelled, so that its commands and the
guest's memory share one connection: the node daemons' mutual TLS link behind a unix socket.
The guest arrives paused and is released by its source only after libvirt has given it up there.
Should the link break at the very end, libvirt goes on at the source while the copy at the target
stays still: two running ones cannot be.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Literal

import msgspec

from hypervisors import libvirt_guests
from hypervisors.domain_xml import devices_at, marked_as_arrived, runs_accelerated
from hypervisors.errors import (
    GuestMissing,
    HypervisorDown,
    HypervisorError,
    MigrationFailed,
    MigrationRunning,
)
from hypervisors.guest import MigrationStatus
from hypervisors.kvm_parameters import KvmParameters
from hypervisors.libvirt_link import connected, load_library, translated
from hypervisors.migration_figures import from_job

PEER_URI = "qemu+unix:///system?socket={path}"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What the target tells the source when it is ready. Fields may be added, never removed."""

    accelerator: Literal["kvm", "tcg"]


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """One outgoing migration."""

    name: str
    target: str
    peer_socket: str
    live: bool
    parameters: KvmParameters
    travelling: tuple[str, ...] = ()
    """Paths of the disks whose contents travel, too."""
    ways: tuple[str, str] | None = None
    """Sockets for memory and disks, where disks travel."""


def outgoing(library: Any, connection: Any, name: str) -> MigrationStatus | None:
    """The running outgoing migration as libvirt sees it, or None."""
    domain = libvirt_guests.find(library, connection, name)
    if domain is None:
        return None
    try:
        figures = domain.jobStats()
    except library.libvirtError as error:
        if error.get_error_code() in (library.VIR_ERR_OPERATION_INVALID, library.VIR_ERR_NO_DOMAIN):
            return None
        raise
    if figures.get("operation") != library.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
        return None
    if figures["type"] not in (library.VIR_DOMAIN_JOB_BOUNDED, library.VIR_DOMAIN_JOB_UNBOUNDED):
        return None
    return from_job("running", figures)


def may_depart(library: Any, connection: Any, departure: Departure, token: str) -> bool:
    """True if the guest is here and may go, False if it is on its way already."""
    if outgoing(library, connection, departure.name) is not None:
        return False
    domain = libvirt_guests.find(library, connection, departure.name)
    status = libvirt_guests.status_of(library, domain) if domain is not None else None
    if domain is None or status is None or not status.alive:
        raise GuestMissing(f"guest {departure.name} does not run here", subject=departure.name)
    try:
        there = msgspec.json.decode(token, type=Token).accelerator
    except msgspec.DecodeError:
        raise MigrationFailed(
            f"node {departure.target} answered no token that this node understands; "
            "bring both to the same version of the product",
            subject=departure.target,
        ) from None
    here = "kvm" if runs_accelerated(domain.XMLDesc(0)) else "tcg"
    if here != there:
        raise MigrationFailed(
            f"guest {departure.name} runs with {here}, node {departure.target} would run it with "
            f"{there}; stop it and start it there, or set the parameter accel",
            subject=departure.name,
        )
    return True


def reached(departure: Departure) -> Any:
    """A connection to libvirt on the target. Raises MigrationFailed."""
    try:
        return connected(load_library(), PEER_URI.format(path=departure.peer_socket))
    except HypervisorDown as error:
        raise MigrationFailed(
            f"libvirt on node {departure.target} cannot be reached over the link of the node "
            f"daemons: {error.message}",
            subject=departure.target,
        ) from None


def depart(uri: str, peer: Any, departure: Departure) -> MigrationStatus:
    """Carry the guest over; ends when it runs there, or goes on here."""
    library = load_library()
    # a connection of its own: what is asked on the shared one may be asked twice
    connection = connected(library, uri)
    try:
        return _departed(library, connection, peer, departure)
    finally:
        # here and now: left to the garbage collector the farewell would be said in the reactor's
        # thread, which would wait for an answer that only the reactor itself can carry over
        for one in (connection, peer):
            with contextlib.suppress(library.libvirtError):
                one.close()


def _departed(library: Any, connection: Any, peer: Any, departure: Departure) -> MigrationStatus:
    domain = connection.lookupByName(departure.name)
    was_running = domain.state()[0] == library.VIR_DOMAIN_RUNNING
    begun_s = time.monotonic()
    try:
        _carry(library, domain, departure)
    except library.libvirtError as error:
        if not _has_left(library, connection, departure.name):
            return _failed(library, error, departure, begun_s)
    left_s = time.monotonic()
    try:
        figures = _released(library, peer, departure, was_running)
    except (library.libvirtError, HypervisorError):
        try:  # the link may have come back meanwhile
            figures = _released(library, reached(departure), departure, was_running)
        except (library.libvirtError, HypervisorError) as error:
            message = f"the guest has left, but was not seen on node {departure.target}: {error}"
            return MigrationStatus(
                state="completed", elapsed_ms=_since_ms(begun_s), message=message
            )
    return from_job(
        "completed", figures, extra_downtime_ms=_since_ms(left_s), took_ms=_since_ms(begun_s)
    )


def stop(library: Any, connection: Any, name: str) -> None:
    """The running migration was told to stop. Raises MigrationRunning when it cannot be."""
    domain = libvirt_guests.find(library, connection, name)
    if domain is None:
        return
    try:
        domain.abortJob()
    except library.libvirtError as error:
        fault = translated(library, error, name)
        if isinstance(fault, HypervisorDown):
            raise
        raise MigrationRunning(
            f"the migration of guest {name} cannot be stopped at this moment: {fault.message}",
            subject=name,
        ) from None


def _carry(library: Any, domain: Any, departure: Departure) -> None:
    wanted = departure.parameters
    capabilities = wanted.migration_caps.split(":")
    flags = (
        library.VIR_MIGRATE_PEER2PEER
        | library.VIR_MIGRATE_PAUSED
        # libvirt cannot know that both nodes reach the same disks
        | library.VIR_MIGRATE_UNSAFE
    )
    if departure.live:
        flags |= library.VIR_MIGRATE_LIVE
    if "auto-converge" in capabilities:
        flags |= library.VIR_MIGRATE_AUTO_CONVERGE
    parameters: dict[str, Any] = {}
    if "xbzrle" in capabilities:
        flags |= library.VIR_MIGRATE_COMPRESSED
        parameters[library.VIR_MIGRATE_PARAM_COMPRESSION] = "xbzrle"
    if wanted.migration_bandwidth:
        parameters[library.VIR_MIGRATE_PARAM_BANDWIDTH] = wanted.migration_bandwidth
    if wanted.migration_downtime:
        domain.migrateSetMaxDowntime(wanted.migration_downtime)
    description = domain.XMLDesc(library.VIR_DOMAIN_XML_SECURE | library.VIR_DOMAIN_XML_MIGRATABLE)
    parameters[library.VIR_MIGRATE_PARAM_DEST_XML] = marked_as_arrived(description)
    if departure.ways is None:
        flags |= library.VIR_MIGRATE_TUNNELLED
    else:
        # disks do not travel in a tunnel of libvirt's: the same link carries them and the memory
        # through a socket each
        memory, disks = departure.ways
        flags |= library.VIR_MIGRATE_NON_SHARED_DISK
        parameters[library.VIR_MIGRATE_PARAM_URI] = f"unix://{memory}"
        parameters[library.VIR_MIGRATE_PARAM_DISKS_URI] = f"unix://{disks}"
        parameters[library.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = devices_at(
            description, departure.travelling
        )
    domain.migrateToURI3(PEER_URI.format(path=departure.peer_socket), parameters, flags)


def _released(library: Any, peer: Any, departure: Departure, runs: bool) -> dict[str, Any]:
    """The guest runs on the target; answers the figures of its arrival."""
    arrived = peer.lookupByName(departure.name)
    if runs:
        libvirt_guests.release(library, arrived)
    figures: dict[str, Any] = arrived.jobStats(library.VIR_DOMAIN_JOB_STATS_COMPLETED)
    return figures


def _has_left(library: Any, connection: Any, name: str) -> bool:
    """True if the guest is known not to be here; an unanswered question is no."""
    try:
        return libvirt_guests.find(library, connection, name) is None
    except (library.libvirtError, HypervisorError):
        return False


def _failed(library: Any, error: Any, departure: Departure, begun_s: float) -> MigrationStatus:
    cancelled = error.get_error_code() == library.VIR_ERR_OPERATION_ABORTED
    message = str(error.get_error_message())
    return MigrationStatus(
        state="cancelled" if cancelled else "failed",
        elapsed_ms=_since_ms(begun_s),
        message=f"migration of guest {departure.name} to node {departure.target}: {message}",
    )


def _since_ms(begun_s: float) -> int:
    return round((time.monotonic() - begun_s) * 1000)
