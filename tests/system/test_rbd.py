"""The storage contract on a real Ceph cluster, and what only a real one can show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage import errors
from tests.contracts.storage import backend_contract, finish
from tests.contracts.storage_snapshots import snapshot_contract
from tests.system.ceph_hosts import CephHosts, ceph_hosts
from tests.system.real_rbd import RbdWorld, backend_at, rbd_volume

pytestmark = pytest.mark.real


class _Lab:
    """The module's cluster, for worlds that are made without a fixture's help."""

    hosts: CephHosts | None = None


@pytest.fixture(scope="module", autouse=True)
def lab() -> Iterator[CephHosts]:
    with ceph_hosts() as hosts:
        _Lab.hosts = hosts
        yield hosts


def current() -> CephHosts:
    assert _Lab.hosts is not None
    return _Lab.hosts


TestRbd = backend_contract(lambda: RbdWorld(current()))
TestRbdSnapshots = snapshot_contract(lambda: RbdWorld(current()))


@pytest.mark.parametrize("daemon", ["mon.a", "osd.0"])
def test_silent_cluster_is_said_and_not_waited_for(lab: CephHosts, daemon: str) -> None:
    assert lab.ceph is not None
    backend, volume = backend_at(lab), rbd_volume()
    finish(backend.ensure(volume))
    lab.ceph.freeze(daemon)
    try:
        for verb in (backend.look, backend.ensure):
            with pytest.raises(errors.StorageDown, match="answer"):
                finish(verb(volume))
    finally:
        lab.ceph.thaw(daemon)
    assert finish(backend.look(volume)).present
    finish(backend.forget(volume))
