"""The store on etcd when things go wrong: answers lost and late, members away, no room, no history.

Real members; what goes wrong between them and the store is arranged in its agent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

import pytest
import treq
from twisted.internet.defer import Deferred, gatherResults
from twisted.web.client import ResponseNeverReceived
from twisted.web.iweb import IAgent
from zope.interface import implementer  # type: ignore[import-untyped]

from clusterd.stores import EtcdLink
from jobqueue.errors import Conflict, StoreAway, StoreError, StoreFull
from jobqueue.store.etcd import EtcdStore
from jobqueue.store.etcd_gateway import Gateway, Patience
from jobqueue.store.etcd_wire import Nothing, range_request
from jobqueue.store.interface import ABSENT, Change, Transaction
from tests.contracts.store import keys_of, put
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.waiting import pause, reactor, run

pytestmark = pytest.mark.real

SHORT = Patience(member_s=1.0, all_s=2.0, pause_s=0.02)
PATIENT = Patience(member_s=3.0, all_s=10.0)
NAMES = itertools.count()
MIB = 1024 * 1024


@implementer(IAgent)
class Wire:
    """Between the store and its members. ``lose``: so many answers to writes never arrive though
    the request did. ``hold``: so many writes are held back, and their answers given up."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent
        self.lose = self.hold = 0
        self.deaf = False
        """No watch can be begun."""
        self.held: list[Callable[[], Deferred[Any]]] = []

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Deferred[Any]:
        def go() -> Deferred[Any]:
            answer: Deferred[Any] = self._agent.request(method, uri, headers, bodyProducer)
            return answer

        if self.deaf and uri.endswith(b"/watch"):
            return _lost()
        if uri.endswith(b"/kv/txn") and self.hold:
            self.hold -= 1
            self.held.append(go)
            return _lost()
        if uri.endswith(b"/kv/txn") and self.lose:
            self.lose -= 1
            return go().addCallback(_consumed)
        return go()

    async def release(self) -> None:
        """What was held back arrives now."""
        held, self.held = self.held, []
        for go in held:
            await go().addCallback(_read)


def _lost() -> Deferred[Any]:
    failed: Deferred[Any] = Deferred()
    reactor.callLater(0.01, failed.errback, ResponseNeverReceived([]))
    return failed


def _read(response: Any) -> Deferred[bytes]:
    return treq.content(response)


def _consumed(response: Any) -> Deferred[Any]:
    def lose(_: bytes) -> None:
        raise ResponseNeverReceived([])

    return _read(response).addCallback(lose)


CLUSTER: list[EtcdCluster] = []


