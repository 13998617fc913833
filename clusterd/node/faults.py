"""Errors as they cross the link.

An error with a stable code crosses as itself; what the node's system refuses because it is full or
broken crosses with the system's words, for the operator to see to; anything else crosses as
``internal`` without its text. The call's id finds the last two in the node's log.
"""

from __future__ import annotations

import errno
import os
import re

from clusterd.calls.wire import MAX_TEXT_CHARACTERS, Fault

INTERNAL = "internal"
SYSTEM = "system_error"

TELLING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
)
"""What is the matter with the machine, whatever was to be done; others may be our mistake."""

_CODE = re.compile(r"[a-z][a-z0-9_]*\Z")


def fault_of(call_id: str, error: BaseException) -> Fault:
    """The fault that stands for ``error``."""
    code, message = getattr(error, "code", None), getattr(error, "message", None)
    if isinstance(error, OSError) and error.errno in TELLING:
        where = (
            f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        )
        words = f"{os.strerror(error.errno)}{where}"[:MAX_TEXT_CHARACTERS]
        return Fault(id=call_id, code=SYSTEM, message=words, reference=call_id)
    if not (isinstance(code, str) and _CODE.match(code) and isinstance(message, str)):
        return Fault(
            id=call_id,
            code=INTERNAL,
            message=f"unexpected {type(error).__name__}; see the node daemon's log",
            reference=call_id,
        )
    return Fault(
        id=call_id,
        code=code,
        message=message[:MAX_TEXT_CHARACTERS],
        subject=str(getattr(error, "subject", "")),
        retryable=bool(getattr(error, "retryable", False)),
    )
