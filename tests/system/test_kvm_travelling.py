"""Guests that travel with their disks between two libvirt hosts that share nothing."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from hypervisors.errors import MigrationRunning
from hypervisors.guest import Guest
from tests.contracts.hypervisor_world import PATIENCE_S, Pair
from tests.system.kvm_world import KvmWorld

pytestmark = pytest.mark.real
COUNTER_OFFSET = 528384


@pytest.fixture
def world() -> Iterator[KvmWorld]:
    with contextlib.closing(KvmWorld()) as world:
        yield world


def travelling(world: KvmWorld, *, slow: bool = False) -> Guest:
    """A guest whose disk is below the own /run of its host; there is room on the other."""
    guest = world.guest(slow=slow)
    image = Path(guest.disks[0].path)
    subprocess.run(
        ["cp", "--sparse=always", str(image), str(disk_on(world, world.here))], check=True
    )
    make_room(world)
    disk = msgspec.structs.replace(guest.disks[0], path="/run/disk.img", travels=True)
    return msgspec.structs.replace(guest, disks=(disk,))


def disk_on(world: KvmWorld, node: str) -> Path:
    return world.host(node).base / "run" / "disk.img"


def make_room(world: KvmWorld) -> None:
    with disk_on(world, world.there).open("wb") as file:
        file.truncate(disk_on(world, world.here).stat().st_size)


def counted_on(world: KvmWorld, node: str) -> int:
    """What the guest has written to that disk."""
    with disk_on(world, node).open("rb") as file:
        file.seek(COUNTER_OFFSET)
        words = file.read(64).split()
    return int(words[1]) if len(words) > 1 else 0


def counts_on(world: KvmWorld, guest: Guest, more: int = 5) -> None:
    """It goes on without a gap, and never started anew."""
    wanted = len(world.ticks(guest)) + more
    deadline = time.monotonic() + PATIENCE_S
    while len(world.ticks(guest)) < wanted:
        assert time.monotonic() < deadline, world.console(guest)[-500:]
        time.sleep(0.05)
    ticks = world.ticks(guest)
    assert all(after == before + 1 for before, after in itertools.pairwise(ticks)), ticks
    assert world.console(guest).count("BOOTED") == 1


def test_a_guest_travels_with_its_disk(world: KvmWorld) -> None:
    pair, guest = Pair(world), travelling(world)
    world.drive(pair.here.start(guest))
    world.wait_until_obedient(guest)
    pair.begin(guest)
    status = pair.end(guest)
    assert status.state == "completed", status
    assert pair.places(guest) == (None, "running")
    left = counted_on(world, world.here)
    counts_on(world, guest)
    assert counted_on(world, world.there) > left
    world.drive(pair.there.destroy(guest.name))
    last = counted_on(world, world.there)
    world.drive(pair.there.start(guest))
    deadline = time.monotonic() + PATIENCE_S
    while f"boot=2 last={last}" not in world.console(guest):
        assert time.monotonic() < deadline, world.console(guest)[-500:]
        time.sleep(0.05)


def test_it_stays_when_it_is_called_back_or_its_target_dies(world: KvmWorld) -> None:
    pair, guest = Pair(world), travelling(world, slow=True)
    world.drive(pair.here.start(guest))
    world.wait_until_obedient(guest)
    pair.begin(guest)
    deadline = time.monotonic() + PATIENCE_S
    while not world.drive(pair.here.migration(guest.name)).disks_total_mib:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    world.until(lambda: pair.here.abort_migration(guest.name), MigrationRunning)
    assert pair.end(guest).state == "cancelled"
    world.drive(pair.there.settle(guest, arrived=False))
    assert pair.places(guest) == ("running", None)
    counts_on(world, guest)
    make_room(world)
    pair.begin(guest)
    while pair.places(guest)[1] != "incoming":
        assert time.monotonic() < deadline
    world.power_off_and_on(world.there)
    assert pair.end(guest).state == "failed"
    assert pair.places(guest) == ("running", None)
    counts_on(world, guest)
