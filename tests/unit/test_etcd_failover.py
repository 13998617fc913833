"""Three etcd members, killed and started again under a load of commits: nothing is lost, nothing
happens twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred, gatherResults

from jobqueue.errors import Conflict, StoreAway
from jobqueue.store.etcd import EtcdStore
from jobqueue.store.interface import ABSENT, Change
from tests.contracts.store import keys_of, put
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.waiting import pause, run

pytestmark = pytest.mark.real

WRITERS = 8
KILLS = 3
CLUSTER: list[EtcdCluster] = []


@pytest.fixture(scope="module", autouse=True)
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Three members for the tests here."""
    with etcd_cluster(tmp_path_factory.mktemp("etcd"), size=3) as cluster:
        CLUSTER.append(cluster)
        yield
        CLUSTER.remove(cluster)


class Load:
    """Writers that each keep a journal, and a counter that all of them share."""

    def __init__(self, store: EtcdStore) -> None:
        self.store = store
        self.acknowledged: set[str] = set()
        self.added = 0
        self.unknown = 0
        self.ending = False

    async def write(self, writer: int) -> None:
        """Line after line; the next one only when this one is known to be there."""
        number = 0
        while not self.ending:
            number += 1
            key = f"journal/{writer}/{number:05}"
            while not await self._line(key):
                await pause(0.05)
            self.acknowledged.add(key)

    async def _line(self, key: str) -> bool:
        try:
            await self.store.commit(put((key, b"x"), **{key: ABSENT}))
        except StoreAway:
            return False
        except Conflict:  # its answer was lost
            return True
        return True

    async def count(self) -> None:
        """Add one, decided on what was read."""
        while not self.ending:
            try:
                entry = await self.store.get("count")
                value, version = (int(entry.value), entry.version) if entry else (0, ABSENT)
                await self.store.commit(put(("count", str(value + 1).encode()), count=version))
            except Conflict as error:
                raise AssertionError("nobody else counts") from error
            except StoreAway:
                self.unknown += 1
            else:
                self.added += 1


def test_members_killed_under_load_lose_nothing_and_double_nothing() -> None:
    async def body() -> None:
        cluster = CLUSTER[0]
        link, watching = cluster.link(), cluster.link()
        store, other = link.store("load"), watching.store("watching")
        await other.read("")
        heard: list[Change] = []
        other.watch("journal/", heard.extend)
        load = Load(store)
        writing = [Deferred.fromCoroutine(load.write(writer)) for writer in range(WRITERS)]
        writing.append(Deferred.fromCoroutine(load.count()))
        for _ in range(KILLS):
            await pause(0.3)
            leader = await cluster.leader()
            before = len(load.acknowledged)
            cluster.kill(leader)
            while len(load.acknowledged) <= before + WRITERS:
                await pause(0.02)
            cluster.start(leader)
            await cluster.ready()
        load.ending = True
        await gatherResults(writing)
        there = await keys_of(store, "journal/")
        assert there == sorted(load.acknowledged)
        counted = await store.get("count")
        assert counted is not None
        assert load.added <= int(counted.value) <= load.added + load.unknown
        while len(heard) < len(there):
            await pause(0.02)
        assert sorted(change.key for change in heard) == there
        await store.close()
        await other.close()
        await link.close()
        await watching.close()

    run(body, timeout_s=60.0)


def test_a_frozen_leader_is_left_and_the_next_one_asked() -> None:
    async def body() -> None:
        cluster = CLUSTER[0]
        link = cluster.link()
        store = link.store("frozen")
        await store.commit(put(("a", b"1")))
        leader = await cluster.leader()
        link.gateway.prefer(leader.client_url)
        cluster.freeze(leader)
        await store.commit(put(("a", b"2")))
        assert link.gateway.endpoint != leader.client_url
        cluster.thaw(leader)
        await store.commit(put(("a", b"3")))
        entry = await store.get("a")
        assert entry is not None
        assert entry.value == b"3"
        await store.close()
        await link.close()

    run(body)
