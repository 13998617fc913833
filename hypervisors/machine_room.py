"""Pretended hardware for the memory driver: nodes with power, memory and guests.

One ``MachineRoom`` holds all nodes of a pretended cluster, so that a migration finds its target and
an invariant can ask where a guest's processors run. The simulator turns power and services off and
says how the next migration goes; drivers do the rest. Nothing moves by itself: a migration goes on
when somebody asks how far it is.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Literal

import msgspec

from hypervisors.guest import Guest, GuestState

DEFAULT_MEMORY_MIB = 16384
DEFAULT_CPUS = 8


class Presence(enum.StrEnum):
    """How a guest is on a node."""

    RUNNING = "running"
    PAUSED = "paused"
    CRASHED = "crashed"
    RECEIVING = "receiving"
    """Its memory is arriving."""
    ARRIVED = "arrived"
    """Complete, but its processors have not run here: its source has yet to release it."""

    @property
    def state(self) -> GuestState:
        """What a node says of it."""
        known = {Presence.RUNNING: GuestState.RUNNING, Presence.CRASHED: GuestState.CRASHED}
        return known.get(self, GuestState.PAUSED)


class Resident:
    """A guest on a node."""

    def __init__(self, guest: Guest, presence: Presence) -> None:
        self.guest = guest
        self.presence = presence
        self.boots = 1
        self.asked_to_stop = 0
        self.frozen = False
        """Its agent holds the file systems still."""
        self.outlived = False
        """A copy whose source went on: what it remembers of its disks is old."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How a migration goes: asked ``polls`` times it is under way, then it ends.

    ``completes``: the guest runs on the target. ``fails``: it goes on at the source, the target is
    clean. ``cut``: the same, but the target still waits for memory. ``cut-late``: the link broke at
    the very end, the target holds a complete copy that never ran. ``unreleased``: the guest has
    left its source, and nobody has told the target to let it run.
    """

    polls: int = 1
    end: Literal["completes", "fails", "cut", "cut-late", "unreleased"] = "completes"


class Passage:
    """A migration under way, or ended."""

    def __init__(self, guest: Guest, source: str, target: str, course: Course) -> None:
        self.guest = guest
        self.travelling: tuple[str, ...] = ()
        """Paths of disks whose contents travel, too."""
        self.source = source
        self.target = target
        self.course = course
        self.polled = 0
        self.state: Literal["running", "completed", "failed", "cancelled"] = "running"
        self.message = ""
        self.logged = True
        """What its source's hypervisor wrote down of its end is from the source's present life."""


class Machine:
    """One node's hardware."""

    def __init__(self, name: str, memory_mib: int, cpus: int) -> None:
        self.name = name
        self.memory_mib = memory_mib
        self.cpus = cpus
        self.powered = True
        self.service_runs = True
        """False while the hypervisor's service is dead; the guests go on."""
        self.residents: dict[str, Resident] = {}
        self.deaf: set[str] = set()
        """Guests that do not obey the power button."""
        self.device_exists: Callable[[str], bool] = lambda path: True
        self.bridge_exists: Callable[[str], bool] = lambda name: True

    @property
    def free_mib(self) -> int:
        """Memory that no guest holds."""
        return self.memory_mib - sum(one.guest.memory_mib for one in self.residents.values())


