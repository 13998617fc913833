"""The storage plugin interface.

How the caller uses a backend: one object per template and node. The caller holds the locks of the
instance, describes volumes completely, and calls verbs in any order, more than once, and again
after a crash at any point. Each verb brings the volume to the named state *from whatever it
finds*: half done is finished, already done is success. Retrying, waiting and undoing are the
caller's; a verb never loops for a state, never sleeps, and never keeps state of its own beside
the storage itself.

Blocking work goes through the injected ``Commands``; verbs are coroutines.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import msgspec

from storage.volume import Capacity, Filled, Stored, Template, Volume, VolumeStatus

T = TypeVar("T")


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a program finds beside its arguments."""

    environment: dict[str, str] = {}
    """Added to the fixed one."""
    directory: str = "/"
    """Where it runs."""


USUAL = Surroundings()


class Commands(Protocol):
    """Runs programs; the only way a backend touches the machine beside plain files."""

    async def run(
        self,
        *argv: str,
        timeout_s: float = 60.0,
        check: bool = True,
        stdin: str | None = None,
        around: Surroundings = USUAL,
    ) -> Output:
        """Run ``argv`` (no shell). With ``check`` a non-zero exit raises ``CommandFailed`` naming
        the command and the last lines of its error text; ``CommandTimedOut`` after ``timeout_s``.
        ``stdin`` reaches the program as a seekable file: some read theirs twice.
        """

    async def read(self, path: str) -> str:
        """The text of a small system file (``/proc/drbd``); empty when there is none.

        Spares a process where the kernel tells its state in a file.
        """


class Threads(Protocol):
    """Runs blocking functions beside the reactor."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Answer ``function(*args)`` from another thread; its exception is raised here."""


