"""The node's eyes: everything worth seeing of it, in one value, with what could not be seen.

Each part is asked on its own and bounded by a time; one that fails or hangs is a problem in the
observation and hides no other. The node is looked at every ``interval_s`` and soon after something
was changed, and told of when something is different, or at least every ``longest_silence_s``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from operator import methodcaller
from types import MappingProxyType
from typing import Any

import msgspec
from twisted.python.failure import Failure

from clusterd import names
from clusterd.begun import answered
from clusterd.node.equipment import Equipment
from clusterd.node.inquiry import Inquiry, Question, Seen
from clusterd.observation import Glimpse, Observation, with_guest
from clusterd.verbs.checks import bridges
from clusterd.verbs.exports import found_names
from clusterd.verbs.os_definitions import find_all, search_path
from hypervisors.guest import NodeHardware
from hypervisors.interface import Driver
from storage.external_providers import find_all as find_providers
from storage.interface import Backend
from storage.volume import Volume

Tell = Callable[[Observation], None]
Show = Callable[[Glimpse], None]
LIST, HARDWARE, CAPACITY = methodcaller("list"), methodcaller("hardware"), methodcaller("capacity")
"""Verbs that are looked up when they are asked."""
PRETENDED = "memory"
"""The driver whose guests are only pretended."""

MEMORY_GRAIN_MIB = 64
"""Smaller changes of the node's free memory are no news."""


class Rhythm(msgspec.Struct, frozen=True, kw_only=True):
    """When to look and to tell."""

    interval_s: float = 5.0
    soon_s: float = 0.2
    share: float = 1 / 3
    """Of the time, spent with looking at most while change follows change."""
    idle_share: float = 1 / 12
    """The same while nothing is known to change."""
    longest_silence_s: float = 30.0
    part_timeout_s: float = 10.0


USUAL = Rhythm()


