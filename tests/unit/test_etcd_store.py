"""The store on etcd: the contracts, on a real member."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusterd.stores import EtcdLink
from jobqueue.store.etcd_wire import Nothing, range_request
from jobqueue.store.interface import Store
from tests.contracts import leases as lease_laws
from tests.contracts import store as store_laws
from tests.etcd_cluster import EtcdCluster, etcd_cluster
from tests.waiting import pause, run

pytestmark = pytest.mark.real

CLUSTER: list[EtcdCluster] = []
NAMES = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One member for all tests here."""
    with etcd_cluster(tmp_path_factory.mktemp("etcd")) as cluster:
        CLUSTER.append(cluster)
        yield
        CLUSTER.remove(cluster)


class EtcdBench(store_laws.Bench, lease_laws.LeaseBench):
    """Stores on the data of one member."""

    def __init__(self, link: EtcdLink) -> None:
        self._link = link

    async def open(self) -> Store:
        self._link.gateway.closed = False
        return self._link.store(f"test-{next(NAMES)}")

    async def wait(self, seconds: float) -> None:
        await pause(seconds)

    async def until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            await pause(0.01)


async def _emptied(law: Callable[[EtcdBench], object]) -> None:
    link = CLUSTER[0].link()
    try:
        await link.gateway.ask("kv/deleterange", range_request(b"clusterd/"), Nothing)
        await law(EtcdBench(link))  # type: ignore[misc]
    finally:
        await link.close()


def _drive_store(law: store_laws.Law, directory: Path) -> None:
    run(lambda: _emptied(law))


def _drive_leases(law: lease_laws.Law, directory: Path) -> None:
    run(lambda: _emptied(law))


test_etcd_keeps = store_laws.store_contract(_drive_store)
test_etcd_leases_keep = lease_laws.lease_contract(_drive_leases)
