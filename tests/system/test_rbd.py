"""The storage contract on a real Ceph cluster, and what only a real one can show."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
import pytest

from storage import errors
from storage.volume import Volume
from tests.contracts.storage import backend_contract, finish
from tests.contracts.storage_snapshots import SNAPSHOT, clone_of, snapshot_contract
from tests.system.ceph_hosts import CephHosts, ceph_hosts
from tests.system.real_rbd import MIB, Client, RbdWorld, backend_at, rbd_volume

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


def test_a_full_pool_refuses_at_once_and_lets_go(lab: CephHosts) -> None:
    assert lab.ceph is not None
    backend, world = backend_at(lab), RbdWorld(lab)
    kept, gone, refused = rbd_volume(8), rbd_volume(8), rbd_volume(8)
    for volume in (kept, gone):
        finish(backend.ensure(volume))
        world.put(volume, "kept")
        finish(backend.snapshot(volume, SNAPSHOT))
    finish(backend.ensure(refused))
    finish(backend.forget(refused))  # the first removal in a pool makes Ceph's trash
    image = world.image_file("other", 4)
    lab.ceph.fill()
    try:
        (room,) = finish(backend.capacity())
        assert room.free_mib == 0
        larger = msgspec.structs.replace(kept, size_mib=16)
        needs_room: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            lambda: backend.ensure(refused),
            lambda: backend.ensure(clone_of(world, kept, size_mib=8)),
            lambda: backend.grow(larger),
            lambda: backend.snapshot(kept, "late"),
            lambda: backend.revert(kept, SNAPSHOT),
            lambda: backend.fill(kept, image, "raw"),
        ]
        for ask in needs_room:
            with pytest.raises(errors.NoSpace, match="the pool is full, as an OSD"):
                finish(ask())
        finish(backend.ensure(kept))
        half_made(lab, kept, "late")
        assert finish(backend.look(kept)).present
        for _ in range(2):
            finish(backend.forget_snapshot(kept, "late"))
        assert [one.name for one in finish(backend.look(kept)).snapshots] == [SNAPSHOT]
        for volume in (refused, gone):
            finish(backend.forget(volume))
        assert [one.name for one in finish(backend.list())] == [kept.name]
    finally:
        lab.ceph.empty()
    assert world.get(kept) == "kept"
    finish(backend.snapshot(kept, "late"))
    finish(backend.forget(kept))


def half_made(lab: CephHosts, volume: Volume, snapshot: str) -> None:
    """The pool was full in the middle of taking a snapshot: it is listed and cannot be opened."""
    client = Client(lab, volume, insists=True)
    client.image.create_snap(snapshot)
    client.close()


def test_a_quota_is_told_as_the_room_that_there_is(lab: CephHosts) -> None:
    assert lab.ceph is not None
    backend = backend_at(lab)
    (room,) = finish(backend.capacity())
    lab.ceph.limit(64 * MIB)
    (limited,) = finish(backend.capacity())
    lab.ceph.limit(0)
    assert room.free_mib > 1024
    assert limited.free_mib <= 64


def test_what_a_killed_daemon_left_is_finished(lab: CephHosts) -> None:
    """Each verb is several operations; these are the states between them."""
    assert lab.ceph is not None
    backend, world = backend_at(lab), RbdWorld(lab)
    volume = rbd_volume(8)
    spec = f"{volume.pool}/{volume.name}"
    lab.ceph.rbd("create", "--size", "8M", spec)  # and not marked yet
    assert not finish(backend.look(volume)).present or finish(backend.list())[0].owner is None
    finish(backend.ensure(volume))
    assert [one.owner for one in finish(backend.list())] == [volume.owner]
    world.put(volume, "old")
    lab.ceph.rbd("snap", "create", f"{spec}@{SNAPSHOT}")  # and not protected yet
    finish(backend.snapshot(volume, SNAPSHOT))
    clone = clone_of(world, volume, size_mib=16)
    # neither marked nor as large as it should be
    lab.ceph.rbd("clone", f"{spec}@{SNAPSHOT}", f"{clone.pool}/{clone.name}")
    finish(backend.ensure(clone))
    status = finish(backend.look(clone))
    assert (status.size_mib, world.get(clone)) == (16, "old")
    with pytest.raises(errors.HasChildren, match=clone.name):
        finish(backend.forget(volume))
    finish(backend.forget(clone))
    lab.ceph.rbd("snap", "unprotect", f"{spec}@{SNAPSHOT}")  # and not removed yet
    finish(backend.forget(volume))
    assert finish(backend.list()) == ()