class Observer:
    """Looks and tells. Invariant: ``latest`` is the newest observation made."""

    def __init__(
        self,
        equipment: Equipment,
        backends: Mapping[str, Backend],
        drivers: Mapping[str, Driver],
        rhythm: Rhythm = USUAL,
    ) -> None:
        self.boot_id = equipment.boot_id
        self.latest: Observation | None = None
        self._name = equipment.name
        self._places = equipment.places
        self._threads = equipment.threads
        self._clock = equipment.clock
        self._log = equipment.log
        self._backends, self._drivers = backends, drivers
        self._parts = MappingProxyType(dict(self._lasting_parts()))
        self._rhythm = rhythm
        self._inquiry = Inquiry(equipment.clock, rhythm.part_timeout_s)
        self._watched: tuple[Volume, ...] = ()
        self._tell: Tell | None = None
        self._show: Show | None = None
        self._told: Observation | None = None
        self._next: Any = None
        self._looking = False
        self._again = False
        self._begun = self._rested = 0.0
        self._looks = 0
        self._regarded: list[Glimpse] = []

    # -- as the verbs' Sight -----------------------------------------------------------------------

    async def look(self) -> Observation:
        """Look now."""
        known = len(self._regarded)
        self._looks += 1
        try:
            seen = await self._inquiry.ask(self._questions())
            latest = assemble(self._name, self.boot_id, self._clock.seconds(), seen)
            for regarded in self._regarded[known:]:
                latest = with_guest(latest, regarded)
        finally:
            self._looks -= 1
            if not self._looks:
                self._regarded.clear()
        self.latest = latest
        return latest

    async def regard(self, hypervisor: str, name: str) -> None:
        """See one guest that was just changed and tell of it at once, so that who changed it knows
        what became of it before the answer arrives. One that cannot be seen waits for ``look``."""
        driver = self._drivers[hypervisor]
        part = f"guest {hypervisor} {name}"
        seen = (await self._inquiry.ask({part: lambda: driver.look(name)}))[part]
        if seen.problem or self.latest is None:
            return
        if hypervisor not in self.latest.guests:
            # it was too busy to name its guests, as libvirt is with a migration, and answers again
            await self.look()
            if self._tell is not None:
                self._told = self.latest
                self._tell(self.latest)
            return
        regarded = Glimpse(hypervisor, name, seen.value)
        if self._looks:
            self._regarded.append(regarded)
        self.latest = with_guest(self.latest, regarded)
        if self._show is not None:
            self._told = self.latest
            self._show(regarded)
        elif self._tell is not None:
            self._told = self.latest
            self._tell(self.latest)

    def watch(self, volumes: tuple[Volume, ...]) -> None:
        """From now on report the status of these."""
        self._watched = volumes
        self.soon()

    # -- by itself ---------------------------------------------------------------------------------

    def start(self, tell: Tell, show: Show | None = None) -> None:
        """Look again and again; ``tell`` is called with what is news. ``show`` is called with a
        single guest that was changed; without it, ``tell`` with everything."""
        self._tell, self._show = tell, show
        self._plan(0.0)

    def stop(self) -> None:
        """No more."""
        self._tell = self._show = None
        self._cancel()

    def soon(self) -> None:
        """Something was changed: do not wait for the next interval."""
        if self._looking:
            self._again = True
        elif self._tell is not None:
            self._plan(self._soon())

    def _plan(self, delay_s: float) -> None:
        # a look that is due earlier is not put off by each further change
        if self._next is not None and self._next.active():
            if self._next.getTime() <= self._clock.seconds() + delay_s:
                return
            self._cancel()
        self._next = self._clock.callLater(delay_s, self._tick)

    def _cancel(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None

    def _tick(self) -> None:
        self._looking, self._again = True, False
        self._begun = self._clock.seconds()
        answered(self.look(), self._seen, self._blind)

    def _seen(self, observation: Observation) -> None:
        told = self._told
        if self._tell is not None and (
            told is None
            or abs(observation.time - told.time) >= self._rhythm.longest_silence_s
            or is_news(observation, told)
        ):
            self._told = observation
            self._tell(observation)
        self._after()

    def _blind(self, failure: Failure) -> None:
        self._log.error("looking at the node failed", node=self._name, exc_info=failure.value)
        self._after()

    def _after(self) -> None:
        self._looking = False
        now, rhythm = self._clock.seconds(), self._rhythm
        took_s = now - self._begun
        self._rested = now + min(took_s * (1 / rhythm.share - 1), rhythm.interval_s)
        if self._tell is not None:
            idle_s = min(took_s * (1 / rhythm.idle_share - 1), rhythm.longest_silence_s / 2)
            self._plan(self._soon() if self._again else max(idle_s, rhythm.interval_s))

    def _soon(self) -> float:
        """How long to wait for a look that is wanted: a slow node has more to do than to look. No
        node rests longer than an interval, also when its clock was set back meanwhile."""
        resting_s = min(self._rested - self._clock.seconds(), self._rhythm.interval_s)
        return max(self._rhythm.soon_s, resting_s)

    # -- what is asked -----------------------------------------------------------------------------

    def _lasting_parts(self) -> Iterator[tuple[str, Question]]:
        for name, driver in sorted(self._drivers.items()):
            yield f"guests {name}", partial(LIST, driver)
            yield f"hardware {name}", partial(HARDWARE, driver)
        for name, backend in sorted(self._backends.items()):
            yield f"stored {name}", partial(LIST, backend)
            yield f"capacity {name}", partial(CAPACITY, backend)
        yield "oses", self._oses
        yield "providers", self._providers
        yield "bridges", self._bridges
        yield "exports", self._exports

    def _questions(self) -> dict[str, Question]:
        asked = self._parts.copy()
        for volume in self._watched:
            backend_of = self._backends.get(volume.template)
            if backend_of is not None:
                asked[f"volume {volume.uuid}"] = partial(backend_of.look, volume)
        return asked

    async def _oses(self) -> Any:
        return await self._threads.run(find_all, search_path(self._places.oses))

    async def _providers(self) -> Any:
        return await self._threads.run(find_providers, self._places.providers)

    async def _bridges(self) -> Any:
        return await self._threads.run(bridges, self._places.networks)

    async def _exports(self) -> Any:
        return await self._threads.run(found_names, self._places.exports)


def assemble(name: str, boot_id: str, time: float, seen: dict[str, Seen]) -> Observation:
    """The observation that the parts' answers make. Parts are named ``<kind> <what>``."""
    answers: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    problems: list[str] = []
    failed: dict[str, str] = {}
    storage: dict[str, str] = {}
    for part, one in seen.items():
        kind, _, what = part.partition(" ")
        if not one.problem:
            answers[kind][what] = one.value
        elif kind in ("guests", "hardware"):
            failed.setdefault(what, one.problem)
        else:
            problems.append(f"{part}: {one.problem}")
            if kind == "capacity":
                storage[what] = one.problem
    problems += (f"hypervisor {what}: {why}" for what, why in failed.items())
    return Observation(
        node=name,
        time=time,
        boot_id=boot_id,
        version=names.PRODUCT_VERSION,
        hardware=_hardware(answers["hardware"], failed),
        hypervisor_errors=failed,
        storage_errors=storage,
        guests=answers["guests"],
        capacity=_joined(answers["capacity"]),
        stored=_joined(answers["stored"]),
        volumes=tuple(answers["volume"].values()),
        oses=answers["oses"].get("", ()),
        providers=answers["providers"].get("", ()),
        bridges=answers["bridges"].get("", ()),
        exports=answers["exports"].get("", ()),
        problems=tuple(problems),
    )


def _hardware(seen: dict[str, NodeHardware], failed: dict[str, str]) -> NodeHardware | None:
    """Of the first driver that answers. What the pretended one says counts only where no other is:
    a node whose real hypervisor is down must not seem to have memory to give away."""
    real = [value for name, value in seen.items() if name != PRETENDED]
    if real:
        return real[0]
    down = any(name != PRETENDED for name in failed)
    return None if down else seen.get(PRETENDED)


def is_news(observation: Observation, told: Observation) -> bool:
    """Something is different from what was told."""
    if msgspec.structs.replace(observation, time=told.time) == told:
        return False  # mostly, and soon found
    return essence(observation) != essence(told)


def essence(observation: Observation) -> Observation:
    """The same without what is always different: two that differ in it are news."""
    hardware = observation.hardware
    if hardware is not None:
        hardware = msgspec.structs.replace(
            hardware,
            memory_free_mib=hardware.memory_free_mib // MEMORY_GRAIN_MIB,
            memory_host_mib=hardware.memory_host_mib // MEMORY_GRAIN_MIB,
        )
    guests = {
        name: tuple(msgspec.structs.replace(guest, cpu_time_s=0.0) for guest in found)
        for name, found in observation.guests.items()
    }
    return msgspec.structs.replace(observation, time=0.0, hardware=hardware, guests=guests)


def _joined(answers: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(chain.from_iterable(answers.values()))
