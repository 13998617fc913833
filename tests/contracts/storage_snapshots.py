"""What every backend must do that keeps snapshots and clones them."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterator
from typing import ClassVar

import msgspec
import pytest

from storage import errors
from storage.volume import Origin, Volume
from tests.contracts.storage import StorageWorld, finish

SNAPSHOT = "before"


class SnapshotWorld(StorageWorld):
    """One node whose volumes can be written to."""

    @abc.abstractmethod
    def put(self, volume: Volume, text: str) -> None:
        """The attached volume has these contents."""

    @abc.abstractmethod
    def get(self, volume: Volume) -> str:
        """What was put last, or is seen instead; empty for a volume never written."""

    @abc.abstractmethod
    def image_file(self, text: str, size_mib: int) -> str:
        """A raw image file that the backend can read, with contents as ``put`` makes them."""


def up(world: SnapshotWorld, volume: Volume) -> Volume:
    """The volume exists and may be written."""
    finish(world.backend.ensure(volume))
    finish(world.backend.attach(volume))
    finish(world.backend.open(volume, force=world.force_to_open))
    return volume


def clone_of(world: SnapshotWorld, volume: Volume, size_mib: int = 32) -> Volume:
    """A description of a clone of the volume's snapshot."""
    origin = Origin(
        pool=volume.pool,
        name=volume.name,
        snapshot=SNAPSHOT,
        size_mib=volume.size_mib,
        label=volume.label,
    )
    return msgspec.structs.replace(
        world.volume(size_mib), origin=origin, params=volume.params, pool=volume.pool
    )


class SnapshotContract:
    """The suite."""

    make_world: ClassVar[Callable[[], SnapshotWorld]]

    @pytest.fixture
    def world(self) -> Iterator[SnapshotWorld]:
        with contextlib.closing(type(self).make_world()) as world:
            yield world

    @pytest.fixture
    def volume(self, world: SnapshotWorld) -> Volume:
        return up(world, world.volume())

    def test_snapshots_are_told_once_and_gone_when_forgotten(
        self, world: SnapshotWorld, volume: Volume
    ) -> None:
        for _ in range(2):
            finish(world.backend.snapshot(volume, SNAPSHOT))
        found = finish(world.backend.look(volume)).snapshots
        assert [(one.name, one.size_mib, one.children) for one in found] == [(SNAPSHOT, 32, ())]
        for _ in range(2):
            finish(world.backend.forget_snapshot(volume, SNAPSHOT))
        assert finish(world.backend.look(volume)).snapshots == ()

    def test_absent_has_no_snapshots(self, world: SnapshotWorld) -> None:
        volume = world.volume()
        with pytest.raises(errors.VolumeMissing):
            finish(world.backend.snapshot(volume, SNAPSHOT))
        finish(world.backend.forget_snapshot(volume, SNAPSHOT))

    def test_reverted_has_the_old_contents(self, world: SnapshotWorld, volume: Volume) -> None:
        world.put(volume, "old")
        finish(world.backend.snapshot(volume, SNAPSHOT))
        world.put(volume, "new")
        assert world.get(volume) == "new"
        for _ in range(2):
            finish(world.backend.revert(volume, SNAPSHOT))
            finish(world.backend.attach(volume))
            assert world.get(volume) == "old"
        assert [one.name for one in finish(world.backend.look(volume)).snapshots] == [SNAPSHOT]

    def test_revert_needs_the_snapshot_and_nobody_using_it(
        self, world: SnapshotWorld, volume: Volume
    ) -> None:
        with pytest.raises(errors.VolumeMissing):
            finish(world.backend.revert(volume, "never"))
        finish(world.backend.snapshot(volume, SNAPSHOT))
        path = finish(world.backend.attach(volume))
        with world.used(path), pytest.raises(errors.VolumeBusy):
            finish(world.backend.revert(volume, SNAPSHOT))

    def test_clones_begin_as_the_snapshot_and_go_their_own_way(
        self, world: SnapshotWorld, volume: Volume
    ) -> None:
        world.put(volume, "old")
        finish(world.backend.snapshot(volume, SNAPSHOT))
        world.put(volume, "new")
        clone = clone_of(world, volume, size_mib=64)
        for _ in range(2):
            up(world, clone)
        assert finish(world.backend.look(clone)).size_mib == 64
        assert world.get(clone) == "old"
        world.put(clone, "own")
        finish(world.backend.ensure(clone))
        assert (world.get(clone), world.get(volume)) == ("own", "new")
        finish(world.backend.forget(clone))
        assert finish(world.backend.look(volume)).snapshots[0].children == ()

    def test_what_has_children_is_kept_and_they_are_named(
        self, world: SnapshotWorld, volume: Volume
    ) -> None:
        world.put(volume, "old")
        finish(world.backend.snapshot(volume, SNAPSHOT))
        clone = up(world, clone_of(world, volume))
        if not finish(world.backend.look(clone)).origin:
            return  # a full copy from the start
        assert finish(world.backend.look(volume)).snapshots[0].children == (clone.name,)
        for asked in (
            world.backend.forget_snapshot(volume, SNAPSHOT),
            world.backend.forget(volume),
        ):
            with pytest.raises(errors.HasChildren, match=clone.name):
                finish(asked)
        assert (world.get(clone), world.get(volume)) == ("old", "old")
        for _ in range(2):
            finish(world.backend.flatten(clone))
        assert finish(world.backend.look(clone)).origin is None
        finish(world.backend.forget_snapshot(volume, SNAPSHOT))
        finish(world.backend.forget(volume))
        finish(world.backend.attach(clone))
        assert world.get(clone) == "old"

    def test_origin_that_is_missing_leaves_nothing(
        self, world: SnapshotWorld, volume: Volume
    ) -> None:
        clone = clone_of(world, volume)
        with pytest.raises(errors.VolumeMissing):
            finish(world.backend.ensure(clone))
        assert not finish(world.backend.look(clone)).present

    def test_filled_from_a_file(self, world: SnapshotWorld, volume: Volume) -> None:
        world.put(volume, "former")
        path = world.image_file("fresh", 8)
        for _ in range(2):
            finish(world.backend.fill(volume, path, "raw"))
            assert world.get(volume) == "fresh"
        with pytest.raises(errors.NoSpace):
            finish(world.backend.fill(volume, world.image_file("large", 64), "raw"))
        with pytest.raises(errors.VolumeMissing):
            finish(world.backend.fill(volume, "/nowhere/image", "raw"))


def snapshot_contract(make_world: Callable[[], SnapshotWorld]) -> type[SnapshotContract]:
    """The suite for the volumes of one world."""
    members = {"make_world": staticmethod(make_world)}
    return type("SnapshotContractOfWorld", (SnapshotContract,), members)