@pytest.fixture(scope="module", autouse=True)
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One member for most tests here."""
    with etcd_cluster(tmp_path_factory.mktemp("etcd")) as cluster:
        CLUSTER.append(cluster)
        yield
        CLUSTER.remove(cluster)


Body = Callable[[EtcdStore, Wire], Coroutine[Any, Any, None]]


def played(body: Body, cluster: EtcdCluster | None = None, patience: Patience = PATIENT) -> None:
    """Run ``body`` on an empty store whose wire it has in hand."""

    async def on_empty() -> None:
        link = (cluster or CLUSTER[0]).link(patience)
        try:
            await link.gateway.ask("kv/deleterange", range_request(b"clusterd/"), Nothing)
            wire, store = wired(link)
            await body(store, wire)
            await store.close()
        finally:
            await link.close()

    run(on_empty)


def wired(link: EtcdLink) -> tuple[Wire, EtcdStore]:
    """A store of its own on the link, and the wire that it uses."""
    wire = Wire(link.agent)
    gateway = Gateway(link.gateway.endpoints, wire, reactor, link.gateway.patience)
    return wire, EtcdStore(gateway, reactor, f"faults-{next(NAMES)}")


# -- answers that are lost, requests that are late -------------------------------------------------


def test_a_lost_answer_is_learnt_for_each_transaction_of_the_group() -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        told: list[Change] = []
        base = await store.commit(put(("there", b"1"), ("fence", b"1")))
        store.watch("", told.extend)
        wire.lose = 1
        group = [
            put(("line/1", b"1"), **{"line/1": ABSENT, "fence": base}),
            put(("line/2", b"1"), **{"line/2": base}),
            Transaction(expects=(("fence", base),), deletes=("there", "never")),
            Transaction(expects=(("fence", base + 1),), puts=(("wrong", b""),)),
        ]
        waiting = [Deferred.fromCoroutine(store.commit(one)) for one in group]
        for refused in (waiting[1], waiting[3]):
            with pytest.raises(Conflict):
                await refused
        revision = await waiting[0]
        assert await waiting[2] == revision
        assert wire.lose == 0
        assert await keys_of(store) == ["fence", "line/1"]
        assert [(c.key, c.value) for c in told] == [("line/1", b"1"), ("there", None)]

    played(body)


def test_a_request_that_comes_late_changes_nothing_any_more() -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        wire.hold = 1
        await store.commit(put(("a", b"old")))
        await store.commit(put(("a", b"new")))
        assert len(wire.held) == 1
        await wire.release()
        entry = await store.get("a")
        assert entry is not None
        assert entry.value == b"new"

    played(body)


def test_what_was_given_up_comes_before_what_follows_or_never() -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        wire.hold = 1000
        with pytest.raises(StoreAway):
            await store.commit(put(("a", b"given up"), a=ABSENT))
        wire.hold = 0
        await wire.release()
        with pytest.raises(Conflict):
            await store.commit(put(("a", b"again"), a=ABSENT))
        wire.hold = 1000
        with pytest.raises(StoreAway):
            await store.commit(put(("a", b"late")))
        wire.hold = 0
        await store.commit(put(("a", b"last")))
        await wire.release()
        entry = await store.get("a")
        assert entry is not None
        assert entry.value == b"last"

    played(body, patience=SHORT)


def test_answers_lost_again_and_again_double_nothing() -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        async def add(number: int) -> None:
            key = f"line/{number:03}"
            await store.commit(put((key, b"x"), **{key: ABSENT}))

        for start in range(0, 60, 5):
            wire.lose = 2
            await gatherResults(
                [Deferred.fromCoroutine(add(number)) for number in range(start, start + 5)]
            )
        assert len(await keys_of(store, "line/")) == 60

    played(body)


# -- members that are slow or away -----------------------------------------------------------------


def test_a_slow_member_is_waited_for() -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        cluster = CLUSTER[0]
        (only,) = cluster.members
        cluster.freeze(only)
        waiting = Deferred.fromCoroutine(store.commit(put(("slow", b""))))
        await pause(0.7)
        early = waiting.called
        cluster.thaw(only)
        await waiting
        assert not early
        assert await keys_of(store) == ["slow"]

    played(body)


def test_a_lease_is_kept_alive_by_a_member_that_was_held_up() -> None:
    """For longer than a write waits for all members together."""

    async def body(store: EtcdStore, wire: Wire) -> None:
        cluster = CLUSTER[0]
        (only,) = cluster.members
        assert store.leases is not None
        lease = await store.leases.grant(20.0)
        cluster.freeze(only)
        renewing = Deferred.fromCoroutine(store.leases.keep_alive(lease.id))
        reactor.callLater(2.6, cluster.thaw, only)
        assert await renewing == lease.ttl_s

    played(body, patience=SHORT)


def test_a_member_that_is_away_is_named_and_asked_again() -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        cluster = CLUSTER[0]
        (only,) = cluster.members
        await store.commit(put(("before", b"")))
        cluster.kill(only)
        attempts: list[Any] = [store.commit(put(("away", b""))), store.read(""), store.get("a")]
        for attempt in [Deferred.fromCoroutine(attempt) for attempt in attempts]:
            with pytest.raises(StoreAway, match="no etcd member answered"):
                await attempt
        cluster.start(only)
        await cluster.ready()
        assert await keys_of(store) == ["before"]
        await store.commit(put(("back", b"")))

    played(body, patience=SHORT)


def test_closing_does_not_wait_for_a_store_that_is_away() -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        await store.commit(put(("a", b"0")))
        wire.hold = 1000
        waiting = [Deferred.fromCoroutine(store.commit(put(("a", b"%d" % n)))) for n in range(50)]
        for one in waiting:
            one.addErrback(lambda failure: failure.value)
        await store.close()
        assert [type(await one) for one in waiting] == [StoreAway] * 50
        assert len(wire.held) == 1

    played(body)


# -- watching --------------------------------------------------------------------------------------


def test_a_watch_that_was_cut_off_goes_on_where_it_was() -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        told = await _cut_off(store, wire, compact=False)
        assert told[:3] == [("a/1", b"1"), ("a/1", b"2"), ("a/2", b"2")]
        assert sorted(told[3:], key=str) == [("a/0", None), ("a/1", None)]

    played(body)


def test_a_watch_that_fell_behind_the_history_is_told_the_difference() -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        told = await _cut_off(store, wire, compact=True)
        assert sorted(told[1:], key=str) == [("a/0", None), ("a/1", None), ("a/2", b"2")]

    played(body)


async def _cut_off(store: EtcdStore, wire: Wire, *, compact: bool) -> list[tuple[str, Any]]:
    """What a watcher hears whose store can follow nothing for a while."""
    link = CLUSTER[0].link(SHORT)
    other = link.store(f"other-{next(NAMES)}")
    told: list[tuple[str, Any]] = []
    await other.commit(put(("a/0", b"0"), ("b", b"0")))
    await store.read("")
    store.watch("a/", lambda changes: told.extend((c.key, c.value) for c in changes))
    await other.commit(put(("a/1", b"1")))
    await _until(lambda: bool(told))
    wire.deaf = True
    CLUSTER[0].kill(CLUSTER[0].members[0])
    CLUSTER[0].start(CLUSTER[0].members[0])
    await CLUSTER[0].ready()
    await other.commit(put(("a/1", b"2")))
    await other.commit(put(("a/2", b"2")))
    revision = await other.commit(Transaction(deletes=("a/0", "a/1")))
    if compact:
        await link.gateway.ask("kv/compaction", {"revision": str(revision)}, Nothing)
    wire.deaf = False
    await _until(lambda: ("a/1", None) in told and ("a/0", None) in told)
    await other.commit(put(("a/9", b"9")))
    await _until(lambda: told[-1] == ("a/9", b"9"))
    await other.close()
    await link.close()
    return told[:-1]


async def _until(reached: Callable[[], bool]) -> None:
    while not reached():
        await pause(0.01)


# -- no room ---------------------------------------------------------------------------------------


def test_history_that_fills_the_store_is_cleared_away(tmp_path_factory: Any) -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        with pytest.raises(StoreFull):
            await _fill(store, itertools.repeat("same", 40))
        await _accepted(store)
        await _fill(store, itertools.repeat("same", 5))

    with etcd_cluster(tmp_path_factory.mktemp("full"), quota_bytes=12 * MIB) as cluster:
        played(body, cluster)


def test_data_that_fill_the_store_can_still_be_deleted(tmp_path_factory: Any) -> None:
    async def body(store: EtcdStore, wire: Wire) -> None:
        store.room_every_s = 1.0
        with pytest.raises(StoreFull):
            await _fill(store, (f"k{number:02}" for number in range(40)))
        keys = await keys_of(store)
        told: list[Change] = []
        store.watch("", told.extend)
        with pytest.raises(Conflict):
            await store.commit(Transaction(expects=(("k00", 1),), deletes=("k00",)))
        for key in keys[1:]:
            await store.commit(Transaction(deletes=(key,)))
        assert [change.key for change in told] == keys[1:]
        await _accepted(store)
        assert await keys_of(store) == ["again", "k00"]

    with etcd_cluster(tmp_path_factory.mktemp("full"), quota_bytes=12 * MIB) as cluster:
        played(body, cluster, PATIENT)


async def _fill(store: EtcdStore, keys: Iterable[str]) -> None:
    for key in keys:
        await store.commit(put((key, b"x" * (MIB // 2))))


async def _accepted(store: EtcdStore) -> None:
    """As the executor does: try again until there is room."""
    for _ in range(400):
        try:
            await store.commit(put(("again", b"")))
        except StoreError:
            await pause(0.1)
        else:
            return
    raise AssertionError("no room was made")
