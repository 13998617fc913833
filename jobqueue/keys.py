"""Where the queue keeps what in the store. One line a kind; numbers are padded, so keys sort.

``job/N`` and ``journal/N/M`` are of jobs that have not ended; ``finished/N`` is one that has,
whole; ``archive/N`` the same, out of the hot path. The last line of a finished job's journal, and
those that one transaction could not delete, stay until it is archived, and nobody reads them.
"""

from __future__ import annotations

JOBS = "job/"
JOURNAL = "journal/"
FINISHED = "finished/"
ARCHIVE = "archive/"
SERIAL = "queue/serial"
DRAINED = "queue/drained"
PRIORITY = "priority/"
CANCELS = "cancel/"
SUBMITTED = "submitted/"
"""What callers named their requests -> job."""
FILTERS = "filter/"
"""Rules by uuid."""

DIGITS = 12
"""Of a job's number."""


def numbered(prefix: str, job_id: int) -> str:
    """The key of a job's own entry."""
    return f"{prefix}{job_id:0{DIGITS}d}"


def line(job_id: int, at: int) -> str:
    """The key of a line of a job's journal."""
    return f"{JOURNAL}{job_id:0{DIGITS}d}/{at:06d}"


def number_in(key: str) -> int:
    """The job's number in any of these keys."""
    return int(key.split("/")[1])
