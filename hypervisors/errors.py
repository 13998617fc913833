"""The errors a hypervisor driver may raise; anything else is a fault of the driver."""

from __future__ import annotations

from typing import ClassVar


class HypervisorError(Exception):
    """The hypervisor failed."""

    code: ClassVar[str] = "hypervisor_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, subject: str = "") -> None:
        super().__init__(message or type(self).__doc__ or self.code)
        self.message = message or (type(self).__doc__ or self.code).strip()
        self.subject = subject
        """The guest, device or parameter that the message is about."""


class HypervisorDown(HypervisorError):
    """The hypervisor's service does not answer on this node."""

    code = "hypervisor_down"
    retryable = True


class GuestMissing(HypervisorError):
    """The guest does not run on this node."""

    code = "guest_missing"


class StillRunning(HypervisorError):
    """The guest was asked to stop and still runs."""

    code = "still_running"
    retryable = True


class NotEnoughMemory(HypervisorError):
    """The node has not enough free memory for the guest."""

    code = "not_enough_memory"


class DeviceMissing(HypervisorError):
    """A disk, bridge or image that the guest needs does not exist on this node."""

    code = "device_missing"


class StillAttached(HypervisorError):
    """The guest was asked to let go of a device and has not done so yet."""

    code = "still_attached"
    retryable = True


class BadParameter(HypervisorError):
    """A hypervisor parameter cannot be honoured on this node."""

    code = "bad_parameter"


class MigrationRunning(HypervisorError):
    """The migration is still under way."""

    code = "migration_running"
    retryable = True


class MigrationFailed(HypervisorError):
    """The migration ended and the guest still runs on its source."""

    code = "migration_failed"


class Unsupported(HypervisorError):
    """This hypervisor cannot do that."""

    code = "unsupported"
