"""Regular expressions of people, looked for in texts: with an end, whatever they look like. Pure.

An expression such as ``(a|aa)+b`` can take for ever on a short text, and all else on the master
would wait for it. So each search has a time limit, which Python's own ``re`` does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import regex

from jobqueue.errors import Refused

MAX_PATTERN = 1000
"""Characters of a regular expression."""

LONGEST_S = 0.01
"""Of the processor's time, for one text; usual ones take microseconds."""

Found = Callable[[str], bool]


def expression(pattern: Any) -> Found:
    """Whether ``pattern`` is found in a text. Raises Refused for what is none; so does the answer
    where it takes too long."""
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN:
        raise Refused(f"Not a usable regular expression: {pattern!r:.100}", "wrong_input")
    try:
        compiled = regex.compile(pattern)
    except regex.error as error:
        raise Refused(
            f"Not a regular expression: {pattern!r:.100}: {error}", "wrong_input"
        ) from None

    def found(text: str) -> bool:
        try:
            return compiled.search(text, timeout=LONGEST_S) is not None
        except TimeoutError:
            raise Refused(
                f"The regular expression {pattern!r:.100} takes too long on {text!r:.40}; write it"
                " without repetitions inside of repetitions",
                "wrong_input",
            ) from None

    return found
