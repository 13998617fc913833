"""What every storage backend must do: one suite, made for any world that offers a backend.

A world is one node (``StorageWorld``) or a pair (``MirrorWorld``). The suites drive coroutines that
never wait, so a world runs blocking work in place.
"""

from __future__ import annotations

import abc
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
import pytest

from storage import errors
from storage.interface import Backend
from storage.volume import Health, Link, Role, Volume, VolumeStatus

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
        return stop.value
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

    @abc.abstractmethod
    def volume(self, size_mib: int = 32) -> Volume:
        """A volume nobody has used; its pool exists."""

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


def backend_contract(make_world: Callable[[], StorageWorld]) -> type:
    """The suite for one node's volumes."""

    class BackendContract:
        @pytest.fixture
        def world(self) -> Iterator[StorageWorld]:
            with contextlib.closing(make_world()) as world:
                yield world

        def test_absent_is_looked_at_without_complaint(self, world: StorageWorld) -> None:
            volume = world.volume()
            for asked in (volume, world.elsewhere(volume)):
                status = finish(world.backend.look(asked))
                assert (status.present, status.path, status.uuid) == (False, None, volume.uuid)

        def test_ensured_is_present_and_again_is_success(self, world: StorageWorld) -> None:
            volume = world.volume()
            for _ in range(2):
                finish(world.backend.ensure(volume))
                status = finish(world.backend.look(volume))
                assert status.present
                assert status.size_mib == volume.size_mib
                assert (status.path is None) is world.attaches

        def test_odd_size_is_rounded_up_and_still_the_same(self, world: StorageWorld) -> None:
            volume = world.volume(size_mib=33)
            finish(world.backend.ensure(volume))
            finish(world.backend.ensure(volume))
            found = finish(world.backend.look(volume)).size_mib
            assert found is not None
            assert found >= 33

        def test_other_size_is_refused_and_kept(self, world: StorageWorld) -> None:
            volume = world.volume()
            finish(world.backend.ensure(volume))
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
            volume = world.volume()
            finish(world.backend.ensure(volume))
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
            volume = world.volume()
            finish(world.backend.ensure(volume))
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
            finish(world.backend.ensure(volume))
            finish(world.backend.forget(volume))
            assert not finish(world.backend.look(volume)).present
            finish(world.backend.ensure(volume))
            finish(world.backend.attach(volume))
            finish(world.backend.open(volume, force=world.force_to_open))
            for _ in range(2):
                finish(world.backend.forget(volume))
            assert not finish(world.backend.look(volume)).present
            assert volume.name not in {stored.name for stored in finish(world.backend.list())}

        def test_used_is_not_taken_away(self, world: StorageWorld) -> None:
            volume = world.volume()
            finish(world.backend.ensure(volume))
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
            volume = world.volume()
            finish(world.backend.ensure(volume))
            finish(world.backend.share(volume, allowed=True))
            finish(world.backend.share(volume, allowed=False))

        def test_listed_with_owner(self, world: StorageWorld) -> None:
            volume = world.volume()
            finish(world.backend.ensure(volume))
            found = [s for s in finish(world.backend.list()) if s.name == volume.name]
            assert len(found) == 1
            assert found[0].template is volume.template
            assert (found[0].pool, found[0].size_mib) == (volume.pool, volume.size_mib)
            assert found[0].owner == (volume.owner if world.records_owner else None)

        def test_capacity_shrinks_by_what_is_made(self, world: StorageWorld) -> None:
            volume = world.volume()
            before = {room.pool: room for room in finish(world.backend.capacity())}
            finish(world.backend.ensure(volume))
            after = {room.pool: room for room in finish(world.backend.capacity())}
            assert sorted(before) == sorted(after)
            if world.bounded:
                taken = before[volume.pool].free_mib - after[volume.pool].free_mib
                overhead = volume.mirror.meta_size_mib if volume.mirror else 0
                assert taken == volume.size_mib + overhead
            assert all(0 <= room.free_mib <= room.total_mib for room in after.values())

        def test_restart_keeps_data_and_ends_attachment(self, world: StorageWorld) -> None:
            volume = world.volume()
            finish(world.backend.ensure(volume))
            finish(world.backend.attach(volume))
            world.restart()
            status = finish(world.backend.look(volume))
            assert status.present
            assert (status.path is None) is world.restart_detaches
            finish(world.backend.attach(volume))
            finish(world.backend.open(volume, force=world.force_to_open))

    return BackendContract


