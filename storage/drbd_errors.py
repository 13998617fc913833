"""What DRBD's refusals mean, as errors of the storage interface. Pure."""

from __future__ import annotations

from storage.commands import command_failed
from storage.drbd_plan import Argv
from storage.errors import NotUpToDate, SecondPrimary, StorageError, VolumeBusy, VolumeMissing
from storage.interface import Output
from storage.volume import Volume

_REFUSALS: tuple[tuple[str, type[StorageError], str], ...] = (
    ("(-1) Multiple primaries", SecondPrimary, "the peer is primary; close it there first"),
    ("(-2) Need access to UpToDate", NotUpToDate, "no up-to-date copy can be reached"),
    ("(-12) Device is held open", VolumeBusy, "something has it open; stop that first"),
    ("(-10) State change was refused", VolumeBusy, "the peer refused the change; try again"),
    ("is configured!", VolumeBusy, "its minor is in use by another; detach that first"),
    ("(-18) In transient state", VolumeBusy, "its state is changing; try again"),
    ("(-7) Refusing to be Primary", NotUpToDate, "the peer is not known to be outdated"),
    ("(-19) Concurrent state changes", VolumeBusy, "its state is changing; try again"),
    ("(-22) Peer may not become primary", VolumeBusy, "the peer's device is open there"),
    ("(-23) Timeout in operation", VolumeBusy, "the peer did not answer the change; try again"),
    ("(161) Minor or volume exists", VolumeBusy, "its minor is in use by another"),
)


def refusal_of(argv: Argv, output: Output, subject: str) -> StorageError:
    """The error that DRBD's complaint stands for."""
    failed = command_failed(argv, output, subject=subject)
    for sign, error, meaning in _REFUSALS:
        if sign in output.stderr:
            return error(f"{subject}: {meaning} ({failed.message})", subject=subject)
    return failed


def not_attached(volume: Volume) -> VolumeMissing:
    """The volume has no device on this node."""
    return VolumeMissing(
        f"{volume.name} is not attached on this node; attach it", subject=volume.name
    )
