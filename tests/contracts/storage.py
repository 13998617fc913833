"""What every storage backend must do: one suite, made for any world that offers a backend.

A world is one node; ``storage_mirror`` has the suite for pairs. Coroutines are driven that never
wait, so a world runs blocking work in place.
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest

from storage import errors
from storage.interface import Backend
from storage.plugin import built_in
from storage.volume import Volume

T = TypeVar("T")
ABSENT_UUID = "00000000-0000-4000-8000-00000000dead"


class InPlace:
    """A thread runner without threads."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Drive a coroutine that waits for nothing to its end."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    coroutine.close()
    raise AssertionError("the coroutine waits for something that this world cannot give")


class StorageWorld(abc.ABC):
    """One node with one backend. ``close`` removes what the test made."""

    backend: Backend
    attaches = True
    """False where a volume is usable as soon as it is there."""
    restart_detaches = True
    """False where the node's own start makes volumes usable again."""
    bounded = True
    """False where more may be promised than there is."""
    records_owner = True
    force_to_open = False
    """True for a mirror whose peer is not there."""
    keeps = False
    """True where data are somebody else's: they stay when they are forgotten."""
    lists = True
    """False where nothing tells what is stored."""
    grows = True

    @abc.abstractmethod
    def volume(self, size_mib: int = 32) -> Volume:
        """A volume nobody has used; its pool exists."""

    def provide(self, volume: Volume) -> None:  # noqa: B027 - few worlds have anything to do
        """What must be there before the volume can be ensured: nothing, unless it is adopted."""

    @abc.abstractmethod
    def elsewhere(self, volume: Volume) -> Volume:
        """The same in a pool that does not exist."""

    @abc.abstractmethod
    def used(self, path: str) -> contextlib.AbstractContextManager[None]:
        """Something has the attached volume open."""

    @abc.abstractmethod
    def restart(self) -> None:
        """The node loses power and comes back."""

    @abc.abstractmethod
    def close(self) -> None:
        """Nothing of the test is left."""


def made(world: StorageWorld, size_mib: int = 32) -> Volume:
    """A volume that exists and is not attached."""
    volume = world.volume(size_mib)
    world.provide(volume)
    finish(world.backend.ensure(volume))
    return volume


