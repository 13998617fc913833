"""Errors as they cross the link.

An error with a stable code crosses as itself; anything else crosses as ``internal`` without its
text, and the call's id finds it in the node's log.
"""

from __future__ import annotations

import re

from clusterd.calls.wire import MAX_TEXT_CHARACTERS, Fault

INTERNAL = "internal"

_CODE = re.compile(r"[a-z][a-z0-9_]*\Z")


def fault_of(call_id: str, error: BaseException) -> Fault:
    """The fault that stands for ``error``."""
    code, message = getattr(error, "code", None), getattr(error, "message", None)
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
