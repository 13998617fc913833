"""The connection to libvirt: the only place that imports its library, and only when first used.

Decided here: one connection is kept and made anew when it broke; a piece of work that met a broken
connection is done once more on a new one, so work must be such that it may be done twice; which of
libvirt's errors becomes which of ours. Not decided here: what is done with guests.
"""

from __future__ import annotations

import errno
import importlib
import re
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from hypervisors.errors import (
    BadParameter,
    DeviceMissing,
    GuestMissing,
    HypervisorDown,
    HypervisorError,
    MigrationFailed,
    NotEnoughMemory,
    Unsupported,
)
from hypervisors.interface import Threads

T = TypeVar("T")

Work = Callable[[Any, Any], T]
"""Blocking work: handed the library and an open connection."""

SYSTEM_URI = "qemu:///system"

MESSAGE_LENGTH = 1000
"""Characters of libvirt's message that are repeated; it may contain all that QEMU printed."""

_BY_CODE: dict[str, type[HypervisorError]] = {
    "VIR_ERR_NO_DOMAIN": GuestMissing,
    "VIR_ERR_NO_CONNECT": HypervisorDown,
    "VIR_ERR_INVALID_CONN": HypervisorDown,
    "VIR_ERR_NO_MEMORY": NotEnoughMemory,
    "VIR_ERR_NO_SUPPORT": Unsupported,
    "VIR_ERR_OPERATION_UNSUPPORTED": Unsupported,
    "VIR_ERR_ARGUMENT_UNSUPPORTED": Unsupported,
    "VIR_ERR_CONFIG_UNSUPPORTED": BadParameter,
    "VIR_ERR_XML_ERROR": BadParameter,
    "VIR_ERR_XML_DETAIL": BadParameter,
    "VIR_ERR_XML_INVALID_SCHEMA": BadParameter,
    "VIR_ERR_CPU_INCOMPATIBLE": BadParameter,
    "VIR_ERR_OPERATION_ABORTED": MigrationFailed,
    "VIR_ERR_MIGRATE_UNSAFE": MigrationFailed,
    "VIR_ERR_MIGRATE_PERSIST_FAILED": MigrationFailed,
}
_MISSING = (errno.ENOENT, errno.ENODEV, errno.ENXIO)
_BAD_PARAMETER_TEXT = re.compile(r"Unknown CPU model|unsupported machine type", re.IGNORECASE)
_NO_MEMORY_TEXT = re.compile(r"Cannot allocate memory|insufficient memory", re.IGNORECASE)


def load_library() -> Any:
    """libvirt's Python module, told not to print errors by itself. Raises HypervisorDown."""
    try:
        library = importlib.import_module("libvirt")
    except ImportError as error:
        raise HypervisorDown(
            f"libvirt's Python module cannot be loaded: {error}; install libvirt-python"
        ) from None
    library.registerErrorHandler(_say_nothing, None)
    return library


def translated(library: Any, error: Any, subject: str) -> HypervisorError:
    """libvirt's error as one of ours. The code decides; text only where libvirt has no code."""
    message = str(error.get_error_message() or error)[:MESSAGE_LENGTH]
    kind = _kind(library, error, message)
    if subject and subject not in message:
        message = f"{subject}: {message}"
    return kind(message, subject=subject)


def _kind(library: Any, error: Any, message: str) -> type[HypervisorError]:
    code = error.get_error_code()
    for name, kind in _BY_CODE.items():
        if code == getattr(library, name, None):
            return kind
    if error.get_error_domain() == library.VIR_FROM_RPC:
        return HypervisorDown
    if code == library.VIR_ERR_SYSTEM_ERROR and error.get_int1() in _MISSING:
        return DeviceMissing
    if _NO_MEMORY_TEXT.search(message):
        return NotEnoughMemory
    if _BAD_PARAMETER_TEXT.search(message):
        return BadParameter
    return HypervisorError


class LibvirtLink:
    """One libvirt service. Safe to use from several threads at once."""

    def __init__(self, threads: Threads, uri: str = SYSTEM_URI) -> None:
        self.uri = uri
        self._threads = threads
        self._connection: Any = None
        self._lock = threading.Lock()

    async def use(self, work: Work[T], *, subject: str = "") -> T:
        """Do ``work`` in a thread. Raises ours for libvirt's errors, naming ``subject``."""
        return await self._threads.run(self.use_now, work, subject)

    def use_now(self, work: Work[T], subject: str = "") -> T:
        """Do ``work`` in this thread, which it blocks."""
        library = load_library()
        connection, kept = self._get(library)
        try:
            return work(library, connection)
        except library.libvirtError as error:
            fault = translated(library, error, subject)
            broken = isinstance(fault, HypervisorDown) or not alive(library, connection)
            if not broken:
                raise fault from error
            self._drop(connection)
            if not kept:
                raise HypervisorDown(fault.message, subject=subject) from error
        connection, _ = self._get(library)
        try:
            return work(library, connection)
        except library.libvirtError as error:
            raise translated(library, error, subject) from error

    async def close(self) -> None:
        """The connection is closed once nobody uses it."""
        await self._threads.run(self._drop, self._connection)

    def _get(self, library: Any) -> tuple[Any, bool]:
        """(connection, True if it was there already)"""
        with self._lock:
            if self._connection is not None:
                return self._connection, True
            self._connection = connected(library, self.uri)
            return self._connection, False

    def _drop(self, connection: Any) -> None:
        with self._lock:
            if self._connection is connection:
                self._connection = None


def connected(library: Any, uri: str) -> Any:
    """A new connection. Raises HypervisorDown."""
    try:
        return library.open(uri)
    except library.libvirtError as error:
        raise HypervisorDown(
            f"libvirt does not answer at {uri}: {error.get_error_message()}; is libvirtd running?",
            subject=uri,
        ) from None


def alive(library: Any, connection: Any) -> bool:
    """False when it is known that the connection's other end is gone."""
    try:
        return bool(connection.isAlive())
    except library.libvirtError:
        return False


def _say_nothing(_context: Any, _error: Any) -> None:
    """Errors are raised; libvirt would also write them to the daemon's error output."""
