"""One request at several members of etcd at once: the first answer counts.

For what may happen twice and must not be late: keeping a lease alive. A member that is slow is not
given up when the next one is asked too, so a cluster where every answer takes long is waited for,
and one that answers nothing holds up nobody. Everything else goes by ``Gateway.ask``, where the one
member is given up before the next one is asked.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobqueue.errors import StoreAway
from jobqueue.store.etcd_gateway import LOST, Gateway, TryAnother, in_words
from jobqueue.store.etcd_wire import encode

LOG = structlog.get_logger("store")

T = TypeVar("T")

MOST_AT_ONCE = 6
"""Questions under way; the oldest is given up for a further one."""


class Race(Generic[T]):
    """One question; ``won`` is its answer. Cancelling ``won`` gives up all of it.

    Invariant: once ``won`` is called nothing is under way and no timer is left.
    """

    def __init__(
        self, gateway: Gateway, path: str, message: dict[str, Any], shape: type[T]
    ) -> None:
        """See ``Gateway.ask``; ``won`` fails likewise, with StoreAway after
        ``Patience.several_s``."""
        self.won: Deferred[T] = Deferred(lambda _won: self._end())
        self._gateway = gateway
        self._path = path
        self._body = encode(message)
        self._shape = shape
        self._under_way: dict[Deferred[T], str] = {}
        self._order = list(gateway.endpoints)
        first = self._order.index(gateway.endpoint)
        self._order = self._order[first:] + self._order[:first]
        self._count = 0
        self._why = "no answer"
        self._timer: Any = None
        self._last_call = gateway.clock.callLater(gateway.patience.several_s, self._give_up)
        self._ask()

    def _ask(self) -> None:
        """One more member is asked; the next one after it when none has answered meanwhile."""
        endpoint = self._order[self._count % len(self._order)]
        self._count += 1
        if len(self._under_way) >= MOST_AT_ONCE:
            oldest = next(iter(self._under_way))
            del self._under_way[oldest]
            oldest.cancel()
        patience = self._gateway.patience
        self._later(patience.member_s)
        one = Deferred.fromCoroutine(
            self._gateway.ask_one(endpoint, self._path, self._body, self._shape, patience.several_s)
        )
        self._under_way[one] = endpoint
        one.addCallbacks(
            self._answered, self._failed, callbackArgs=(one,), errbackArgs=(one, endpoint)
        )

    def _answered(self, answer: T, one: Deferred[T]) -> None:
        endpoint = self._under_way.pop(one, "")
        if not self.won.called:
            if endpoint in self._gateway.endpoints:
                self._gateway.prefer(endpoint)
            self._end()
            self.won.callback(answer)

    def _failed(self, failure: Failure, one: Deferred[T], endpoint: str) -> None:
        given_up = self._under_way.pop(one, None) is None
        if self.won.called or given_up:
            return
        if failure.check(TryAnother, *LOST) is None:  # type: ignore[no-untyped-call]
            self._end()
            self.won.errback(failure)
            return
        self._why = in_words(failure.value) if failure.value else "no answer"
        LOG.info("etcd member does not answer", endpoint=endpoint, error=self._why)
        if self._gateway.closed:
            self._give_up()
        else:
            self._later(self._gateway.patience.pause_s)

    def _later(self, delay_s: float) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._gateway.clock.callLater(delay_s, self._ask)

    def _give_up(self) -> None:
        self._end()
        self.won.errback(
            StoreAway(
                f"no etcd member answered within {self._gateway.patience.several_s:.1f} s, the last"
                f" one said: {self._why}; see 'gnt-cluster store info'"
            )
        )

    def _end(self) -> None:
        for timer in (self._timer, self._last_call):
            if timer is not None and timer.active():
                timer.cancel()
        left, self._under_way = self._under_way, {}
        for one in left:
            one.cancel()
