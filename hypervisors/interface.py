"""The hypervisor driver interface.

How the caller uses a driver: one object per hypervisor and node. The caller holds the locks of the
instance, describes the guest completely, and calls verbs in any order, more than once, and again
after a crash at any point. A verb finishes what it finds half done and never waits for a guest to
do something: it asks, and says how far things are. Waiting and retrying are the caller's.
Verbs are coroutines; a driver that blocks moves its work to the thread runner it was given.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

from hypervisors.guest import Guest, GuestStatus, MigrationStatus, NodeHardware

T = TypeVar("T")


class Threads(Protocol):
    """Runs blocking functions beside the reactor."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Answer ``function(*args)`` from another thread; its exception is raised here."""


class Clock(Protocol):
    """The part of Twisted's ``IReactorTime`` that a driver uses."""

    def callLater(self, delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        """Call later."""


class Driver(abc.ABC):
    """Guests of one hypervisor on one node."""

    name: ClassVar[str]
    """The hypervisor's name for users: ``kvm``, ``memory``."""

    # -- life ------------------------------------------------------------------------------------

    @abc.abstractmethod
    async def start(self, guest: Guest, *, paused: bool = False) -> None:
        """The guest runs here. Running already is success, whatever its parameters.

        Raises HypervisorDown, NotEnoughMemory, DeviceMissing, BadParameter.
        A leftover definition or a crashed guest of this name is replaced, and so is a copy that a
        migration has left and that never ran here: it may be older than its disks.
        """

    @abc.abstractmethod
    async def ask_to_stop(self, name: str) -> None:
        """The guest has been asked to power off (ACPI). Raises StillRunning until it is gone;
        gone is success, so calling again is the way to wait. Asking twice does no harm.
        """

    @abc.abstractmethod
    async def destroy(self, name: str) -> None:
        """The guest does not run here and no definition is left. Gone is success."""

    @abc.abstractmethod
    async def reboot(self, guest: Guest, *, hard: bool) -> None:
        """Soft: the guest was asked to restart. Hard: it was reset. Raises GuestMissing."""

    @abc.abstractmethod
    async def reshape(self, guest: Guest) -> None:
        """The running guest has the disks and network cards of ``guest`` and no others, and its
        disks the size of their devices, or the one that is said of them, if that is larger. What is
        so already is left alone.

        Raises GuestMissing when it does not run here, DeviceMissing, BadParameter where its kind of
        device cannot come or go while it runs, StillAttached while the guest has been asked to let
        go of a device and has not: asking again is the way to wait.
        """

    @abc.abstractmethod
    async def freeze(self, name: str) -> bool:
        """True if the guest's agent has frozen its file systems: nothing is written until ``thaw``.
        Frozen already: True. False when there is no agent that answers, or no guest."""

    @abc.abstractmethod
    async def thaw(self, name: str) -> None:
        """No file system of the guest is frozen. None was, no agent, or no guest: success."""

    # -- live migration; the caller has made the disks writable on both sides ----------------------

    @abc.abstractmethod
    async def accept(self, guest: Guest) -> str:
        """The target is ready to receive ``guest``; answers the token to give to ``migrate``.

        Raises NotEnoughMemory, DeviceMissing, HypervisorDown. Leftovers of an earlier attempt that
        does not run are removed first.
        """

    @abc.abstractmethod
    async def migrate(self, guest: Guest, target: str, token: str, *, live: bool) -> None:
        """On the source: the migration to node ``target`` has begun. Begun already: success. Disks
        that say that they travel are copied first, and kept equal until the guest has left.

        Does not wait for its end: see ``migration``. Raises GuestMissing, HypervisorDown,
        MigrationFailed when it could not begin.
        """

    @abc.abstractmethod
    async def migration(self, name: str, *, patience_s: float = 0.0) -> MigrationStatus:
        """On the source: how far the outgoing migration is, or how the last one ended. One that
        runs may be answered later, by as much as ``patience_s``, to tell its end at once.
        """

    @abc.abstractmethod
    async def abort_migration(self, name: str) -> None:
        """On the source: no outgoing migration runs and the guest goes on here. None running:
        success. Raises MigrationRunning while it cannot be stopped yet or any more, GuestMissing
        when it is known that the guest has left.
        """

    @abc.abstractmethod
    async def settle(self, guest: Guest, *, arrived: bool) -> None:
        """After a migration, on either side. ``arrived`` true on the node where the guest is now
        wanted: its definition is kept as if started here. False on the other: a definition or an
        incoming guest that does not run is removed. Raises StillRunning rather than end a live one,
        or one that has arrived completely and waits to be released: it may be the only one.
        """

    # -- reading ---------------------------------------------------------------------------------

    @abc.abstractmethod
    async def look(self, name: str) -> GuestStatus | None:
        """The guest as seen here, or None. Raises HypervisorDown."""

    @abc.abstractmethod
    async def list(self) -> tuple[GuestStatus, ...]:
        """All guests of this hypervisor here, also those nobody knows, sorted by name."""

    @abc.abstractmethod
    async def hardware(self) -> NodeHardware:
        """The host's memory and processors. Raises HypervisorDown."""

    @abc.abstractmethod
    async def validate(self, params: dict[str, str | int | float | bool]) -> None:
        """The effective parameters can be honoured here (files exist, accelerator opens).

        Raises BadParameter.
        """

    @abc.abstractmethod
    async def console(self, guest: Guest) -> dict[str, Any]:
        """How to reach the console: Ganeti's console keys kind, message, command, host, port..."""