class MachineRoom:
    """All machines and the migrations between them."""

    def __init__(self) -> None:
        self._machines: dict[str, Machine] = {}
        self._passages: dict[str, Passage] = {}
        self._courses: dict[str, Course] = {}
        self.copy_disk: Callable[[str, str, str], None] = lambda source, target, path: None
        """(source, target, path): the target's disk has the contents of the source's."""

    def machine(self, name: str) -> Machine:
        """The node's hardware, made when first asked for."""
        if name not in self._machines:
            self._machines[name] = Machine(name, DEFAULT_MEMORY_MIB, DEFAULT_CPUS)
        return self._machines[name]

    def running_on(self, guest: str) -> tuple[str, ...]:
        """The nodes where this guest's processors run, sorted. Invariant: at most one."""
        return self.processors().get(guest, ())

    def processors(self) -> dict[str, tuple[str, ...]]:
        """Guest -> nodes where its processors run, sorted."""
        found: dict[str, list[str]] = {}
        for name in sorted(self._machines):
            for guest, resident in sorted(self._machines[name].residents.items()):
                if resident.presence is Presence.RUNNING:
                    found.setdefault(guest, []).append(name)
        return {guest: tuple(nodes) for guest, nodes in sorted(found.items())}

    def frozen(self) -> tuple[str, ...]:
        """Guests whose file systems are held still, sorted."""
        return tuple(
            sorted(
                guest
                for machine in self._machines.values()
                for guest, resident in machine.residents.items()
                if resident.frozen
            )
        )

    def doubled(self) -> bool:
        """Some guest's processors run on two nodes; quicker than looking at them all."""
        occupied = 0
        for machine in self._machines.values():
            if machine.residents:
                occupied += 1
        if occupied < 2:
            return False
        running: set[str] = set()
        for machine in self._machines.values():
            for guest, resident in machine.residents.items():
                if resident.presence is Presence.RUNNING:
                    if guest in running:
                        return True
                    running.add(guest)
        return False

    # -- what the simulator does -------------------------------------------------------------------

    def power_off(self, node: str) -> None:
        """All that runs on the node is gone; migrations to it fail, from it they end half done."""
        machine = self.machine(node)
        machine.powered = False
        machine.residents.clear()
        for passage in self._of(node):
            self._break(passage, f"node {node} lost power")
        for passage in self._passages.values():
            passage.logged = passage.logged and passage.source != node

    def power_on(self, node: str) -> None:
        """The node runs, with nothing on it."""
        machine = self.machine(node)
        machine.powered = machine.service_runs = True

    def stop_service(self, node: str) -> None:
        """The hypervisor's service on the node dies; its guests go on, its migrations end."""
        self.machine(node).service_runs = False
        for passage in self._of(node):
            self._break(passage, f"the hypervisor's service on node {node} died")

    def start_service(self, node: str) -> None:
        """The hypervisor's service answers again."""
        self.machine(node).service_runs = True

    def cut_link(self, one: str, other: str) -> None:
        """The link between two nodes breaks."""
        for passage in self._of(one):
            if other in (passage.source, passage.target):
                self._break(passage, f"the link between {one} and {other} broke")

    def crash_guest(self, node: str, guest: str) -> None:
        """The guest's virtual machine breaks down."""
        self.machine(node).residents[guest].presence = Presence.CRASHED

    def power_down_guest(self, node: str, guest: str) -> None:
        """The guest powers itself off."""
        del self.machine(node).residents[guest]

    def plan_migration(self, guest: str, course: Course) -> None:
        """Each further migration of this guest goes like this."""
        self._courses[guest] = course

    # -- what drivers do ---------------------------------------------------------------------------

    def begin(self, guest: Guest, source: str, target: str) -> Passage:
        """The memory is on its way; the target already has room for it."""
        course = self._courses.get(guest.name, Course())
        passage = self._passages[guest.name] = Passage(guest, source, target, course)
        self.machine(target).residents[guest.name] = Resident(guest, Presence.RECEIVING)
        return passage

    def passage(self, guest: str, source: str) -> Passage | None:
        """The last migration of this guest away from ``source``."""
        found = self._passages.get(guest)
        return found if found is not None and found.source == source else None

    def has_left(self, passage: Passage) -> bool:
        """Its source can tell, also to a new daemon, that the guest has left."""
        here = self.machine(passage.source).residents
        return passage.state == "completed" and passage.logged and passage.guest.name not in here

    def advance(self, passage: Passage, *, released: bool) -> None:
        """One poll. ``released``: somebody is there who lets the guest run once it has left."""
        if passage.state != "running":
            return
        if passage.polled < passage.course.polls:
            passage.polled += 1
            return
        name = passage.guest.name
        source, target = self.machine(passage.source), self.machine(passage.target)
        resident = source.residents.get(name)
        if resident is None or resident.presence is Presence.CRASHED:
            self._fail(passage, f"guest {name} stopped on its way")
            target.residents.pop(name, None)
            return
        if passage.course.end in ("fails", "cut", "cut-late"):
            self._end_badly(passage, target)
            return
        moved = Presence.ARRIVED if passage.course.end == "unreleased" else resident.presence
        if not released and moved is Presence.RUNNING:
            moved = Presence.ARRIVED
        for path in passage.travelling:
            self.copy_disk(passage.source, passage.target, path)
        del source.residents[name]
        target.residents[name].presence = moved
        target.residents[name].boots = resident.boots
        passage.state = "completed"

    def stop(self, passage: Passage) -> None:
        """The migration is given up; the target is clean and the guest goes on."""
        if passage.state == "running":
            passage.state, passage.message = "cancelled", "operation aborted"
            self.machine(passage.target).residents.pop(passage.guest.name, None)

    def _of(self, node: str) -> list[Passage]:
        running = [one for one in self._passages.values() if one.state == "running"]
        return [one for one in running if node in (one.source, one.target)]

    def _break(self, passage: Passage, message: str) -> None:
        self._fail(passage, message)
        if self.machine(passage.source).powered:
            self.machine(passage.target).residents.pop(passage.guest.name, None)

    def _end_badly(self, passage: Passage, target: Machine) -> None:
        name = passage.guest.name
        self._fail(passage, f"migration of guest {name} to node {passage.target} failed")
        if passage.course.end == "fails":
            target.residents.pop(name, None)
        elif passage.course.end == "cut-late":
            for path in passage.travelling:
                self.copy_disk(passage.source, passage.target, path)
            target.residents[name].presence = Presence.ARRIVED
            target.residents[name].outlived = True

    @staticmethod
    def _fail(passage: Passage, message: str) -> None:
        passage.state, passage.message = "failed", message
