"""What every mirrored storage backend must do: two nodes, their link and their power."""

from __future__ import annotations

import abc
import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

import msgspec
import pytest
from msgspec.structs import replace

from storage import errors
from storage.interface import Backend
from storage.volume import Health, Link, Role, Volume, VolumeStatus
from tests.contracts.storage import finish


def renamed(volume: Volume) -> Volume:
    """The same disk in other data, as a node that exchanges them holds it."""
    assert volume.mirror is not None
    other = "e" + volume.name[1:]
    mirror = replace(volume.mirror, meta_name=other.removesuffix("_data") + "_meta")
    return replace(volume, name=other, mirror=mirror)


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

    def __init__(self, world: MirrorWorld, *, slow: bool = False, protocol: str = "C") -> None:
        self.world = world
        self.volumes = world.pair(slow=slow)
        if protocol != "C":
            one, other = (
                msgspec.structs.replace(volume, params={**volume.params, "protocol": protocol})
                for volume in self.volumes
            )
            self.volumes = one, other

    def on(self, node: int) -> tuple[Backend, Volume]:
        return self.world.backends[node], self.volumes[node]

    def up(self, *order: int, clean: bool) -> None:
        for node in order or (0, 1):
            backend, volume = self.on(node)
            finish(backend.ensure(volume))
            finish(backend.attach(volume, clean=clean))

    def begin(self, primary: int) -> None:
        """Connected, complete, and open on one node."""
        self.up(clean=True)
        self.until_link(Link.CONNECTED, Link.CONNECTED)
        self.verb("open", primary)

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
            self.until(f"{link} on {node}", partial(self._has_link, node, link))

    def _has_link(self, node: int, link: Link) -> bool:
        return self.look(node).link is link

    def until_synced(self) -> None:
        def synced() -> bool:
            found = self.look(0)
            healths = (found.health, found.peer_health)
            return found.link is Link.CONNECTED and healths == (Health.OK, Health.OK)

        self.until("synchronised", synced)


class MirrorContract:
    """The suite for mirrors: two nodes, their link, their power."""

    make_world: ClassVar[Callable[[], MirrorWorld]]

    @pytest.fixture
    def world(self) -> Iterator[MirrorWorld]:
        with contextlib.closing(type(self).make_world()) as world:
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
        disk.begin(0)
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
        disk.begin(0)
        for force in (False, True):
            with pytest.raises(errors.SecondPrimary):
                disk.verb("open", 1, force=force)
        disk.verb("close", 0)
        disk.verb("open", 1)
        assert (disk.look(0).role, disk.look(0).peer_role) == (Role.SECONDARY, Role.PRIMARY)

    def test_two_primaries_in_the_window_of_a_migration(self, world: MirrorWorld) -> None:
        disk = Mirrored(world, protocol="A")
        disk.begin(0)
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
        disk.begin(0)
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
        disk.begin(0)
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
        disk.begin(0)
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

    def test_grown_on_both_nodes_while_open(self, world: MirrorWorld) -> None:
        disk = Mirrored(world)
        disk.begin(0)
        disk.write(0)
        first, second = disk.volumes
        disk.volumes = (replace(first, size_mib=48), replace(second, size_mib=48))
        for node in (1, 0):
            disk.verb("grow", node)
        assert disk.look(0).size_mib == 32
        for _ in range(2):
            disk.verb("resize", 0)
        disk.until("larger", lambda: disk.look(0).size_mib == disk.look(1).size_mib == 48)
        disk.until_synced()
        disk.write(0)
        assert disk.equal()
        disk.verb("detach", 1)
        larger = replace(disk.volumes[0], size_mib=64)
        with pytest.raises(errors.NotUpToDate):
            finish(world.backends[0].resize(larger))

    @pytest.mark.parametrize("primary", [0, 1])
    def test_data_of_one_node_are_exchanged_while_open(
        self, world: MirrorWorld, primary: int
    ) -> None:
        disk = Mirrored(world)
        disk.begin(primary)
        disk.write(primary)
        backend, old = disk.on(0)
        new = renamed(old)
        with pytest.raises(errors.VolumeMissing):
            finish(backend.swap(new, old))
        finish(backend.ensure(new))
        for _ in range(2):
            finish(backend.swap(new, old))
        disk.volumes = (new, disk.volumes[1])
        disk.write(primary)
        disk.until_synced()
        assert disk.equal()
        assert disk.look(primary).role is Role.PRIMARY
        finish(backend.forget(old))
        disk.write(primary)
        assert disk.equal()

    def test_exchange_is_taken_back(self, world: MirrorWorld) -> None:
        disk = Mirrored(world)
        disk.begin(0)
        disk.write(0)
        backend, old = disk.on(0)
        new = renamed(old)
        finish(backend.ensure(new))
        finish(backend.swap(new, old))
        disk.volumes = (new, disk.volumes[1])
        disk.write(0)
        disk.until_synced()
        finish(backend.swap(old, new))
        disk.volumes = (old, disk.volumes[1])
        disk.until_synced()
        finish(backend.swap(old, new))
        finish(backend.forget(new))
        disk.until_synced()
        assert disk.equal()

    def test_attaching_exchanged_data_again_changes_nothing(self, world: MirrorWorld) -> None:
        disk = Mirrored(world, slow=True)
        disk.begin(0)
        backend, old = disk.on(0)
        new = renamed(old)
        finish(backend.ensure(new))
        finish(backend.swap(new, old))
        disk.volumes = (new, disk.volumes[1])
        disk.until_link(Link.SYNCING, Link.SYNCING)
        disk.verb("attach", 0)
        for node in (0, 1):
            assert disk.look(node).link is Link.SYNCING
        assert (disk.look(0).health, disk.look(0).peer_health) == (Health.SYNC, Health.OK)
        disk.verb("close", 0)  # while it is open, its only whole copy is not let go of

    def test_only_good_copy_is_not_exchanged(self, world: MirrorWorld) -> None:
        disk = Mirrored(world)
        disk.begin(0)
        backend, old = disk.on(0)
        new = renamed(old)
        finish(backend.ensure(new))
        disk.verb("detach", 1)
        disk.until("noticed", lambda: disk.look(0).link is Link.CONNECTING)
        with pytest.raises(errors.NotUpToDate):
            finish(backend.swap(new, old))
        assert disk.look(0).health is Health.OK
        finish(backend.forget(new))

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


def mirror_contract(make_world: Callable[[], MirrorWorld]) -> type[MirrorContract]:
    """The suite for the mirrors of one world."""
    members = {"make_world": staticmethod(make_world)}
    return type("MirrorContractOfWorld", (MirrorContract,), members)
