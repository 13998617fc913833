"""The errors of the job queue: a stable code, a sentence, and if trying again helps."""

from __future__ import annotations

from typing import Any, ClassVar


class JobQueueError(Exception):
    """The job queue failed."""

    code: ClassVar[str] = "job_queue_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or self.code).strip())

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self)


class Refused(JobQueueError):
    """The request cannot be carried out; nothing was changed.

    ``reason`` is one of Ganeti's error codes (``wrong_input``, ``wrong_state``, ...); ``verdicts``
    is small JSON that says more and is kept with the job.
    """

    code = "refused"

    def __init__(self, message: str, reason: str = "wrong_input", *, verdicts: Any = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.verdicts = verdicts


class Vetoed(JobQueueError):
    """A pre hook refused the operation; nothing was changed."""

    code = "vetoed"


class NoWayBack(JobQueueError):
    """The step has gone too far to be undone: the job goes on forward from it."""

    code = "no_way_back"


class QueueDrained(JobQueueError):
    """The job queue is drained: no new jobs are accepted until it is undrained."""

    code = "queue_drained"


class QueueFull(JobQueueError):
    """The job queue is full: wait for jobs to end or archive ended ones."""

    code = "queue_full"


class JobMissing(JobQueueError):
    """There is no job of this number."""

    code = "job_missing"


class JournalBroken(JobQueueError):
    """An event does not fit what happened before; the job needs an operator."""

    code = "journal_broken"


class LockRefused(JobQueueError):
    """Locks were asked for in a way that could end in a circle of waiting."""

    code = "lock_refused"


class StoreError(JobQueueError):
    """The store failed."""

    code = "store_error"


class Conflict(StoreError):
    """Somebody else changed a key that this transaction was decided on."""

    code = "conflict"
    retryable = True

    def __init__(self, message: str = "", *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class StoreFull(StoreError):
    """The store has no room left; free disk space on the master, then the job goes on."""

    code = "store_full"
    retryable = True


class StoreAway(StoreError):
    """The store does not answer."""

    code = "store_away"
    retryable = True


class TooLarge(StoreError):
    """The transaction is larger than the store's contract allows."""

    code = "too_large"


class KeyTwice(StoreError):
    """The transaction writes one key twice."""

    code = "key_twice"


class LeaseGone(StoreError):
    """The lease has ended, and with it the keys that were attached to it."""

    code = "lease_gone"


class Deposed(StoreError):
    """Another master has taken over; this one must stop changing things."""

    code = "deposed"
