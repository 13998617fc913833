"""Coroutines that mostly end without waiting: begun at once, and handed to Twisted only where they
wait. What a promise costs is more than what most verbs of a node do.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any

from twisted.internet.defer import Deferred


def begin(work: Coroutine[Any, Any, None]) -> None:
    """Let it run, without anybody who waits for it; it must not raise."""
    try:
        waited_for = work.send(None)
    except StopIteration:
        return
    Deferred.fromCoroutine(rest(work, waited_for))


@types.coroutine
def rest(work: Coroutine[Any, Any, Any], waited_for: Any) -> Generator[Any, Any, Any]:
    """What a coroutine answers that was begun and now waits for ``waited_for``."""
    while True:
        try:
            try:
                passed = yield waited_for
            except GeneratorExit:
                work.close()  # nobody waits any more; its own end may have come before
                raise
            # the coroutine itself decides what of this it bears
            except BaseException as error:  # noqa: BLE001
                waited_for = work.throw(error)
            else:
                waited_for = work.send(passed)
        except StopIteration as answered:
            return answered.value
