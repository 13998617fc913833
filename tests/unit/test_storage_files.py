"""What the contracts do not say of disks in files: chains of qcow2 files, and who is believed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from storage import errors
from storage.commands import ThreadedCommands
from storage.file import FileBackend
from storage.interface import Output
from storage.qcow2 import header_of
from storage.volume import Filled, Volume
from tests.contracts.storage import InPlace, finish
from tests.contracts.storage_files import FileWorld, locked_as_qemu_does
from tests.contracts.storage_snapshots import clone_of, up


@pytest.fixture
def world() -> Iterator[FileWorld]:
    with contextlib.closing(FileWorld(FileBackend, format="qcow2")) as made:
        yield made


def names(world: FileWorld, volume: Volume) -> list[str]:
    return [one.name for one in finish(world.backend.look(volume)).snapshots]


def test_each_snapshot_of_a_chain_can_go_and_the_others_stay(world: FileWorld) -> None:
    for gone in ("one", "two", "three"):
        volume = up(world, world.volume())
        for name in ("one", "two", "three"):
            world.put(volume, name)
            finish(world.backend.snapshot(volume, name))
        world.put(volume, "now")
        finish(world.backend.forget_snapshot(volume, gone))
        assert world.get(volume) == "now"
        left = [name for name in ("one", "two", "three") if name != gone]
        assert names(world, volume) == left
        for name in left:
            finish(world.backend.revert(volume, name))
            assert world.get(volume) == name
        assert names(world, volume) == left
        finish(world.backend.forget(volume))
    assert list(Path(world.directory.name).rglob("*")) == []


class Killed(Exception):
    """The node daemon died."""


class DyingCommands(ThreadedCommands):
    """Commands of a daemon that is killed before, or after, its only program that changes files."""

    def __init__(self, after: bool) -> None:
        super().__init__(InPlace())
        self._after = after

    async def run(
        self, *argv: str, timeout_s: float = 60.0, check: bool = True, stdin: str | None = None
    ) -> Output:
        if self._after:
            await super().run(*argv, timeout_s=timeout_s, check=check, stdin=stdin)
        raise Killed(argv)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("verb", ["snapshot", "forget_snapshot", "revert", "flatten"])
def test_killed_and_done_again(world: FileWorld, verb: str, after: bool) -> None:
    volume = up(world, world.volume())
    world.put(volume, "old")
    finish(world.backend.snapshot(volume, "before"))
    clone = up(world, clone_of(world, volume))
    asked = clone if verb == "flatten" else volume
    if verb == "snapshot":
        finish(world.backend.forget(clone))
        finish(world.backend.forget_snapshot(volume, "before"))
    elif verb == "forget_snapshot":
        finish(world.backend.forget(clone))
    words = [] if verb == "flatten" else ["before"]
    threads = InPlace()
    dying = FileBackend(DyingCommands(after), threads, (world.directory.name,))
    with pytest.raises(Killed):
        finish(getattr(dying, verb)(asked, *words))
    if verb != "revert":
        assert world.get(asked) == "old"
    finish(getattr(world.backend, verb)(asked, *words))
    assert world.get(asked) == "old"
    assert names(world, volume) == ([] if verb == "forget_snapshot" else ["before"])
    world.put(asked, "new")
    if verb == "snapshot":
        finish(world.backend.revert(volume, "before"))
        assert world.get(volume) == "old"
    if verb == "flatten":
        assert finish(world.backend.look(clone)).origin is None
        finish(world.backend.forget(volume))
        assert world.get(clone) == "new"
        finish(world.backend.forget(clone))
        assert list(Path(world.directory.name).rglob("*")) == []


def test_what_is_in_use_is_not_changed_below_its_guest(world: FileWorld) -> None:
    volume = up(world, world.volume())
    path = finish(world.backend.attach(volume))
    larger = msgspec.structs.replace(volume, size_mib=64)
    with locked_as_qemu_does(path):
        for asked in (world.backend.snapshot(volume, "x"), world.backend.grow(larger)):
            with pytest.raises(errors.Unsupported, match="in use"):
                finish(asked)
    assert names(world, volume) == []
    finish(world.backend.grow(larger))
    finish(world.backend.snapshot(larger, "x"))
    with locked_as_qemu_does(path), pytest.raises(errors.VolumeBusy):
        finish(world.backend.forget_snapshot(larger, "x"))


def test_clone_of_a_clone_keeps_both_parents(world: FileWorld) -> None:
    first = up(world, world.volume())
    world.put(first, "old")
    finish(world.backend.snapshot(first, "before"))
    second = up(world, clone_of(world, first))
    finish(world.backend.snapshot(second, "before"))
    third = up(world, clone_of(world, second))
    assert world.get(third) == "old"
    for volume, child in ((first, second), (second, third)):
        assert finish(world.backend.look(volume)).snapshots[0].children == (child.name,)
        with pytest.raises(errors.HasChildren, match=child.name):
            finish(world.backend.forget(volume))
    finish(world.backend.flatten(second))
    finish(world.backend.forget(first))
    assert (world.get(second), world.get(third)) == ("old", "old")


def test_a_raw_disk_is_never_believed_to_be_anything_else() -> None:
    with contextlib.closing(FileWorld(FileBackend)) as world:
        volume = up(world, world.volume())
        path = Path(finish(world.backend.attach(volume)))
        with path.open("r+b") as file:
            file.write(b"QFI\xfb\0\0\0\3" + b"\0\0\0\0\0\0\0\x20\0\0\0\x0b" + b"\0" * 12)
            file.write(b"/etc/shadow")
        assert header_of(path) is not None
        status = finish(world.backend.look(volume))
        assert (status.format, status.origin, status.size_mib) == ("raw", None, 32)
        with pytest.raises(errors.Unsupported, match="cannot share blocks"):
            finish(world.backend.snapshot(volume, "x"))
        assert path.parent.joinpath(path.name).exists()
        assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_raw_disk_that_is_to_share_blocks_is_refused_where_none_can() -> None:
    with contextlib.closing(FileWorld(FileBackend, reflink=True)) as world:
        volume = world.volume()
        with pytest.raises(errors.Unsupported, match="XFS or btrfs"):
            finish(world.backend.ensure(volume))
        assert list(Path(world.directory.name).rglob("*")) == []


def test_image_that_refers_to_another_file_is_refused(world: FileWorld) -> None:
    volume = up(world, world.volume())
    world.put(volume, "secret")
    finish(world.backend.snapshot(volume, "before"))
    taker = up(world, world.volume())
    path = finish(world.backend.attach(volume))
    with pytest.raises(errors.BadParameter, match="refers to another file"):
        finish(world.backend.fill(taker, path, "qcow2"))
    kept = finish(world.backend.look(volume)).snapshots[0].path
    assert kept is not None
    assert finish(world.backend.fill(taker, kept, "qcow2")) is Filled.COPIED
    assert world.get(taker) == "secret"


def still_of(world: FileWorld, volume: Volume) -> str:
    path = Path(finish(world.backend.still(volume)))
    assert path.stat().st_size == volume.size_mib * 1024 * 1024
    with path.open("rb") as file:
        return file.read(512).rstrip(b"\0").decode()


def test_a_still_is_what_the_guest_sees_of_that_moment(world: FileWorld) -> None:
    first = up(world, world.volume())
    world.put(first, "old")
    finish(world.backend.snapshot(first, "before"))
    clone = up(world, clone_of(world, first))
    assert still_of(world, clone) == "old"
    world.put(clone, "new")
    assert still_of(world, clone) == "old"
    finish(world.backend.forget_still(clone))
    assert still_of(world, clone) == "new"
    assert names(world, clone) == []
    assert names(world, first) == ["before"]
    finish(world.backend.forget(clone))
    finish(world.backend.forget(first))
    assert list(Path(world.directory.name).rglob("*")) == []


def test_a_still_that_was_left_half_done_is_made_anew(world: FileWorld) -> None:
    volume = up(world, world.volume())
    world.put(volume, "now")
    threads = InPlace()
    dying = FileBackend(DyingCommands(after=True), threads, (world.directory.name,))
    with pytest.raises(Killed):
        finish(dying.still(volume))
    assert names(world, volume) == []
    assert still_of(world, volume) == "now"
    finish(world.backend.forget_still(volume))
    with pytest.raises(Killed):
        finish(dying.still(volume))
    finish(world.backend.forget(volume))
    assert list(Path(world.directory.name).rglob("*")) == []


def test_no_still_is_taken_of_what_is_written(world: FileWorld) -> None:
    volume = up(world, world.volume())
    path = finish(world.backend.attach(volume))
    with locked_as_qemu_does(path), pytest.raises(errors.VolumeBusy, match="in use"):
        finish(world.backend.still(volume))