class MirrorWorld(abc.ABC):
    """Two nodes, 0 and 1, that mirror volumes to each other."""

    backends: tuple[Backend, Backend]
    patience_s = 0.0
    """How long something that happens by itself may take."""

    @abc.abstractmethod
    def pair(self, *, slow: bool = False) -> tuple[Volume, Volume]:
        """A mirror nobody has used, as each node holds it; ``slow`` takes minutes to copy."""

    @abc.abstractmethod
    def write(self, node: int, volume: Volume) -> None:
        """A guest on ``node`` writes; raises what it raises when it must not."""

    @abc.abstractmethod
    def content(self, node: int, volume: Volume) -> str:
        """What the node's own copy holds, as a value to compare."""

    @abc.abstractmethod
    def power_off(self, node: int) -> None:
        """The node loses power."""

    @abc.abstractmethod
    def power_on(self, node: int) -> None:
        """The node comes back, with its disks."""

    @abc.abstractmethod
    def cut(self) -> None:
        """The nodes' mirrors do not reach each other."""

    @abc.abstractmethod
    def mend(self) -> None:
        """They do again."""

    @abc.abstractmethod
    def close(self) -> None:
        """Nothing of the test is left."""


class Mirrored:
    """One mirror of a world, with the words that the stories below are told in."""

    def __init__(self, world: MirrorWorld, *, slow: bool = False) -> None:
        self.world = world
        self.volumes = world.pair(slow=slow)

    def on(self, node: int) -> tuple[Backend, Volume]:
        return self.world.backends[node], self.volumes[node]

    def up(self, *order: int, clean: bool) -> None:
        for node in order or (0, 1):
            backend, volume = self.on(node)
            finish(backend.ensure(volume))
            finish(backend.attach(volume, clean=clean))

    def verb(self, name: str, node: int, **options: bool) -> None:
        backend, volume = self.on(node)
        finish(getattr(backend, name)(volume, **options))

    def look(self, node: int) -> VolumeStatus:
        backend, volume = self.on(node)
        return finish(backend.look(volume))

    def write(self, node: int) -> None:
        self.world.write(node, self.volumes[node])

    def equal(self) -> bool:
        contents = [self.world.content(node, self.volumes[node]) for node in (0, 1)]
        return contents[0] == contents[1]

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.world.patience_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"never {what}: {self.look(0)} {self.look(1)}")
            time.sleep(0.2)

    def until_link(self, *links: Link) -> None:
        for node, link in enumerate(links):
            self.until(f"{link} on {node}", lambda n=node, k=link: self.look(n).link is k)

    def until_synced(self) -> None:
        def synced() -> bool:
            found = self.look(0)
            healths = (found.health, found.peer_health)
            return found.link is Link.CONNECTED and healths == (Health.OK, Health.OK)

        self.until("synchronised", synced)