class BackendContract:
    """The suite for one node's volumes."""

    make_world: ClassVar[Callable[[], StorageWorld]]

    @pytest.fixture
    def world(self) -> Iterator[StorageWorld]:
        with contextlib.closing(type(self).make_world()) as world:
            yield world

    def test_absent_is_looked_at_without_complaint(self, world: StorageWorld) -> None:
        volume = world.volume()
        for asked in (volume, world.elsewhere(volume)):
            status = finish(world.backend.look(asked))
            assert (status.present, status.path, status.uuid) == (False, None, volume.uuid)

    def test_ensured_is_present_and_again_is_success(self, world: StorageWorld) -> None:
        volume = world.volume()
        world.provide(volume)
        for _ in range(2):
            finish(world.backend.ensure(volume))
            status = finish(world.backend.look(volume))
            assert status.present
            assert status.size_mib == volume.size_mib
            assert (status.path is None) is world.attaches

    def test_odd_size_is_rounded_up_and_still_the_same(self, world: StorageWorld) -> None:
        volume = made(world, 33)
        finish(world.backend.ensure(volume))
        found = finish(world.backend.look(volume)).size_mib
        assert found is not None
        assert found >= 33

    def test_other_size_is_refused_and_kept(self, world: StorageWorld) -> None:
        volume = made(world)
        for size_mib in (16, 64):
            other = msgspec.structs.replace(volume, size_mib=size_mib)
            with pytest.raises(errors.SizeDiffers):
                finish(world.backend.ensure(other))
        assert finish(world.backend.look(volume)).size_mib == 32

    def test_pool_missing(self, world: StorageWorld) -> None:
        volume = world.elsewhere(world.volume())
        with pytest.raises((errors.PoolMissing, errors.BadParameter)):
            finish(world.backend.ensure(volume))

    def test_no_space_leaves_nothing(self, world: StorageWorld) -> None:
        if not world.bounded:
            return
        volume = world.volume(size_mib=100 * 1024 * 1024)
        with pytest.raises(errors.NoSpace):
            finish(world.backend.ensure(volume))
        assert not finish(world.backend.look(volume)).present
        assert volume.name not in {stored.name for stored in finish(world.backend.list())}

    def test_attached_is_usable_and_again_the_same(self, world: StorageWorld) -> None:
        volume = made(world)
        path = finish(world.backend.attach(volume))
        assert path == finish(world.backend.attach(volume))
        assert finish(world.backend.look(volume)).path == path

    def test_absent_cannot_be_attached_or_opened(self, world: StorageWorld) -> None:
        volume = world.volume()
        with pytest.raises(errors.VolumeMissing):
            finish(world.backend.attach(volume))
        with pytest.raises(errors.VolumeMissing):
            finish(world.backend.open(volume))

    def test_open_needs_attachment(self, world: StorageWorld) -> None:
        volume = made(world)
        if world.attaches:
            with pytest.raises(errors.VolumeMissing):
                finish(world.backend.open(volume, force=True))
        finish(world.backend.attach(volume))
        for _ in range(2):
            finish(world.backend.open(volume, force=world.force_to_open))
        for _ in range(2):
            finish(world.backend.close(volume))

    def test_detached_keeps_its_data(self, world: StorageWorld) -> None:
        volume = world.volume()
        finish(world.backend.detach(volume))
        world.provide(volume)
        finish(world.backend.ensure(volume))
        finish(world.backend.attach(volume))
        finish(world.backend.open(volume, force=world.force_to_open))
        for _ in range(2):
            finish(world.backend.detach(volume))
        status = finish(world.backend.look(volume))
        assert status.present
        assert (status.path is None) is world.attaches

    def test_forgotten_from_any_state(self, world: StorageWorld) -> None:
        volume = world.volume()
        finish(world.backend.forget(volume))
        world.provide(volume)
        finish(world.backend.ensure(volume))
        finish(world.backend.forget(volume))
        assert finish(world.backend.look(volume)).present is world.keeps
        finish(world.backend.ensure(volume))
        finish(world.backend.attach(volume))
        finish(world.backend.open(volume, force=world.force_to_open))
        for _ in range(2):
            finish(world.backend.forget(volume))
        assert finish(world.backend.look(volume)).present is world.keeps
        assert volume.name not in {stored.name for stored in finish(world.backend.list())}

    def test_used_is_not_taken_away(self, world: StorageWorld) -> None:
        volume = made(world)
        path = finish(world.backend.attach(volume))
        finish(world.backend.open(volume, force=world.force_to_open))
        with world.used(path):
            for verb in (world.backend.close, world.backend.detach, world.backend.forget):
                with pytest.raises(errors.VolumeBusy):
                    finish(verb(volume))
            assert finish(world.backend.look(volume)).path == path
        finish(world.backend.close(volume))
        finish(world.backend.forget(volume))

    def test_sharing_what_is_not_attached_is_success(self, world: StorageWorld) -> None:
        volume = made(world)
        finish(world.backend.share(volume, allowed=True))
        finish(world.backend.share(volume, allowed=False))

    def test_listed_with_owner(self, world: StorageWorld) -> None:
        volume = made(world)
        found = [s for s in finish(world.backend.list()) if s.name == volume.name]
        assert len(found) == world.lists
        if not found:
            return
        assert found[0].template is volume.template
        assert (found[0].pool, found[0].size_mib) == (volume.pool, volume.size_mib)
        assert found[0].owner == (volume.owner if world.records_owner else None)

    def test_capacity_shrinks_by_what_is_made(self, world: StorageWorld) -> None:
        volume = world.volume()
        world.provide(volume)
        before = {room.pool: room for room in finish(world.backend.capacity())}
        finish(world.backend.ensure(volume))
        after = {room.pool: room for room in finish(world.backend.capacity())}
        assert sorted(before) == sorted(after)
        if world.bounded:
            taken = before[volume.pool].free_mib - after[volume.pool].free_mib
            overhead = volume.mirror.meta_size_mib if volume.mirror else 0
            assert taken == volume.size_mib + overhead
        assert all(0 <= room.free_mib <= room.total_mib for room in after.values())

    def test_grown_while_attached_and_never_made_smaller(self, world: StorageWorld) -> None:
        volume = world.volume()
        with pytest.raises(errors.VolumeMissing):
            finish(world.backend.grow(volume))
        world.provide(volume)
        finish(world.backend.ensure(volume))
        finish(world.backend.attach(volume))
        finish(world.backend.open(volume, force=world.force_to_open))
        larger = msgspec.structs.replace(volume, size_mib=64)
        if not world.grows:
            finish(world.backend.grow(volume))
            with pytest.raises(errors.BadParameter):
                finish(world.backend.grow(larger))
            return
        for wanted in (larger, larger, volume):
            finish(world.backend.grow(wanted))
        finish(world.backend.detach(volume))
        assert finish(world.backend.look(larger)).size_mib == 64
        if world.bounded:
            with pytest.raises(errors.NoSpace):
                finish(world.backend.grow(msgspec.structs.replace(volume, size_mib=100 * 1024**2)))
            assert finish(world.backend.look(larger)).size_mib == 64

    def test_a_still_is_taken_again_and_forgotten(self, world: StorageWorld) -> None:
        volume = world.volume()
        finish(world.backend.forget_still(volume))
        plugin = built_in()[volume.template]
        by_still = plugin.read_by_still(volume.params)
        if not plugin.stills and not by_still:
            with pytest.raises(errors.Unsupported):
                finish(world.backend.still(volume))
            return
        with pytest.raises(errors.VolumeMissing):
            finish(world.backend.still(volume))
        finish(world.backend.ensure(volume))
        path = finish(world.backend.attach(volume))
        if not by_still:
            finish(world.backend.open(volume, force=world.force_to_open))
        stills = [finish(world.backend.still(volume)) for _ in range(2)]
        assert stills[0] == stills[1] != path
        for _ in range(2):
            finish(world.backend.forget_still(volume))
        assert finish(world.backend.still(volume)) == stills[0]
        finish(world.backend.forget(volume))
        assert volume.name not in {stored.name for stored in finish(world.backend.list())}

    def test_restart_keeps_data_and_ends_attachment(self, world: StorageWorld) -> None:
        volume = made(world)
        finish(world.backend.attach(volume))
        world.restart()
        status = finish(world.backend.look(volume))
        assert status.present
        assert (status.path is None) is world.restart_detaches
        finish(world.backend.attach(volume))
        finish(world.backend.open(volume, force=world.force_to_open))


def backend_contract(make_world: Callable[[], StorageWorld]) -> type[BackendContract]:
    """The suite for the volumes of one world."""
    members = {"make_world": staticmethod(make_world)}
    return type("BackendContractOfWorld", (BackendContract,), members)
