"""What a node sees, and when it tells."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
from structlog.testing import LogCapture
from twisted.internet.defer import Deferred

from clusterd.node.equipment import Equipment
from clusterd.node.inquiry import Inquiry, Seen
from clusterd.node.observe import Observer, Rhythm, assemble, essence
from clusterd.observation import Observation
from clusterd.simulation.clock import Clock
from hypervisors.errors import HypervisorDown
from hypervisors.guest import GuestState, GuestStatus, NodeHardware
from hypervisors.interface import Driver
from storage.memory import MemoryBackend
from storage.shelf import Shelf
from storage.volume import Capacity
from tests.unit.call_rig import CallRig, PretendedNode, volume

HARDWARE = NodeHardware(
    memory_total_mib=8192,
    memory_free_mib=4096,
    memory_host_mib=512,
    cpus=4,
    cpu_sockets=1,
    cpu_nodes=1,
    host_cpus=4,
    version="8.0",
)


class Guests:
    """The reading half of a driver, with troubles."""

    def __init__(self) -> None:
        self.found: tuple[GuestStatus, ...] = ()
        self.hangs: list[Deferred[Any]] | None = None
        self.trouble: Exception | None = None
        self.asked = 0

    async def list(self) -> tuple[GuestStatus, ...]:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        if self.hangs is not None:
            waiting: Deferred[Any] = Deferred()
            self.hangs.append(waiting)
            await waiting
        return self.found

    async def look(self, name: str) -> GuestStatus | None:
        if self.trouble is not None:
            raise self.trouble
        return next((guest for guest in self.found if guest.name == name), None)

    async def hardware(self) -> NodeHardware:
        return HARDWARE


def eyes(
    place: Path, clock: Clock, drivers: dict[str, Any], rhythm: Rhythm | None = None
) -> tuple[Observer, list[Observation], LogCapture]:
    rig = CallRig(place)
    rig.clock = clock
    node = PretendedNode("n1", clock, rig.network, place)
    node.service.stop()
    equipment: Equipment = node.equipment()
    (place / "net" / "xen-br0" / "bridge").mkdir(parents=True)
    (place / "net" / "eth0").mkdir()
    shelf = Shelf("n1", {"memory": 10_000})
    backends = {"memory": MemoryBackend(shelf)}
    typed: dict[str, Driver] = drivers
    observer = Observer(equipment, backends, typed, rhythm or Rhythm())
    told: list[Observation] = []
    observer.start(told.append)
    clock.run(0.1)
    return observer, told, node.log


def test_everything_is_seen(tmp_path: Path) -> None:
    clock, guests = Clock(), Guests()
    guests.found = (GuestStatus(name="a", uuid="u", state=GuestState.RUNNING, memory_mib=1),)
    _, told, _ = eyes(tmp_path, clock, {"kvm": guests})
    (seen,) = told
    assert (seen.node, seen.hardware, seen.guests) == ("n1", HARDWARE, {"kvm": guests.found})
    assert seen.bridges == ("xen-br0",)
    assert [room.pool for room in seen.capacity] == ["memory"]
    assert seen.problems == ()
    assert {"noop"} <= {found.name for found in seen.oses} or not seen.oses


def test_a_plugin_that_fails_hides_no_other(tmp_path: Path) -> None:
    clock, kvm, xen = Clock(), Guests(), Guests()
    kvm.trouble = HypervisorDown("libvirtd does not answer")
    xen.trouble = ZeroDivisionError("oops")
    lxc = Guests()
    _, told, _ = eyes(tmp_path, clock, {"kvm": kvm, "xen": xen, "lxc": lxc})
    (seen,) = told
    assert seen.guests == {"lxc": ()}
    assert seen.hypervisor_errors == {
        "kvm": "libvirtd does not answer",
        "xen": "ZeroDivisionError: oops",
    }
    assert seen.hardware == HARDWARE
    assert len(seen.problems) == 2


def test_a_plugin_that_hangs_is_told_of_and_not_heaped_upon(tmp_path: Path) -> None:
    clock, kvm = Clock(), Guests()
    kvm.hangs = []
    observer, told, _ = eyes(tmp_path, clock, {"kvm": kvm})
    clock.run(10)
    assert told[0].hypervisor_errors == {"kvm": "does not answer within 10 s"}
    assert told[0].bridges == ("xen-br0",)
    clock.run(100)
    assert kvm.asked == 1
    hung, kvm.hangs = kvm.hangs, None
    hung[0].callback(None)
    clock.run(20)
    assert observer.latest is not None
    assert observer.latest.guests == {"kvm": ()}


def test_a_slow_node_looks_a_third_of_the_time_while_change_follows_change(tmp_path: Path) -> None:
    clock, kvm = Clock(), Guests()
    observer, told, _ = eyes(tmp_path, clock, {"kvm": kvm})
    clock.run(1)
    kvm.hangs, begun = [], []
    for _ in range(4):
        before = kvm.asked
        while kvm.asked == before:
            observer.soon()
            clock.run(0.1)
        begun.append(clock.seconds())
        clock.run(1)
        kvm.hangs[-1].callback(None)
    pauses = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert all(3.0 <= pause < 3.5 for pause in pauses), pauses
    assert len(told) >= 1


def test_a_slow_node_rests_longer_while_nothing_changes(tmp_path: Path) -> None:
    clock, kvm = Clock(), Guests()
    eyes(tmp_path, clock, {"kvm": kvm})
    kvm.hangs, begun = [], []
    for _ in range(4):
        before = kvm.asked
        while kvm.asked == before:
            clock.run(0.1)
        begun.append(clock.seconds())
        clock.run(1)
        kvm.hangs[-1].callback(None)
    pauses = [later - earlier for earlier, later in itertools.pairwise(begun)]
    # a look took 1 to 1.1 s
    assert all(12.0 <= pause < 13.3 for pause in pauses), pauses


def test_an_answer_is_never_older_than_its_question() -> None:
    clock, guests = Clock(), Guests()
    inquiry = Inquiry(clock, 10.0)
    guests.hangs = []
    first = Deferred.fromCoroutine(inquiry.ask({"kvm": guests.list}))
    second = Deferred.fromCoroutine(inquiry.ask({"kvm": guests.list}))
    assert guests.asked == 1
    old = guests.found
    guests.found = (GuestStatus(name="a", uuid="u", state=GuestState.RUNNING),)
    guests.hangs[0].callback(None)
    assert guests.asked == 2
    guests.hangs[1].callback(None)
    results: list[Any] = []
    for asked in (first, second):
        asked.addCallback(results.append)
    assert results[1] == {"kvm": Seen(value=guests.found)}
    assert old == ()


def test_what_always_changes_is_no_news(tmp_path: Path) -> None:
    clock, kvm = Clock(), Guests()
    kvm.found = (GuestStatus(name="a", uuid="u", state=GuestState.RUNNING, cpu_time_s=1.0),)
    observer, told, _ = eyes(tmp_path, clock, {"kvm": kvm})
    kvm.found = (GuestStatus(name="a", uuid="u", state=GuestState.RUNNING, cpu_time_s=2.0),)
    clock.run(12)
    assert (len(told), kvm.asked) == (1, 3)
    kvm.found = (GuestStatus(name="a", uuid="u", state=GuestState.PAUSED, cpu_time_s=2.0),)
    clock.run(5)
    assert len(told) == 2
    clock.run(30)
    assert len(told) == 3
    observer.stop()
    clock.run(60)
    assert len(told) == 3


def test_a_change_is_looked_at_soon_and_once(tmp_path: Path) -> None:
    clock, kvm = Clock(), Guests()
    observer, _, _ = eyes(tmp_path, clock, {"kvm": kvm})
    for _ in range(5):
        observer.soon()
        clock.run(0.02)
    assert kvm.asked == 1
    clock.run(0.3)
    assert kvm.asked == 2


class Settable(Clock):
    """Somebody may set it."""

    skew_s = 0.0

    def seconds(self) -> float:
        return self.now + self.skew_s


def test_a_change_is_looked_at_soon_also_when_the_clock_was_set_back(tmp_path: Path) -> None:
    clock, kvm = Settable(), Guests()
    kvm.hangs = []
    rhythm = Rhythm()
    observer, told, _ = eyes(tmp_path, clock, {"kvm": kvm}, rhythm)
    clock.run(1.0)
    first, kvm.hangs = kvm.hangs, None
    first[0].callback(None)
    clock.skew_s = -3600.0
    observer.soon()
    clock.run(rhythm.interval_s + 0.5)
    assert kvm.asked >= 2
    assert told[-1].time < told[0].time


def test_a_change_during_a_look_is_looked_at_again(tmp_path: Path) -> None:
    clock, kvm = Clock(), Guests()
    kvm.hangs = []
    observer, told, _ = eyes(tmp_path, clock, {"kvm": kvm})
    observer.soon()
    first, kvm.hangs = kvm.hangs, None
    first[0].callback(None)
    clock.run(0.3)
    assert (kvm.asked, len(told)) == (2, 1)


def running(name: str) -> GuestStatus:
    return GuestStatus(name=name, uuid=f"uuid of {name}", state=GuestState.RUNNING)


def test_a_guest_that_was_changed_is_told_of_at_once(tmp_path: Path) -> None:
    clock, kvm = Clock(), Guests()
    kvm.found = (running("b"),)
    observer, told, _ = eyes(tmp_path, clock, {"kvm": kvm})
    kvm.found = (running("a"), running("b"))
    Deferred.fromCoroutine(observer.regard("kvm", "a"))
    assert told[-1].guests == {"kvm": kvm.found}
    kvm.found = (running("a"),)
    Deferred.fromCoroutine(observer.regard("kvm", "b"))
    assert told[-1].guests == {"kvm": kvm.found}
    kvm.trouble = HypervisorDown("libvirtd does not answer")
    Deferred.fromCoroutine(observer.regard("kvm", "a"))
    assert len(told) == 3


def test_a_hypervisor_that_answers_again_is_asked_for_all_its_guests(tmp_path: Path) -> None:
    clock, kvm = Clock(), Guests()
    kvm.trouble = HypervisorDown("libvirtd does not answer")
    observer, told, _ = eyes(tmp_path, clock, {"kvm": kvm})
    assert told[-1].guests == {}
    kvm.trouble, kvm.found = None, (running("a"), running("b"))
    Deferred.fromCoroutine(observer.regard("kvm", "a"))
    clock.run(0.1)
    assert told[-1].guests == {"kvm": kvm.found}


def test_a_look_that_began_before_does_not_hide_a_change(tmp_path: Path) -> None:
    clock, kvm = Clock(), Guests()
    observer, told, _ = eyes(tmp_path, clock, {"kvm": kvm})
    kvm.hangs = []
    clock.run(5.0)
    kvm.found = (running("a"),)
    Deferred.fromCoroutine(observer.regard("kvm", "a"))
    kvm.found = ()
    kvm.hangs.pop().callback(None)
    assert told[-1].guests == {"kvm": (running("a"),)}
    kvm.hangs = None
    observer.soon()
    clock.run(1.0)
    assert observer.latest is not None
    assert observer.latest.guests == {"kvm": ()}


def test_pretended_hardware_counts_only_alone() -> None:
    pretended, real = Seen(value=HARDWARE), Seen(value=msgspec.structs.replace(HARDWARE, cpus=2))
    down = Seen(problem="down")

    def hardware(**seen: Seen) -> NodeHardware | None:
        parts = {f"hardware {name}": one for name, one in seen.items()}
        return assemble("n1", "boot", 5.0, parts).hardware

    assert hardware(memory=pretended) == HARDWARE
    assert hardware(memory=pretended, xen=real) == real.value
    assert hardware(memory=pretended, xen=down) is None
    assert hardware(kvm=down, xen=real) == real.value


def test_assembling_keeps_kinds_apart() -> None:
    room = Capacity(template=volume().template, pool="p", total_mib=2, free_mib=1)
    seen = {
        "hardware kvm": Seen(problem="down"),
        "guests kvm": Seen(problem="down"),
        "capacity memory": Seen(value=(room,)),
        "capacity rbd": Seen(problem="no quorum"),
        "stored memory": Seen(problem="no such pool"),
        "oses": Seen(value=()),
        "bridges": Seen(problem="gone"),
    }
    made = assemble("n1", "boot", 5.0, seen)
    assert (made.hardware, made.capacity, made.bridges) == (None, (room,), ())
    assert made.hypervisor_errors == {"kvm": "down"}
    assert made.storage_errors == {"rbd": "no quorum"}
    assert made.problems == (
        "capacity rbd: no quorum",
        "stored memory: no such pool",
        "bridges: gone",
        "hypervisor kvm: down",
    )
    assert essence(made) == essence(msgspec.structs.replace(made, time=6.0))