def mirror_contract(make_world: Callable[[], MirrorWorld]) -> type:
    """The suite for mirrors: two nodes, their link, their power."""

    class MirrorContract:
        @pytest.fixture
        def world(self) -> Iterator[MirrorWorld]:
            with contextlib.closing(make_world()) as world:
                yield world

        @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
        def test_clean_copies_are_good_at_once(
            self, world: MirrorWorld, order: tuple[int, int]
        ) -> None:
            disk = Mirrored(world)
            disk.up(*order, clean=True)
            disk.until_link(Link.CONNECTED, Link.CONNECTED)
            for node in (0, 1):
                status = disk.look(node)
                assert (status.health, status.peer_health) == (Health.OK, Health.OK)
                assert (status.role, status.peer_role) == (Role.SECONDARY, Role.SECONDARY)
                assert not status.degraded
            disk.verb("open", 0)
            disk.write(0)
            assert disk.equal()
            assert disk.look(1).peer_role is Role.PRIMARY

        def test_clean_copy_written_before_its_peer_came(self, world: MirrorWorld) -> None:
            disk = Mirrored(world)
            disk.up(0, clean=True)
            with pytest.raises(errors.NotUpToDate):
                disk.verb("open", 0)
            disk.verb("open", 0, force=True)
            disk.write(0)
            assert disk.look(0).degraded
            disk.up(1, clean=True)
            disk.until_synced()
            assert disk.equal()

        def test_new_copies_are_synchronised_from_the_forced_one(self, world: MirrorWorld) -> None:
            disk = Mirrored(world)
            disk.up(clean=False)
            disk.until_link(Link.CONNECTED, Link.CONNECTED)
            with pytest.raises(errors.NotUpToDate):
                disk.verb("open", 1)
            disk.verb("open", 0, force=True)
            disk.write(0)
            disk.until_synced()
            assert disk.equal()

        def test_clean_again_changes_nothing(self, world: MirrorWorld) -> None:
            disk = Mirrored(world)
            disk.up(clean=True)
            disk.until_link(Link.CONNECTED, Link.CONNECTED)
            disk.verb("open", 0)
            disk.write(0)
            disk.up(clean=True)
            assert disk.look(0).role is Role.PRIMARY
            disk.verb("detach", 1)
            disk.write(0)
            disk.up(1, clean=True)
            disk.until_synced()
            assert disk.equal()

        def test_second_primary_is_refused(self, world: MirrorWorld) -> None:
            disk = Mirrored(world)
            disk.up(clean=True)
            disk.until_link(Link.CONNECTED, Link.CONNECTED)
            disk.verb("open", 0)
            for force in (False, True):
                with pytest.raises(errors.SecondPrimary):
                    disk.verb("open", 1, force=force)
            disk.verb("close", 0)
            disk.verb("open", 1)
            assert (disk.look(0).role, disk.look(0).peer_role) == (Role.SECONDARY, Role.PRIMARY)

        def test_two_primaries_in_the_window_of_a_migration(self, world: MirrorWorld) -> None:
            disk = Mirrored(world)
            disk.up(clean=True)
            disk.until_link(Link.CONNECTED, Link.CONNECTED)
            disk.verb("open", 0)
            for node in (0, 1, 0):
                disk.verb("share", node, allowed=True)
            disk.verb("open", 1)
            assert [disk.look(node).two_primaries_allowed for node in (0, 1)] == [True, True]
            assert [disk.look(node).role for node in (0, 1)] == [Role.PRIMARY, Role.PRIMARY]
            disk.write(0)
            disk.write(1)
            assert disk.equal()
            with pytest.raises(errors.VolumeBusy):
                disk.verb("share", 0, allowed=False)
            disk.verb("close", 0)
            for node in (0, 1, 0):
                disk.verb("share", node, allowed=False)
            with pytest.raises(errors.SecondPrimary):
                disk.verb("open", 0)
            assert not disk.look(1).two_primaries_allowed

        def test_peer_loses_power_and_writes_go_on(self, world: MirrorWorld) -> None:
            disk = Mirrored(world)
            disk.up(clean=True)
            disk.until_link(Link.CONNECTED, Link.CONNECTED)
            disk.verb("open", 0)
            disk.write(0)
            world.power_off(1)
            started = time.monotonic()
            disk.write(0)
            assert time.monotonic() - started < 8.0
            disk.until_link(Link.CONNECTING)
            assert disk.look(0).degraded
            with pytest.raises(errors.NotUpToDate):
                disk.verb("share", 0, allowed=True)
            world.power_on(1)
            assert disk.look(1).path is None
            disk.up(1, clean=False)
            disk.until_synced()
            assert disk.equal()

        def test_primary_loses_power_and_the_other_takes_over(self, world: MirrorWorld) -> None:
            disk = Mirrored(world)
            disk.up(clean=True)
            disk.until_link(Link.CONNECTED, Link.CONNECTED)
            disk.verb("open", 0)
            disk.write(0)
            world.power_off(0)
            disk.until("noticed", lambda: disk.look(1).link is Link.CONNECTING)
            with pytest.raises(errors.NotUpToDate):
                disk.verb("open", 1)
            disk.verb("open", 1, force=True)
            disk.write(1)
            world.power_on(0)
            disk.up(0, clean=False)
            disk.until_synced()
            assert disk.equal()
            with pytest.raises(errors.SecondPrimary):
                disk.verb("open", 0)

        def test_split_brain_is_reported_and_healed_by_choice(self, world: MirrorWorld) -> None:
            disk = Mirrored(world)
            disk.up(clean=True)
            disk.until_link(Link.CONNECTED, Link.CONNECTED)
            disk.verb("open", 0)
            world.cut()
            disk.until_link(Link.CONNECTING, Link.CONNECTING)
            disk.write(0)
            disk.verb("open", 1, force=True)
            disk.write(1)
            world.mend()
            disk.until_link(Link.STANDALONE, Link.STANDALONE)
            assert not disk.equal()
            with pytest.raises(errors.VolumeBusy):
                disk.verb("reconnect", 1, discard_local=True)
            disk.verb("close", 1)
            with pytest.raises(errors.SplitBrain):
                disk.verb("open", 1)
            kept = world.content(0, disk.volumes[0])
            disk.verb("reconnect", 1, discard_local=True)
            disk.verb("reconnect", 0)
            disk.until_synced()
            assert disk.equal()
            assert world.content(1, disk.volumes[1]) == kept

        def test_half_synchronised_copy_is_never_opened(self, world: MirrorWorld) -> None:
            disk = Mirrored(world, slow=True)
            disk.up(clean=False)
            disk.until_link(Link.CONNECTED, Link.CONNECTED)
            disk.verb("open", 0, force=True)
            disk.until_link(Link.SYNCING, Link.SYNCING)
            status = disk.look(1)
            assert (status.health, status.peer_health) == (Health.SYNC, Health.OK)
            assert disk.look(0).sync_percent is not None
            disk.verb("close", 0)
            for force in (False, True):
                with pytest.raises(errors.NotUpToDate):
                    disk.verb("open", 1, force=force)
            disk.verb("detach", 0)
            disk.until("noticed", lambda: disk.look(1).link is Link.CONNECTING)
            for force in (False, True):
                with pytest.raises(errors.NotUpToDate):
                    disk.verb("open", 1, force=force)

    return MirrorContract
