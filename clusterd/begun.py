"""Coroutines that mostly end without waiting: begun at once, and handed to Twisted only where they
wait. What a promise costs is more than what most verbs of a node do.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def begin(work: Coroutine[Any, Any, None]) -> None:
    """Let it run, without anybody who waits for it; it must not raise."""
    try:
        waited_for = work.send(None)
    except StopIteration:
        return
    Deferred.fromCoroutine(rest(work, waited_for))


def answered(
    work: Coroutine[Any, Any, T], then: Callable[[T], None], failed: Callable[[Failure], None]
) -> None:
    """Let it run; ``then`` gets what it answers, at once where it does not wait, and ``failed``
    what it raises."""
    try:
        waited_for = work.send(None)
    except StopIteration as end:
        answer: T = end.value
    except Exception:  # noqa: BLE001 - it is handed on
        failed(Failure())  # type: ignore[no-untyped-call]
        return
    else:
        Deferred.fromCoroutine(rest(work, waited_for)).addCallbacks(then, failed)
        return
    then(answer)


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
