"""Writing to etcd: one group at a time, in the order of handing in, each exactly once.

A request whose answer is lost is sent again, to another member, while the first one may still be on
its way: it could then happen twice, the second time over newer writes. So each group is conditioned
on a key of this writer alone and writes a mark of its own there:

* the key has the version that we know: the group happens now, and the key has a new version, so
  whatever is still under way of it fails;
* it has not, and holds our mark: the group happened before. What became of its members is read from
  the state before that revision;
* it has not, and holds another mark: an earlier group, given up by us, came late. Ours has not
  happened and, as it was conditioned on an older version, never will: it is sent anew.

Invariant: ``_base`` is the version of the writer's key, or None when it is not known.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from jobqueue.errors import StoreAway, StoreError, StoreFull
from jobqueue.store.etcd_gateway import Compacted, Gateway
from jobqueue.store.etcd_transaction import (
    MOST_OPERATIONS,
    Applied,
    Outcome,
    as_request,
    first_group,
    keys_decided_on,
    outcomes,
    outcomes_by_state,
    writes,
)
from jobqueue.store.etcd_wire import (
    WRITERS,
    KeyValue,
    OperationAnswer,
    RangeAnswer,
    TransactionAnswer,
)
from jobqueue.store.interface import Transaction

LATE_GROUPS = 20
"""So often may an earlier group come late before this one is given up."""

NO_MARK = b""


class Writer:
    """The only writer of one store object."""

    def __init__(
        self, gateway: Gateway, name: str, told: Callable[[Applied], None], base: int = 0
    ) -> None:
        """``name`` is of this process alone; ``told`` hears of each transaction before its
        committer does; ``base``: the version of the writer's key, 0 for a name never used."""
        self._gateway = gateway
        self._key = WRITERS + name.encode()
        self._name = name
        self._told = told
        self.full: Callable[[], None] = lambda: None
        """Called when there was no room."""
        self.closing = False
        """Nobody waits longer than for one answer that does not come."""
        self._base: int | None = base
        self._marks = itertools.count(1)
        self._waiting: deque[tuple[Transaction, Deferred[int]]] = deque()
        self._busy = False
        self._drained: list[Deferred[None]] = []

    def hand_in(self, transaction: Transaction) -> Deferred[int]:
        """Commit it; a caller that no longer waits changes nothing of that."""
        answer: Deferred[int] = Deferred()
        self._waiting.append((transaction, answer))
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._work())
        return answer

    def drained(self) -> Deferred[None]:
        """Fires when nothing is waiting or under way."""
        done: Deferred[None] = Deferred()
        self._drained.append(done)
        self._rest()
        return done

    async def _work(self) -> None:
        """Write groups until nobody waits."""
        while self._waiting:
            count = first_group(transaction for transaction, _ in self._waiting)
            group = [self._waiting.popleft() for _ in range(count)]
            found = await self._written([transaction for transaction, _ in group])
            for (_, waiting), outcome in zip(group, found, strict=True):
                if isinstance(outcome, Applied):
                    self._told(outcome)
                    waiting.callback(outcome.revision)
                else:
                    waiting.errback(outcome)
            if self.closing and any(isinstance(outcome, StoreAway) for outcome in found):
                self._give_up()
        self._busy = False
        self._rest()

    def _give_up(self) -> None:
        """The store was closed while it did not answer: these were never sent."""
        left, self._waiting = self._waiting, deque()
        for _, waiting in left:
            waiting.errback(StoreAway("the store was closed while it did not answer"))

    def _rest(self) -> None:
        if self._busy:
            return
        drained, self._drained = self._drained, []
        for done in drained:
            done.callback(None)

    async def _written(self, group: Sequence[Transaction]) -> Sequence[Outcome]:
        """What became of each."""
        try:
            return await self._commit(group)
        except StoreFull as error:
            self.full()
            return await self._one_by_one(group, error)
        except StoreError as error:
            return [type(error)(str(error)) for _ in group]
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait must hear
            return [StoreError(f"writing to etcd failed: {error!r}") for _ in group]

    async def _one_by_one(
        self, group: Sequence[Transaction], error: StoreFull
    ) -> Sequence[Outcome]:
        """There is no room; what only deletes can still be done, and makes some.

        Without a mark, as that would need room: late, it fails once anything was put.
        """
        found: list[Outcome] = []
        for one in group:
            if one.puts or not one.deletes:
                found.append(StoreFull(str(error)))
                continue
            try:
                found += await self._commit([one], marked=False)
            except StoreError as problem:
                found.append(problem)
        return found

    async def _commit(
        self, group: Sequence[Transaction], *, marked: bool = True
    ) -> Sequence[Outcome]:
        mark = f"{self._name} {next(self._marks)}".encode() if marked and writes(group) else NO_MARK
        for _ in range(LATE_GROUPS):
            base = await self._known_base()
            self._base = None
            request = as_request(group, self._key, base, mark)
            answer = await self._gateway.ask("kv/txn", request, TransactionAnswer)
            if answer.succeeded:
                self._base = answer.header.revision if mark else base
                return outcomes(group, answer)
            mine = _only(answer)
            self._base = mine.mod_revision
            if mark and mine.value == mark:
                return await self._what_became(group, mine.mod_revision)
        raise StoreAway("earlier writes to etcd kept coming late: read and try again")

    async def _known_base(self) -> int:
        if self._base is None:
            found = await self._gateway.ask("kv/range", {"key": self._key}, RangeAnswer)
            self._base = found.kvs[0].mod_revision if found.kvs else 0
        return self._base

    async def _what_became(self, group: Sequence[Transaction], revision: int) -> Sequence[Outcome]:
        """Of a group that happened at ``revision`` though its answer was lost."""
        keys = keys_decided_on(group)
        before: list[KeyValue] = []
        try:
            for start in range(0, len(keys), MOST_OPERATIONS):
                some = keys[start : start + MOST_OPERATIONS]
                reads = [
                    {"request_range": {"key": key, "keys_only": True, "revision": revision - 1}}
                    for key in some
                ]
                answer = await self._gateway.ask("kv/txn", {"success": reads}, TransactionAnswer)
                before += [kv for one in answer.responses for kv in _range(one).kvs]
        except Compacted:
            raise StoreAway("the answer to a write was lost and is too long ago to learn") from None
        return outcomes_by_state(group, before, revision)


def _range(answer: OperationAnswer) -> RangeAnswer:
    return answer.response_range or RangeAnswer()


def _only(answer: TransactionAnswer) -> KeyValue:
    """The writer's key, read because the condition on it did not hold."""
    found = [kv for one in answer.responses for kv in _range(one).kvs]
    return found[0] if found else KeyValue()
