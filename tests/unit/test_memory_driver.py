"""The memory driver keeps the contract, and its machine room the promises made to the simulator."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hypervisors.errors import GuestMissing, HypervisorDown, StillRunning
from hypervisors.guest import Guest, GuestDisk, MigrationStatus
from hypervisors.interface import Driver
from hypervisors.machine_room import Course, MachineRoom
from hypervisors.memory import MemoryDriver
from tests.contracts.hypervisor import HypervisorWorld, Pair, hypervisor_contract
from tests.waiting import settled

T = TypeVar("T")
MISSING = "/dev/missing"


class MemoryWorld(HypervisorWorld):
    """Two pretended machines."""

    here = "n1"
    there = "n2"

    def __init__(self) -> None:
        self.room = MachineRoom()
        for node in (self.here, self.there):
            self.room.machine(node).device_exists = lambda path: path != MISSING

    def driver(self, node: str) -> Driver:
        return MemoryDriver(self.room, node)

    def drive(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return settled(coroutine)

    def guest(self, *, slow: bool = False) -> Guest:
        if slow:
            self.room.plan_migration("g1", Course(polls=1000))
        disk = GuestDisk(path="/dev/there", uuid="d1", index=0)
        return Guest(name="g1", uuid="u1", memory_mib=128, vcpus=1, disks=(disk,))

    def without_disk(self, guest: Guest) -> Guest:
        disk = msgspec.structs.replace(guest.disks[0], path=MISSING)
        return msgspec.structs.replace(guest, disks=(disk,))

    def wait_until_obedient(self, guest: Guest) -> None:
        """It is at once."""

    def stop_service(self, node: str) -> None:
        self.room.stop_service(node)

    def start_service(self, node: str) -> None:
        self.room.start_service(node)

    def power_off_and_on(self, node: str) -> None:
        self.room.power_off(node)
        self.room.power_on(node)

    def close(self) -> None:
        """Nothing outlives the room."""

    def pause(self) -> None:
        """Time does not pass here."""


TestMemoryDriver = hypervisor_contract(MemoryWorld)


@pytest.fixture
def pair() -> Pair:
    return Pair(MemoryWorld())


def begun(pair: Pair, course: Course) -> tuple[MachineRoom, Guest]:
    """A guest on its way from n1 to n2."""
    assert isinstance(pair.world, MemoryWorld)
    guest, room = pair.world.guest(), pair.world.room
    room.plan_migration(guest.name, course)
    settled(pair.here.start(guest))
    pair.begin(guest)
    return room, guest


def test_migration_takes_the_planned_number_of_polls(pair: Pair) -> None:
    room, guest = begun(pair, Course(polls=3))
    states = [settled(pair.here.migration(guest.name)).state for _ in range(4)]
    assert states == ["running", "running", "running", "completed"]
    assert room.processors() == {"g1": ("n2",)}


@pytest.mark.parametrize(
    ("end", "places"),
    [
        ("fails", ("running", None)),
        ("cut", ("running", "incoming")),
        ("cut-late", ("running", "paused")),
        ("unreleased", (None, "paused")),
    ],
)
def test_bad_ends(pair: Pair, end: Any, places: tuple[str | None, str | None]) -> None:
    room, guest = begun(pair, Course(polls=0, end=end))
    status = settled(pair.here.migration(guest.name))
    assert status.state == ("completed" if end == "unreleased" else "failed")
    assert pair.places(guest) == places
    assert len(room.running_on(guest.name)) <= 1


def test_a_complete_copy_is_only_ended_by_destroy(pair: Pair) -> None:
    _, guest = begun(pair, Course(polls=0, end="cut-late"))
    settled(pair.here.migration(guest.name))
    with pytest.raises(StillRunning):
        settled(pair.there.settle(guest, arrived=False))
    settled(pair.there.destroy(guest.name))
    assert pair.places(guest) == ("running", None)


def test_a_copy_that_never_ran_is_replaced_by_starting(pair: Pair) -> None:
    room, guest = begun(pair, Course(polls=0, end="cut-late"))
    settled(pair.here.migration(guest.name))
    settled(pair.here.destroy(guest.name))
    copy = room.machine("n2").residents[guest.name]
    settled(pair.there.start(guest))
    assert pair.places(guest) == (None, "running")
    assert room.machine("n2").residents[guest.name] is not copy


def test_a_power_failure_makes_forget_who_has_left(pair: Pair) -> None:
    room, guest = begun(pair, Course(polls=0))
    settled(pair.here.migration(guest.name))
    room.power_off("n1")
    room.power_on("n1")
    assert settled(pair.world.driver("n1").migration(guest.name)).state == "none"


def test_an_unreleased_guest_runs_when_settled(pair: Pair) -> None:
    room, guest = begun(pair, Course(polls=0, end="unreleased"))
    settled(pair.here.migration(guest.name))
    assert room.running_on(guest.name) == ()
    settled(pair.there.settle(guest, arrived=True))
    assert room.running_on(guest.name) == ("n2",)


def test_nobody_releases_the_guest_of_a_daemon_that_died(pair: Pair) -> None:
    room, guest = begun(pair, Course(polls=0))
    fresh = pair.world.driver("n1")
    assert settled(fresh.migration(guest.name)).state == "completed"
    assert pair.places(guest) == (None, "paused")
    settled(pair.there.settle(guest, arrived=True))
    assert room.running_on(guest.name) == ("n2",)


def test_a_look_has_patience_whoever_began_the_migration(pair: Pair) -> None:
    room, guest = begun(pair, Course(polls=5))
    clock = Clock()
    for driver in (pair.here, MemoryDriver(room, "n1")):
        assert settled(driver.migration(guest.name, patience_s=0.5)).state == "running"
    fresh = MemoryDriver(room, "n1", clock)
    seen = Deferred.fromCoroutine(fresh.migration(guest.name, patience_s=0.5))
    assert not seen.called
    clock.advance(0.5)
    assert seen.called
    assert settled(_answer(seen)).state == "running"


async def _answer(seen: Deferred[MigrationStatus]) -> MigrationStatus:
    return await seen


def test_power_failure_takes_guests_and_the_service(pair: Pair) -> None:
    assert isinstance(pair.world, MemoryWorld)
    settled(pair.here.start(pair.world.guest()))
    pair.world.room.power_off("n1")
    assert pair.world.room.processors() == {}
    with pytest.raises(HypervisorDown):
        settled(pair.here.list())


def test_deaf_guest_never_stops_and_crashed_one_is_replaced(pair: Pair) -> None:
    assert isinstance(pair.world, MemoryWorld)
    room, guest = pair.world.room, pair.world.guest()
    settled(pair.here.start(guest))
    room.machine("n1").deaf.add(guest.name)
    for _ in range(5):
        with pytest.raises(StillRunning):
            settled(pair.here.ask_to_stop(guest.name))
    room.crash_guest("n1", guest.name)
    assert pair.places(guest) == ("crashed", None)
    with pytest.raises(GuestMissing):
        settled(pair.here.reboot(guest, hard=True))
    settled(pair.here.start(guest))
    assert pair.places(guest) == ("running", None)


def test_cut_link_ends_the_migration_between_the_two(pair: Pair) -> None:
    room, guest = begun(pair, Course(polls=5))
    room.cut_link("n1", "n3")
    assert settled(pair.here.migration(guest.name)).state == "running"
    room.cut_link("n2", "n1")
    assert settled(pair.here.migration(guest.name)).state == "failed"
    assert pair.places(guest) == ("running", None)
