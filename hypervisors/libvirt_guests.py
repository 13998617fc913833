"""Reading and ending libvirt's domains. Blocking; run it through ``LibvirtLink.use``.

Decided here: what libvirt's states mean, and that a guest's definition lives only as long as it
runs (a transient domain), so that a power failure leaves nothing behind that could be started.

A guest that is received by a migration is *receiving* while its memory arrives, then *arrived*:
complete, paused, never run here. It carries a mark in its metadata until it is released, which the
source does once it is sure that it has given the guest up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from hypervisors.domain_xml import ARRIVED_TAG, MARK
from hypervisors.errors import GuestMissing, MigrationRunning, StillRunning
from hypervisors.guest import GuestState, GuestStatus

KIB_PER_MIB = 1024
AGENT_TIMEOUT_S = 10
"""A guest's agent that takes longer does not answer."""
NS_PER_S = 1_000_000_000

_STATES = {
    "VIR_DOMAIN_PAUSED": GuestState.PAUSED,
    "VIR_DOMAIN_PMSUSPENDED": GuestState.PAUSED,
    "VIR_DOMAIN_SHUTOFF": GuestState.SHUTDOWN,
    "VIR_DOMAIN_CRASHED": GuestState.CRASHED,
}
"""All others run, also the one that is shutting down."""


def find(library: Any, connection: Any, name: str) -> Any | None:
    """The domain, or None."""
    try:
        return connection.lookupByName(name)
    except library.libvirtError as error:
        if error.get_error_code() == library.VIR_ERR_NO_DOMAIN:
            return None
        raise


def status_of(library: Any, domain: Any) -> GuestStatus | None:
    """What the domain is now, or None if it has just gone."""
    try:
        state, _, memory_kib, vcpus, cpu_time_ns = domain.info()
        found = _state(library, state)
        receiving = found is GuestState.PAUSED and is_receiving(library, domain)
        return GuestStatus(
            name=domain.name(),
            uuid=domain.UUIDString(),
            state=found,
            memory_mib=memory_kib // KIB_PER_MIB,
            vcpus=vcpus,
            cpu_time_s=cpu_time_ns / NS_PER_S,
            incoming=receiving,
            unreleased=found is GuestState.PAUSED and not receiving and is_marked(library, domain),
        )
    except library.libvirtError as error:
        if error.get_error_code() == library.VIR_ERR_NO_DOMAIN:
            return None
        raise


def statuses(library: Any, connection: Any) -> tuple[GuestStatus, ...]:
    """All guests here, sorted by name."""
    found = (status_of(library, domain) for domain in connection.listAllDomains(0))
    return tuple(sorted((one for one in found if one), key=lambda status: status.name))


def is_receiving(library: Any, domain: Any) -> bool:
    """True while the domain's memory is arriving."""
    try:
        operation = domain.jobStats().get("operation")
    except library.libvirtError as error:
        # "migration statistics are available only on the source host"
        return bool(error.get_error_code() == library.VIR_ERR_OPERATION_UNSUPPORTED)
    return bool(operation == library.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN)


def has_arrived(library: Any, domain: Any) -> bool:
    """True for a guest that came by a migration and has not run here since."""
    state, *_ = domain.info()
    return _state(library, state) is GuestState.PAUSED and is_marked(library, domain)


def is_marked(library: Any, domain: Any) -> bool:
    """True if the domain carries the mark of arrival."""
    kind, live = library.VIR_DOMAIN_METADATA_ELEMENT, library.VIR_DOMAIN_AFFECT_LIVE
    try:
        return f"<{ARRIVED_TAG}" in domain.metadata(kind, MARK, live)
    except library.libvirtError as error:
        if error.get_error_code() == library.VIR_ERR_NO_DOMAIN_METADATA:
            return False
        raise


def release(library: Any, domain: Any) -> None:
    """An arrived guest runs, and its mark is gone. Running already is success."""
    if not is_marked(library, domain):
        return
    state, *_ = domain.info()
    if _state(library, state) is GuestState.PAUSED:
        domain.resume()
    kind, live = library.VIR_DOMAIN_METADATA_ELEMENT, library.VIR_DOMAIN_AFFECT_LIVE
    domain.setMetadata(kind, None, None, MARK, live)


