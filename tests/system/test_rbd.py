"""The storage contract on a real Ceph cluster, and what only a real one can show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.storage import backend_contract
from tests.contracts.storage_snapshots import snapshot_contract
from tests.system.ceph_hosts import CephHosts, ceph_hosts
from tests.system.real_rbd import RbdWorld

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
