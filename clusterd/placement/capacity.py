"""How many more instances fit: all of one size (standard), or from large to small (tiered).

As ``hspace``: one instance after the other goes where the score is best, until none fits. Tiered:
then the resource that refused most places is made smaller until fewer are refused for it, and it
goes on. Where no size in between brings a place, each other resource is tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np

from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import INTERNAL_MIRROR, Spec
from clusterd.placement.model import Cluster, Flags
from clusterd.placement.options import CapacityOptions, Request
from clusterd.placement.placer import Found, Placer
from clusterd.placement.requests import item_of, policy_faults, require_possible
from clusterd.placement.resources import resources
from clusterd.placement.results import Capacity, Fitted, KeepGoing, forever
from clusterd.placement.usage import Item

UNITS = {"memory_mib": 64, "disk_mib": 256, "vcpus": 1}
"""The steps in which sizes are reduced, and the smallest sizes; in htools' order among equals."""
MANY_NODES = 64
NODES_PER_PLACE = 16
"""In a group of many nodes, instances are placed by rounds of one for so many nodes."""
CAUSES = {
    "memory": "memory_mib",
    "n1": "memory_mib",
    "global_n1": "memory_mib",
    "disk": "disk_mib",
    "cpu": "vcpus",
}
"""Which size to reduce for a reason."""


class Filled(NamedTuple):
    """What was found for one size."""

    fitted: int
    failures: Counter[str]