def end(library: Any, domain: Any) -> None:
    """The domain does not run and no definition of it is left. Gone is success."""
    with _gone_is_success(library):
        if domain.isActive():
            persistent = bool(domain.isPersistent())
            domain.destroy()
            if not persistent:
                return
        domain.undefineFlags(
            library.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | library.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | library.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | library.VIR_DOMAIN_UNDEFINE_NVRAM
        )


def look(name: str, library: Any, connection: Any) -> GuestStatus | None:
    """The guest as seen here, or None."""
    domain = find(library, connection, name)
    return None if domain is None else status_of(library, domain)


def press_power_button(name: str, library: Any, connection: Any) -> bool:
    """True while the guest is still there."""
    found = look(name, library, connection)
    if found is None or found.state in (GuestState.SHUTDOWN, GuestState.CRASHED):
        return False
    domain = find(library, connection, name)
    try:
        if domain is not None:
            domain.shutdownFlags(library.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except library.libvirtError as error:
        gone = (library.VIR_ERR_NO_DOMAIN, library.VIR_ERR_OPERATION_INVALID)
        if error.get_error_code() not in gone:
            raise
    return domain is not None


def end_named(name: str, library: Any, connection: Any) -> None:
    """The guest does not run here and no definition is left."""
    domain = find(library, connection, name)
    if domain is not None:
        end(library, domain)


def restart(name: str, hard: bool, library: Any, connection: Any) -> None:
    """Asked to restart, or reset. Raises GuestMissing."""
    domain = find(library, connection, name)
    if domain is None or not domain.isActive():
        raise GuestMissing(f"guest {name} does not run here", subject=name)
    if hard:
        domain.reset(0)
    else:
        domain.reboot(library.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)


def freeze(name: str, library: Any, connection: Any) -> bool:
    """True if the guest's agent has frozen its file systems."""
    domain = find(library, connection, name)
    if domain is None or not domain.isActive():
        return False
    try:
        domain.agentSetResponseTimeout(AGENT_TIMEOUT_S)
        domain.fsFreeze()
    except library.libvirtError as error:
        if error.get_error_code() in _no_agent(library):
            return False
        # the agent refuses all but thawing while they are frozen
        if "frozen" in str(error.get_error_message()):
            return True
        raise
    return True


def thaw(name: str, library: Any, connection: Any) -> None:
    """No file system of the guest is frozen; no agent: none was."""
    domain = find(library, connection, name)
    if domain is None or not domain.isActive():
        return
    try:
        domain.fsThaw()
    except library.libvirtError as error:
        if error.get_error_code() not in _no_agent(library):
            raise


def _no_agent(library: Any) -> tuple[int, ...]:
    return (
        library.VIR_ERR_AGENT_UNRESPONSIVE,
        library.VIR_ERR_ARGUMENT_UNSUPPORTED,
        library.VIR_ERR_OPERATION_INVALID,
        library.VIR_ERR_NO_DOMAIN,
    )


def keep_arrived(name: str, library: Any, connection: Any) -> None:
    """The guest that came by a migration runs here. Raises MigrationRunning, GuestMissing."""
    domain = find(library, connection, name)
    found = domain and status_of(library, domain)
    if found and found.incoming:
        raise MigrationRunning(f"guest {name} is still being received here", subject=name)
    if not found or not found.alive:
        raise GuestMissing(f"guest {name} did not arrive here", subject=name)
    release(library, domain)


def remove_leftover(name: str, library: Any, connection: Any) -> None:
    """Nothing of a failed or ended migration is left here. Raises StillRunning."""
    domain = find(library, connection, name)
    if domain is not None:
        refuse_to_end_alive(name, library, domain)
        end(library, domain)


def refuse_to_end_alive(name: str, library: Any, domain: Any) -> None:
    """Raises StillRunning for a guest that is more than a leftover."""
    found = status_of(library, domain)
    if found is None or not found.alive:
        return
    if has_arrived(library, domain):
        raise StillRunning(
            f"guest {name} has arrived here completely and waits to be released; destroy it only "
            "if it runs elsewhere",
            subject=name,
        )
    raise StillRunning(f"guest {name} runs here", subject=name)


@contextlib.contextmanager
def _gone_is_success(library: Any) -> Iterator[None]:
    try:
        yield
    except library.libvirtError as error:
        if error.get_error_code() != library.VIR_ERR_NO_DOMAIN:
            raise


def _state(library: Any, number: int) -> GuestState:
    for name, state in _STATES.items():
        if number == getattr(library, name):
            return state
    return GuestState.RUNNING
