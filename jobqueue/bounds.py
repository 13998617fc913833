"""How much of a job the store takes at a time: a plan, an outcome, the lines of a log. Pure.

A transaction of the store has an end, and what does not fit into one could never be remembered, by
no master. So it is refused while it concerns this job alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from jobqueue.errors import Conflict, JobQueueError, Refused, TooLarge
from jobqueue.job import LogEntry
from jobqueue.store.interface import MAX_BYTES

MAX_JOB_BYTES = MAX_BYTES * 3 // 4
"""A job as it is submitted."""

MAX_PLAN_BYTES = MAX_BYTES * 5 // 8
"""A plan with the opcode as it was completed by a choice."""

MAX_VERDICTS_BYTES = MAX_BYTES // 8
"""Why a choice was made; more is not kept."""

MAX_OUTPUT_BYTES = MAX_BYTES * 3 // 8
"""What a step answers."""

MAX_RESULT_BYTES = MAX_BYTES * 9 // 16
"""What an opcode answers; it may be stored together with what its last step does."""

LOG_BYTES = MAX_BYTES // 8
"""Lines of a log that are stored with one event; others wait for the next one."""

NOT_TOGETHER = (Conflict, TooLarge)
"""Why several steps are not stored in one transaction; one after the other they may be."""

Line = tuple[int, LogEntry]
"""(opcode, line)"""


class OutputTooLarge(JobQueueError):
    """What an operation answers is more than the store keeps."""

    code = "output_too_large"


def size_bytes(value: Any) -> int:
    """As it is stored."""
    return len(msgspec.json.encode(value))


def bounded(result: Any, most_bytes: int = MAX_RESULT_BYTES) -> Any:
    """The result; raises OutputTooLarge."""
    if result is not None and (size := size_bytes(result)) > most_bytes:
        raise OutputTooLarge(
            f"The answer has {size} bytes, at most {most_bytes} are kept with a job: ask about"
            " fewer objects at a time"
        )
    return result


def refuse_long(plan: Sequence[msgspec.Raw], chosen: Sequence[Any]) -> None:
    """Raises Refused unless the store takes a plan as one event."""
    size = sum(len(bytes(step)) for step in plan) + sum(map(size_bytes, chosen))
    if size > MAX_PLAN_BYTES:
        raise Refused(
            f"This would be {len(plan)} steps of {size} bytes, at most {MAX_PLAN_BYTES} can be"
            " planned at once: ask for less in one operation",
            "wrong_input",
        )


def kept_verdicts(verdicts: Any) -> Any:
    """The verdicts of a choice, None where they are too many."""
    few = verdicts is None or size_bytes(verdicts) <= MAX_VERDICTS_BYTES
    return verdicts if few else None


def fitting(lines: Sequence[Line]) -> list[Line]:
    """The first lines that one event takes; one that is longer than all is cut."""
    found: list[Line] = []
    left = LOG_BYTES
    for opcode, entry in lines:
        size = size_bytes(entry.text)
        if size > LOG_BYTES:
            text = f"{str(entry.text)[:1000]} ... ({size} bytes)"
            entry = msgspec.structs.replace(entry, text=text)  # noqa: PLW2901
            size = size_bytes(text)
        if size > left:
            break
        left -= size
        found.append((opcode, entry))
    return found
