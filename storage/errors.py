"""The errors a storage plugin may raise; anything else is a fault of the plugin.

``code`` is stable and crosses the wire; ``retryable`` is advice for the caller's executor, a
plugin itself never retries.
"""

from __future__ import annotations

from typing import ClassVar


class StorageError(Exception):
    """Storage failed."""

    code: ClassVar[str] = "storage_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, subject: str = "") -> None:
        super().__init__(message or type(self).__doc__ or self.code)
        self.message = message or (type(self).__doc__ or self.code).strip()
        self.subject = subject
        """The volume, pool or path that the message is about."""


class NoSpace(StorageError):
    """The pool has not enough free space."""

    code = "no_space"


class PoolMissing(StorageError):
    """The volume group or directory does not exist on this node."""

    code = "pool_missing"


class VolumeMissing(StorageError):
    """The volume does not exist on this node."""

    code = "volume_missing"


class VolumeBusy(StorageError):
    """The volume is in use and cannot be closed, detached or removed yet."""

    code = "volume_busy"
    retryable = True


class SizeDiffers(StorageError):
    """A volume of this name exists with another size."""

    code = "size_differs"


class NameTaken(StorageError):
    """Data of somebody else have the name that the volume would get."""

    code = "name_taken"


class SecondPrimary(StorageError):
    """The mirror's peer is primary and two primaries are not allowed."""

    code = "second_primary"


class NotUpToDate(StorageError):
    """The local copy is not up to date, so it must not become primary."""

    code = "not_up_to_date"
    retryable = True


class SplitBrain(StorageError):
    """Both copies were written separately; an operator must choose one."""

    code = "split_brain"


class CommandFailed(StorageError):
    """A storage command failed."""

    code = "command_failed"


class CommandTimedOut(StorageError):
    """A storage command did not end in time."""

    code = "command_timed_out"
    retryable = True


class BadParameter(StorageError):
    """A parameter cannot be honoured on this node."""

    code = "bad_parameter"


class Unsupported(StorageError):
    """The backend cannot do this."""

    code = "unsupported"


class HasChildren(StorageError):
    """Other volumes depend on this one."""

    code = "has_children"


class StorageDown(StorageError):
    """The storage service does not answer."""

    code = "storage_down"
    retryable = True


class ContentsDiffer(StorageError):
    """A copy is not what was copied."""

    code = "contents_differ"
