"""Driving coroutines in tests: with the reactor for real engines, without where nothing waits.

This is the only test module that touches Twisted's reactor. It is turned by hand, as a reactor
that was stopped cannot be run again in one process.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.process import reapAllProcesses
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")

reactor: Any = _reactor
TIMEOUT_S = 30.0
LONGEST_TURN_S = 0.05
"""A child process that ended is noticed this much later at most."""


def run(
    coroutine_function: Callable[[], Coroutine[Any, Any, T]], timeout_s: float = TIMEOUT_S
) -> T:
    """The result of the coroutine, the reactor turning meanwhile; TimeoutError when it is late."""
    if not reactor.running:
        reactor.startRunning(installSignalHandlers=False)
    deferred: Deferred[T] = Deferred.fromCoroutine(coroutine_function())
    results = _collect(deferred)
    try:
        if not _turn_until(results, timeout_s):
            deferred.cancel()
            _turn_until(results, 1.0)
            raise TimeoutError(f"{coroutine_function} did not end within {timeout_s} s")
    finally:
        _stop_reactor_threads()
    return _only(results)


def settled(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that must not have to wait for anything."""
    deferred: Deferred[T] = Deferred.fromCoroutine(coroutine)
    results = _collect(deferred)
    if not results:
        deferred.cancel()
        raise AssertionError(f"{coroutine!r} waits for something")
    return _only(results)


def pause(seconds: float) -> Deferred[None]:
    """Let the reactor turn for a while."""
    done: Deferred[None] = Deferred()
    reactor.callLater(seconds, done.callback, None)
    return done


@contextlib.contextmanager
def thread_pool(size: int = 2) -> Iterator[ThreadPool]:
    """Threads that end with the block."""
    pool = ThreadPool(1, size)
    pool.start()
    try:
        yield pool
    finally:
        pool.stop()


def _collect(deferred: Deferred[T]) -> list[T | Failure]:
    results: list[T | Failure] = []
    deferred.addBoth(results.append)
    return results


def _turn_until(results: list[Any], timeout_s: float) -> bool:
    end = time.monotonic() + timeout_s
    while not results and time.monotonic() < end:
        reactor.runUntilCurrent()
        due_s = reactor.timeout()
        reactor.doIteration(LONGEST_TURN_S if due_s is None else min(due_s, LONGEST_TURN_S))
        reapAllProcesses()
    return bool(results)


def _only(results: list[T | Failure]) -> T:
    result = results[0]
    if isinstance(result, Failure):
        result.raiseException()
    return result


def _stop_reactor_threads() -> None:
    """The reactor's own pool would keep the process from ending; a new one is made when needed."""
    if reactor.threadpool is not None:
        reactor._stopThreadPool()
