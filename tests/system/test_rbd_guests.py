"""The fence of Ceph images: another node is refused, and with force shut out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from storage import errors
from storage.rbd import RbdBackend
from storage.volume import Volume
from tests.contracts.storage import finish
from tests.system.ceph_hosts import CephHosts, ceph_hosts
from tests.system.real_rbd import Client, backend_at, rbd_volume

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def lab() -> Iterator[CephHosts]:
    with ceph_hosts() as hosts:
        yield hosts


def opened(backend: RbdBackend, volume: Volume, *, force: bool = False) -> None:
    finish(backend.ensure(volume))
    finish(backend.attach(volume))
    finish(backend.open(volume, force=force))


def test_another_node_is_refused_and_with_force_shut_out(lab: CephHosts) -> None:
    volume = rbd_volume()
    here, there = backend_at(lab, 1), backend_at(lab, 2)
    opened(here, volume)
    old = Client(lab, volume, 1)
    old.write(b"before")
    with pytest.raises(errors.VolumeBusy):
        finish(here.detach(volume))
    finish(there.detach(volume))
    with pytest.raises(errors.SecondPrimary, match="another node"):
        finish(there.open(volume))
    finish(there.open(volume, force=True))
    new = Client(lab, volume, 2)
    began = time.monotonic()
    new.write(b"after ")
    assert time.monotonic() - began < 10, "the dead client's lock was waited for"
    with pytest.raises(Exception, match=r"(?i)shutdown|blocklist|timed? ?out|read-only"):
        old.write(b"late  ")
    assert new.read(6) == b"after "
    for client in (new, old):
        with contextlib.suppress(Exception):
            client.close()
    finish(there.open(volume))
    finish(there.forget(volume))
