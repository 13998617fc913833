"""What the demo's guest itself shows of the kvm driver: it counts on console and disk."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec
import pytest

from hypervisors.guest import Guest
from tests.contracts.hypervisor_world import Pair
from tests.demo.image import kernel_parameters
from tests.system.kvm_world import CHECKOUT, KvmWorld, guest_image

pytestmark = pytest.mark.real
COUNTER_OFFSET = 528384
SOON_S = 40.0


@pytest.fixture
def world() -> Iterator[KvmWorld]:
    with contextlib.closing(KvmWorld()) as world:
        yield world


def counted_on_disk(guest: Guest) -> tuple[int, int]:
    """(count, boot) as the guest wrote it."""
    with open(guest.disks[0].path, "rb") as file:
        file.seek(COUNTER_OFFSET)
        _, count, boot = file.read(64).decode().split()
    return int(count), int(boot.removeprefix("boot="))


def wait_for_tick(world: KvmWorld, guest: Guest, number: int) -> None:
    """The guest has counted to ``number``."""
    deadline = time.monotonic() + SOON_S
    while (world.ticks(guest) or [0])[-1] < number:
        assert time.monotonic() < deadline, world.console(guest)[-500:]
        time.sleep(0.02)


def assert_no_gap(world: KvmWorld, guest: Guest) -> None:
    """Every number was counted once, and in one go."""
    ticks = world.ticks(guest)
    assert all(b == a + 1 for a, b in itertools.pairwise(ticks)), ticks
    assert world.console(guest).count("BOOTED") == 1


def test_boots_from_its_disk_with_the_wishes_of_its_stamp(world: KvmWorld) -> None:
    pair, guest = Pair(world), world.guest(ip4="10.99.0.50/24")
    world.drive(pair.here.start(guest))
    wait_for_tick(world, guest, 3)
    booted = next(line for line in world.console(guest).splitlines() if "BOOTED" in line)
    assert f"name={guest.name} boot=1 last=0" in booted
    assert "ip=10.99.0.50/24 disks=vda" in booted
    # from the other host: through its bridge, the cable and the guest's card
    ping = world.host(world.there).run("ping", "-c", "3", "-w", "20", "10.99.0.50", check=False)
    assert ping.returncode == 0, ping.stdout
    world.drive(pair.here.destroy(guest.name))
    count, boot = counted_on_disk(guest)
    assert count >= 3
    assert boot == 1


def test_boots_without_disks_from_a_kernel_given_to_it(world: KvmWorld) -> None:
    pair, guest = Pair(world), world.guest()
    words = "name=bare tick=0.1 quiet mitigations=off no_timer_check tsc=reliable"
    params = {**kernel_parameters(str(guest_image())), "kernel_args": words}
    guest = msgspec.structs.replace(guest, disks=(), params=params)
    world.drive(pair.here.start(guest))
    wait_for_tick(world, guest, 3)
    booted = next(line for line in world.console(guest).splitlines() if "BOOTED" in line)
    assert "name=bare boot=1 last=0" in booted
    assert "vda" not in booted
    world.drive(pair.here.destroy(guest.name))


def test_counts_on_after_power_off_and_start_elsewhere(world: KvmWorld) -> None:
    pair, guest = Pair(world), world.guest()
    world.drive(pair.here.start(guest))
    wait_for_tick(world, guest, 3)
    world.host(world.here).power_off()
    count, _ = counted_on_disk(guest)
    world.drive(pair.there.start(guest))
    wait_for_tick(world, guest, count + 3)
    assert f"boot=2 last={count}" in world.console(guest)


@pytest.mark.parametrize("hard", [False, True])
def test_reboots(world: KvmWorld, hard: bool) -> None:
    pair, guest = Pair(world), world.guest()
    world.drive(pair.here.start(guest))
    wait_for_tick(world, guest, 3)
    world.drive(pair.here.reboot(guest, hard=hard))
    deadline = time.monotonic() + SOON_S
    while "boot=2" not in world.console(guest):
        assert time.monotonic() < deadline, world.console(guest)[-500:]
        time.sleep(0.05)
    assert ("POWEROFF" in world.console(guest)) is not hard
    assert pair.places(guest) == ("running", None)


def test_live_migration_there_and_back_without_a_gap(world: KvmWorld) -> None:
    pair, guest = Pair(world), world.guest()
    world.drive(pair.here.start(guest))
    wait_for_tick(world, guest, 5)
    for _ in range(2):
        pair.begin(guest)
        status = pair.end(guest)
        assert status.state == "completed", status
        assert status.iteration >= 1
        assert status.transferred_mib > 10
        assert status.downtime_ms is not None
        assert status.downtime_ms < 5000
        wait_for_tick(world, guest, world.ticks(guest)[-1] + 5)
        pair.here, pair.there = pair.there, pair.here
        world.here, world.there = world.there, world.here
    assert_no_gap(world, guest)
    world.drive(pair.here.destroy(guest.name))
    count, boot = counted_on_disk(guest)
    assert abs(count - world.ticks(guest)[-1]) <= 1
    assert boot == 1


def test_guest_that_dirties_memory_does_not_converge_until_stopped(world: KvmWorld) -> None:
    pair, guest = Pair(world), world.guest(dirty_mib="16")
    params = {"migration_bandwidth": 8, "migration_downtime": 1}
    guest = msgspec.structs.replace(guest, params=params)
    world.drive(pair.here.start(guest))
    wait_for_tick(world, guest, 5)
    pair.begin(guest)
    deadline = time.monotonic() + SOON_S
    while (status := world.drive(pair.here.migration(guest.name))).iteration < 3:
        assert status.state == "running", status
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    world.drive(pair.here.abort_migration(guest.name))
    assert pair.places(guest) == ("running", None)
    wait_for_tick(world, guest, world.ticks(guest)[-1] + 3)
    assert_no_gap(world, guest)


def test_cut_link_leaves_the_guest_on_its_source(world: KvmWorld) -> None:
    pair, guest = Pair(world), world.guest(slow=True)
    world.drive(pair.here.start(guest))
    wait_for_tick(world, guest, 3)
    pair.begin(guest)
    while world.drive(pair.here.migration(guest.name)).transferred_mib == 0:
        time.sleep(0.05)
    world.hosts.relays[world.here, world.there].cut()
    status = pair.end(guest)
    assert status.state == "failed"
    assert world.there in status.message
    world.drive(pair.there.settle(guest, arrived=False))
    assert pair.places(guest) == ("running", None)
    wait_for_tick(world, guest, world.ticks(guest)[-1] + 3)
    assert_no_gap(world, guest)


def test_daemon_killed_in_the_middle(world: KvmWorld) -> None:
    pair, guest = Pair(world), world.guest()
    guest = msgspec.structs.replace(guest, params={"migration_bandwidth": 16})
    world.drive(pair.here.start(guest))
    wait_for_tick(world, guest, 3)
    token = world.drive(pair.there.accept(guest))
    source = world.host(world.here)
    relay = world.hosts.relays[world.here, world.there]
    uri = f"qemu+unix:///system?socket={source.socket}"
    described = msgspec.json.encode(guest).decode()
    arguments = [uri, str(relay.path), str(source.root), described, token]
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.system.departing_child", *arguments],
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"BEGUN\n"
        child.kill()
    fresh = world.driver(world.here)
    assert world.drive(fresh.migration(guest.name)).state == "running"
    deadline = time.monotonic() + SOON_S
    while world.drive(fresh.look(guest.name)) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # nobody was there to release it: its only copy stands still and is not taken for a leftover
    assert world.drive(fresh.migration(guest.name)).state == "completed"
    there = world.drive(pair.there.look(guest.name))
    assert there is not None
    assert there.unreleased
    assert pair.places(guest) == (None, "paused")
    world.drive(pair.there.settle(guest, arrived=True))
    assert pair.places(guest) == (None, "running")
    wait_for_tick(world, guest, world.ticks(guest)[-1] + 3)
    assert_no_gap(world, guest)