class Filling:
    """Instances put into a state until none fits."""

    def __init__(self, cluster: Cluster, options: CapacityOptions, keep_going: KeepGoing) -> None:
        mirrored = options.template == INTERNAL_MIRROR
        strict = msgspec.structs.replace(
            options.options,
            verdicts=False,
            capacity_checks=options.options.capacity_checks and not mirrored,
        )
        self.cluster, self.options, self.keep_going = cluster, options, keep_going
        self.placer = Placer(cluster, strict)
        self.among: Flags = np.array(
            [
                cluster.facts.groups[group].alloc_policy != "unallocable"
                for group in cluster.nodes.group.tolist()
            ],
            dtype=np.bool_,
        )
        self.placements: list[tuple[str, ...]] = []
        self.fitted: list[Fitted] = []

    def request(self, spec: Spec) -> Request:
        """An instance of this size with one disk."""
        return Request(
            name="new",
            memory_mib=spec.memory_mib,
            vcpus=spec.vcpus,
            disk_sizes_mib=(spec.disk_mib,),
            disk_mib=spec.disk_mib,
            template=self.options.template,
            spindle_use=self.cluster.facts.policy.std.spindles,
            nics=spec.nics,
        )

    def room_left(self) -> bool:
        """Whether the limit allows one more."""
        limit = self.options.limit
        return limit is None or len(self.placements) < limit

    def fill(self, spec: Spec) -> Filled:
        """As many as fit."""
        request = self.request(spec)
        item, count = item_of(self.cluster, request), 0
        while True:
            found, failures = self.look(request, item)
            if found is None or not self.room_left() or not self.keep_going():
                break
            for nodes in [found.nodes, *self.beside(found)]:
                if self.room_left():
                    self.placer.put(item, nodes)
                    self.placements.append(tuple(self.placer.nodes.names[node] for node in nodes))
                    count += 1
        if count:
            self.fitted.append(Fitted(spec, count))
        return Filled(count, failures)

    def beside(self, found: Found) -> list[tuple[int, ...]]:
        """Places that are taken in the same round: in a large group the next best pairs are those
        of other nodes anyway."""
        among = int(self.among.sum())
        if among < MANY_NODES or len(self.cluster.facts.groups) > 1 or len(found.nodes) < 2:
            return []
        return self.placer.apart(found.nodes, among // NODES_PER_PLACE - 1)

    def look(self, request: Request, item: Item) -> tuple[Found | None, Counter[str]]:
        """The best place in any group, and what refused the others."""
        best: Found | None = None
        failures: Counter[str] = Counter()
        for number in range(len(self.cluster.facts.groups)):
            here: Flags = self.among & (self.placer.nodes.group == number)
            if faults := policy_faults(self.cluster.policy(number), request):
                failures[_policy_cause(faults)] += int(here.sum())
                continue
            found = self.placer.find(item, here)
            failures += found.failures
            if found.nodes and (best is None or found.score < best.score):
                best = found
        return best, failures

    def tiers(self, spec: Spec) -> Counter[str]:
        """This size, then smaller ones; answers what refused the last."""
        failures = self.fill(spec).failures
        if not self.room_left() or not self.keep_going():
            return failures
        causes = sorted(
            (field for field in UNITS if _caused(failures, field)),
            key=lambda field: -_caused(failures, field),
        )
        placed = len(self.placements)
        if placed and self.options.one_size:
            return failures
        if causes:
            smaller = self._until(spec, causes[0], self._changed(failures, causes[0]))
            last = failures if smaller is None else self.tiers(smaller)
            if len(self.placements) > placed:
                return last
        for field in causes[1:]:
            smaller = self._until(spec, field, lambda _, fits: fits)
            if smaller is not None:
                return self.tiers(smaller)
        last_hope = self._two_at_once(spec)
        return failures if last_hope is None else self.tiers(last_hope)

    def _two_at_once(self, spec: Spec) -> Spec | None:
        """One resource at its least, another as large as it can then be."""
        for field in UNITS:
            least = self._least(field)
            if least >= getattr(spec, field):
                continue
            small = msgspec.structs.replace(spec, **{field: least})
            for other in UNITS:
                found = self._until(small, other, lambda _, fits: fits)
                if other != field and found is not None:
                    return found
        return None

    def _changed(self, failures: Counter[str], field: str) -> Callable[[Counter[str], bool], bool]:
        before = _caused(failures, field)
        return lambda now, fits: fits or _caused(now, field) != before

    def _least(self, field: str) -> int:
        """What any policy asks for at least."""
        groups = range(len(self.cluster.facts.groups))
        ranges = [low for one in groups for low, _ in self.cluster.policy(one).ranges]
        return max(UNITS[field], min(int(getattr(low, field)) for low in ranges))

    def _until(
        self, spec: Spec, field: str, enough: Callable[[Counter[str], bool], bool]
    ) -> Spec | None:
        """The largest smaller size for which ``enough`` holds: it holds for all below."""
        unit = UNITS[field]
        size: int = getattr(spec, field)
        steps = (size - self._least(field)) // unit

        def holds(step: int) -> bool:
            smaller = msgspec.structs.replace(spec, **{field: size - step * unit})
            request = self.request(smaller)
            found, failures = self.look(request, item_of(self.cluster, request))
            return enough(failures, found is not None)

        if steps < 1 or not holds(steps):
            return None
        low, high = 0, steps
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return msgspec.structs.replace(spec, **{field: size - high * unit})


def _caused(failures: Counter[str], field: str) -> int:
    return sum(count for reason, count in failures.items() if CAUSES.get(reason) == field)


def _policy_cause(faults: list[str]) -> str:
    """The reason that stands for a violated policy."""
    words = {"memory-size": "memory", "cpu-count": "cpu", "disk": "disk"}
    return next((reason for word, reason in words.items() if faults[0].startswith(word)), "policy")


def capacity(
    cluster: Cluster, options: CapacityOptions | None = None, keep_going: KeepGoing = forever
) -> Capacity:
    """How much fits; ``keep_going`` False ends it with what was found. Raises BadRequest."""
    options = options or CapacityOptions()
    spec = options.spec or _own_spec(cluster, options.tiered)
    filling = Filling(cluster, options, keep_going)
    require_possible(filling.request(spec))
    if options.limit is not None and options.limit < 0:
        raise BadRequest(f"A limit of {options.limit} instances is impossible")
    before = resources(filling.placer.usage, 0, options.all_nodes)
    failures = filling.tiers(spec) if options.tiered else filling.fill(spec).failures
    return Capacity(
        fitted=tuple(filling.fitted),
        count=len(filling.placements),
        failures=dict(failures),
        before=before,
        after=resources(filling.placer.usage, len(filling.placements), options.all_nodes),
        placements=tuple(filling.placements),
    )


def _own_spec(cluster: Cluster, tiered: bool) -> Spec:
    """The standard size of the policy, or the largest of any range."""
    policy = cluster.facts.policy
    if not tiered:
        return policy.std
    return max((high for _, high in policy.ranges), key=lambda one: one.memory_mib)