class Backend(abc.ABC):
    """Volumes of one template on one node."""

    template: ClassVar[Template]

    # -- data: survives restart of the node ---------------------------------------------------

    @abc.abstractmethod
    async def ensure(self, volume: Volume) -> None:
        """Storage for ``volume`` exists, with its size, not attached if it was made now. A new one
        with an ``origin`` has its contents, and is zero behind them.

        Raises NoSpace, PoolMissing, SizeDiffers (found with another size than asked, beyond what
        the pool rounds up), CommandFailed.
        Half done (data without metadata): the rest is made. Never overwrites existing data.
        """

    @abc.abstractmethod
    async def forget(self, volume: Volume) -> None:
        """Nothing of ``volume`` is left on this node; detaches first. Gone already is success.

        Its snapshots go with it. Raises VolumeBusy while something has it open, HasChildren while
        other volumes read from its snapshots, naming them.
        """

    @abc.abstractmethod
    async def grow(self, volume: Volume) -> None:
        """The stored data of ``volume`` have at least its size, which is the new one, also while
        something has it open; the addition reads as zeros or whatever was there. What is larger
        already is left alone: nothing is ever made smaller.

        The device of a mirror keeps its size until ``resize``. Raises VolumeMissing, NoSpace,
        BadParameter where the template cannot grow.
        """

    @abc.abstractmethod
    async def adopt(self, volume: Volume, name: str) -> None:
        """The data called ``name`` in the volume's pool are ``volume`` from now on, by its own
        name and tags; done already is success. A mirror gets fresh metadata that do not vouch for
        them. A volume without an owner takes them back: they are nobody's from now on.

        Raises VolumeMissing when there are neither, VolumeBusy while something has it open,
        BadParameter where the template cannot.
        """

    # -- attachment: gone after restart of the node ---------------------------------------------

    @abc.abstractmethod
    async def attach(self, volume: Volume, *, clean: bool = False) -> str:
        """The volume is usable here; answers the path of the device or file.

        A mirror comes up as secondary and starts to connect; it does not wait for its peer.
        After a crash the activity log is applied first. ``clean`` says that both copies of a
        mirror are new and equal by definition: the first full synchronisation is skipped.
        Raises VolumeMissing, PoolMissing, CommandFailed.
        """

    @abc.abstractmethod
    async def detach(self, volume: Volume) -> None:
        """The volume is not usable here; its data stay. Closes first; detached already is success.

        Raises VolumeBusy while something has it open.
        """

    @abc.abstractmethod
    async def open(self, volume: Volume, *, force: bool = False) -> None:
        """The attached volume may be written here (a mirror becomes primary).

        Raises SecondPrimary while the peer is primary and sharing is not allowed; NotUpToDate;
        VolumeMissing when not attached. ``force`` lets an up-to-date but lonely copy, or one that
        was never synchronised, become primary; it never overrides SecondPrimary.
        Templates without a mirror: success when attached. Where a service outside knows who has
        the volume open and can shut it out: SecondPrimary while that is another node and sharing
        is not allowed; with ``force`` the other is shut out, so that none of its writes arrives
        any more, also if it was only believed to be dead.
        """

    @abc.abstractmethod
    async def close(self, volume: Volume) -> None:
        """The volume may not be written here (a mirror becomes secondary). Not attached: success.

        Raises VolumeBusy while something has it open.
        """

    @abc.abstractmethod
    async def share(self, volume: Volume, *, allowed: bool) -> None:
        """Two primaries are (not) allowed: the window of a live migration.

        Not attached or not a mirror: success. Refusing again while both are primary raises
        VolumeBusy.
        """

    @abc.abstractmethod
    async def reconnect(self, volume: Volume, *, discard_local: bool = False) -> None:
        """A mirror that stands alone tries its peer again. ``discard_local`` gives up local
        changes made during a split. Connected already, or not a mirror: success.
        """

    @abc.abstractmethod
    async def resize(self, volume: Volume) -> None:
        """The attached device of a mirror has the volume's size, on both nodes; ask where it is
        open, after ``grow`` on both. Not a mirror: nothing to do.

        Raises VolumeMissing when not attached, NotUpToDate while the peer is not connected.
        """

    @abc.abstractmethod
    async def swap(self, volume: Volume, old: Volume) -> None:
        """The local data under an attached mirror are ``volume``'s instead of ``old``'s, also while
        it is open: they are copied from the peer. The data of ``old`` stay, unused.

        Half done (no local data any more): the rest is done. Raises NotUpToDate unless the peer is
        connected and up to date, VolumeMissing when not attached, BadParameter without a mirror.
        """

    # -- snapshots and contents ---------------------------------------------------------------

    @abc.abstractmethod
    async def snapshot(self, volume: Volume, name: str) -> None:
        """The contents of this moment are kept under ``name``; there already is success.

        Raises VolumeMissing, NoSpace, Unsupported.
        """

    @abc.abstractmethod
    async def forget_snapshot(self, volume: Volume, name: str) -> None:
        """No snapshot ``name`` of the volume is left. Gone already is success.

        Raises HasChildren while volumes depend on it, naming them.
        """

    @abc.abstractmethod
    async def revert(self, volume: Volume, name: str) -> None:
        """The contents are those of the snapshot; what was written since is lost.

        Half done: done again. Raises VolumeMissing without the snapshot, VolumeBusy while something
        has the volume open.
        """

    @abc.abstractmethod
    async def still(self, volume: Volume) -> str:
        """The contents of this moment can be read at the answered path, also while the volume is
        written, until ``forget_still``. There already: the same one. The volume is attached; one
        that is read by a still only is not written while the still is made.

        Raises VolumeMissing, NoSpace, Unsupported, VolumeBusy.
        """

    @abc.abstractmethod
    async def forget_still(self, volume: Volume) -> None:
        """There is no such picture of the volume. Gone already is success; ``forget`` does it, too.

        Raises VolumeBusy while something has it open.
        """

    @abc.abstractmethod
    async def flatten(self, volume: Volume) -> None:
        """The volume depends on no snapshot any more. Half done: goes on. Did not: success."""

    @abc.abstractmethod
    async def fill(self, volume: Volume, path: str, format: Literal["raw", "qcow2"]) -> Filled:
        """The contents are those of the image file or device at ``path`` on this node, compared
        after the copy where one is made, and zeros behind them; answers which it was. The volume is
        attached, and open where it needs be.

        Raises NoSpace when the image is larger than the volume, ContentsDiffer, VolumeMissing.
        """

    # -- reading -------------------------------------------------------------------------------

    @abc.abstractmethod
    async def look(self, volume: Volume) -> VolumeStatus:
        """What is found of ``volume``; never changes anything, never raises for absence."""

    @abc.abstractmethod
    async def list(self) -> tuple[Stored, ...]:
        """All storage of this template found on this node, also what nobody knows, sorted."""

    @abc.abstractmethod
    async def capacity(self) -> tuple[Capacity, ...]:
        """Room per pool that this backend was configured with; missing pools are left out."""
