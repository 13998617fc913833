"""The storage contract on an ext-storage provider's and on adopted block devices, real ones of this
machine, and what only real parts can show."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from storage import errors
from storage.volume import Volume
from tests.contracts.storage import backend_contract, finish, made
from tests.system.outside_worlds import DeviceWorld, ExternalWorld, ran

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("loop devices")]

TestExternal = backend_contract(ExternalWorld)
TestBlockdev = backend_contract(DeviceWorld)


@pytest.fixture
def world() -> Iterator[ExternalWorld]:
    with contextlib.closing(ExternalWorld(note="two words")) as made_world:
        yield made_world


def test_scripts_are_told_what_ganeti_tells_them(world: ExternalWorld) -> None:
    volume = made(world)
    assert world.text(volume, "note") == f"{volume.uuid} data two words\n"
    assert world.text(volume, "info") == "originstname+web1.example.com\n"
    finish(world.backend.attach(volume))
    finish(world.backend.open(volume))
    finish(world.backend.share(volume, allowed=True))
    finish(world.backend.share(volume, allowed=False))
    finish(world.backend.close(volume))
    said = ["open True", "open False", "open True", "close"]
    assert world.text(volume, "opened").splitlines() == said
    logs = sorted(path.name for path in (world.home / "logs").iterdir())
    assert f"create-loopfiles-{volume.name}.log" in logs


def test_what_was_written_is_read_after_growing_and_another_life(world: ExternalWorld) -> None:
    volume = made(world)
    path = finish(world.backend.attach(volume))
    with Path(path).open("r+b") as device:
        device.write(b"kept")
    world.backend = world.restarted()
    larger = msgspec.structs.replace(volume, size_mib=48)
    finish(world.backend.grow(larger))
    assert finish(world.backend.attach(larger)) == path
    assert int(ran("blockdev", "--getsize64", path)) == 48 * 1024 * 1024
    finish(world.backend.detach(larger))
    with Path(finish(world.backend.attach(larger))).open("rb") as device:
        assert device.read(4) == b"kept"


def test_half_made_volume_is_found_by_the_next_try(world: ExternalWorld) -> None:
    """The daemon died between the script and its record."""
    volume = made(world)
    (world.home / "records" / f"{volume.name}.json").unlink()
    finish(world.backend.ensure(volume))
    device = finish(world.backend.attach(volume))
    record = world.home / "records" / f"{volume.name}.json"
    text = record.read_text("utf-8")
    record.write_text(text.replace(f'"{device}"', '""').replace('"device":"",', ""), "utf-8")
    finish(world.backend.forget(volume))
    assert device not in ran("losetup", "-n", "-O", "NAME")


def test_provider_that_cannot_remove_is_not_believed(world: ExternalWorld) -> None:
    volume = made(world)
    hidden = world.home / "hidden"
    (world.store / volume.name).rename(hidden)  # the storage does not answer
    with pytest.raises(errors.CommandFailed, match="no volume"):
        finish(world.backend.forget(volume))
    hidden.rename(world.store / volume.name)
    finish(world.backend.forget(volume))
    assert not (world.store / volume.name).exists()


def test_broken_provider_is_named_with_its_reason(world: ExternalWorld) -> None:
    (world.directory / "loopfiles" / "grow").chmod(0o644)
    with pytest.raises(errors.PoolMissing, match="'grow' is not executable"):
        finish(world.backend.ensure(world.volume()))


def test_snapshot_is_a_volume_of_its_own(world: ExternalWorld) -> None:
    volume = made(world)
    with Path(finish(world.backend.attach(volume))).open("r+b") as device:
        device.write(b"then")
    for _ in range(2):
        finish(world.backend.snapshot(volume, "before"))
    taken = world.store / f"{volume.name}.before"
    assert taken.read_bytes()[:4] == b"then"
    for _ in range(2):
        finish(world.backend.forget_snapshot(volume, "before"))
    assert not taken.exists()
    (world.directory / "loopfiles" / "snapshot").unlink()
    with pytest.raises(errors.Unsupported):
        finish(world.backend.snapshot(volume, "again"))


def test_guests_reach_what_has_only_an_address() -> None:
    with contextlib.closing(ExternalWorld("nbdfiles", access="userspace")) as world:
        volume = made(world)
        finish(world.backend.attach(volume))
        finish(world.backend.open(volume))
        status = finish(world.backend.look(volume))
        assert status.size_mib == 32
        assert status.source is not None
        assert status.source.socket == f"{world.store}/{volume.name}.socket"
        write = ["qemu-io", "-f", "raw", "-c", "write -P 7 0 4096", status.source.uri]
        subprocess.run(write, check=True, capture_output=True)
        assert (world.store / volume.name).read_bytes()[:4096] == b"\7" * 4096
        finish(world.backend.forget(volume))
        assert not (world.store / f"{volume.name}.socket").exists()
        device = msgspec.structs.replace(world.volume(), params={"store": str(world.store)})
        finish(world.backend.ensure(device))
        with pytest.raises(errors.BadParameter, match="access=userspace"):
            finish(world.backend.attach(device))
        finish(world.backend.forget(device))


def test_devices_keep_their_data_and_are_adopted_while_nobody_uses_them() -> None:
    with contextlib.closing(DeviceWorld()) as world:
        volume = world.volume()
        with pytest.raises(errors.VolumeMissing):
            finish(world.backend.adopt(volume, volume.name))
        world.provide(volume)
        with world.used(volume.name), pytest.raises(errors.VolumeBusy, match="guest"):
            finish(world.backend.adopt(volume, volume.name))
        with Path(volume.name).open("rb") as device:
            reader = subprocess.Popen(["sleep", "60"], stdin=device)
        try:
            with pytest.raises(errors.VolumeBusy, match=rf"process {reader.pid} \(sleep\)"):
                finish(world.backend.adopt(volume, volume.name))
        finally:
            reader.kill()
            reader.wait()
        claim = os.open(volume.name, os.O_RDONLY | os.O_EXCL)
        try:
            with pytest.raises(errors.VolumeBusy, match="the kernel"):
                finish(world.backend.adopt(volume, volume.name))
            # to be nobody's again takes nothing from who uses it
            nobodys = msgspec.structs.replace(volume, owner="", label="")
            finish(world.backend.adopt(nobodys, volume.name))
        finally:
            os.close(claim)
        for _ in range(2):
            finish(world.backend.adopt(volume, volume.name))
        with Path(finish(world.backend.attach(volume))).open("r+b") as device:
            device.write(b"kept")
        finish(world.backend.forget(volume))
        assert Path(volume.name).read_bytes()[:4] == b"kept"


@pytest.mark.parametrize("path", ["/dev/sda", "/dev/disk/../sda", "/etc/passwd", "disk"])
def test_only_lasting_names_of_devices_are_taken(path: str) -> None:
    with contextlib.closing(DeviceWorld()) as world:
        volume: Volume = msgspec.structs.replace(world.volume(), name=path)
        with pytest.raises(errors.BadParameter, match="/dev/disk"):
            finish(world.backend.adopt(volume, path))
