"""How many more instances fit: all of one size (standard), or from large to small (tiered).

As ``hspace``: one instance after the other goes where the score is best, until none fits. How the
size is made smaller then is in ``tiers``.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import msgspec

from clusterd.placement.causes import policy_cause
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import INTERNAL_MIRROR, Spec
from clusterd.placement.model import NOWHERE, Cluster, Flags
from clusterd.placement.options import CapacityOptions, Request
from clusterd.placement.placer import Found, Placer
from clusterd.placement.requests import item_of, require_possible
from clusterd.placement.resources import resources
from clusterd.placement.results import Capacity, Fitted, KeepGoing, forever
from clusterd.placement.tiers import Tiers
from clusterd.placement.usage import Item

MANY_NODES = 64
MANY_NODES_AS_HSPACE = 256
FEW_AS_HSPACE = 256
"""With a limit up to this, ``hspace``'s answer is found one by one however many nodes there are."""
NODES_PER_PLACE = 16
"""In a group of many nodes, instances are placed by rounds of one for so many nodes."""
BATCHES = (64, 8)
"""So many are placed before it is asked whether every node can be emptied."""


class Look(NamedTuple):
    """What was found for one size in the state as it is."""

    found: Found | None
    failures: Counter[str]
    """Reason -> placements ruled out."""


class Filling:
    """Instances put into a state until none fits."""

    def __init__(self, cluster: Cluster, options: CapacityOptions, keep_going: KeepGoing) -> None:
        self.mirrored = options.template == INTERNAL_MIRROR
        strict = msgspec.structs.replace(options.options, verdicts=False)
        self.lax = msgspec.structs.replace(strict, capacity_checks=False)
        one = cluster.instances
        alone = bool(((one.secondary == NOWHERE) & ~one.forthcoming).any())
        self.checked = strict.capacity_checks and (
            not self.mirrored or (alone and strict.as_htools)
        )
        self.cluster, self.options, self.keep_going = cluster, options, keep_going
        self.placer = Placer(cluster, strict if self.checked else self.lax)
        """Mirrored instances that fit leave each node evacuable, but for unmirrored ones beside
        them, which only ``hspace`` counts here: else it is not asked while filling."""
        groups = cluster.facts.groups
        self.open = [
            number
            for number, group in enumerate(groups)
            if group.alloc_policy != "unallocable" and group.uuid not in options.closed_groups
        ]
        self.exclusive = [
            bool(cluster.nodes.exclusive[cluster.nodes.group == number].any())
            for number in range(len(groups))
        ]
        self.placements: list[tuple[str, ...]] = []
        self.fitted: list[Fitted] = []

    def request(self, spec: Spec) -> Request:
        """An instance of this size with one disk."""
        use = self.options.spindle_use
        return Request(
            name="new",
            memory_mib=spec.memory_mib,
            vcpus=spec.vcpus,
            disk_sizes_mib=(spec.disk_mib,),
            disk_mib=spec.disk_mib,
            template=self.options.template,
            spindle_use=self.cluster.facts.policy.std.spindles if use is None else use,
            spindles=spec.spindles,
        )

    def fill(self, spec: Spec, limit: int | None) -> Counter[str]:
        """As many as fit, at most ``limit``; what refused the next one."""
        request, before = self.request(spec), len(self.placements)
        item = item_of(self.cluster, request)
        for batch in BATCHES if self.checked else ():
            while self._batch(request, item, self._at_most(limit, before, batch)):
                pass
        failures = self._fill(self.placer, request, item, self._at_most(limit, before, None))
        count = len(self.placements) - before
        if count:
            self.fitted.append(Fitted(spec, count))
        return failures

    def _at_most(self, limit: int | None, before: int, batch: int | None) -> int | None:
        left = None if limit is None else limit - (len(self.placements) - before)
        return batch if left is None else left if batch is None else min(left, batch)

    def _batch(self, request: Request, item: Item, count: int | None) -> bool:
        """Put so many without asking whether each node can be emptied; if then one cannot, take
        them back. The check costs more than all others, and once it fails it goes on failing."""
        mark, placed = self.placer.mark(), len(self.placements)
        strict, self.placer.options = self.placer.options, self.lax
        self._fill(self.placer, request, item, count)
        self.placer.options = strict
        whole = count is not None and len(self.placements) - placed == count > 0
        if self.placer.evacuable():
            return whole and self.keep_going()
        self.placer.back(mark)
        del self.placements[placed:]
        return False

    def _fill(
        self, placer: Placer, request: Request, item: Item, limit: int | None
    ) -> Counter[str]:
        count = 0
        while True:
            found, failures = self._look(placer, request, item)
            if found is None or (limit is not None and count >= limit) or not self.keep_going():
                return failures
            for nodes in [found.nodes, *self.beside(found)]:
                if limit is None or count < limit:
                    placer.put(item, nodes)
                    self.placements.append(tuple(placer.nodes.names[node] for node in nodes))
                    count += 1

    def beside(self, found: Found) -> list[tuple[int, ...]]:
        """Places that are taken in the same round: in a large group the next best pairs are those
        of other nodes anyway."""
        count = len(self.cluster.nodes.names)
        exact = self.options.as_hspace
        many = MANY_NODES_AS_HSPACE if exact else MANY_NODES
        if exact and self.options.limit is not None and self.options.limit <= FEW_AS_HSPACE:
            return []
        if count < many or len(self.cluster.facts.groups) > 1 or len(found.nodes) < 2:
            return []
        return self.placer.apart(found.nodes, count // NODES_PER_PLACE - 1)

    def look(self, spec: Spec) -> Look:
        """Whether one of this size fits."""
        request = self.request(spec)
        return self._look(self.placer, request, item_of(self.cluster, request))

    def _look(self, placer: Placer, request: Request, item: Item) -> Look:
        """The best place in any group, and what refused the others."""
        best: Found | None = None
        failures: Counter[str] = Counter()
        for number in self.open:
            here: Flags = placer.nodes.group == number
            policy = self.cluster.policy(number)
            cause = policy_cause(policy, request, exclusive=self.exclusive[number])
            if cause is not None:
                count = int((here & placer.allowed).sum())
                failures[cause] += count * (count - 1) if self.mirrored else count
                continue
            found = placer.find(item, here)
            failures += found.failures
            if found.nodes and (best is None or found.score <= best.score):
                best = found
        return Look(best, failures)


def capacity(
    cluster: Cluster, options: CapacityOptions | None = None, keep_going: KeepGoing = forever
) -> Capacity:
    """How much fits; ``keep_going`` False ends it with what was found. Raises BadRequest."""
    options = options or CapacityOptions()
    specs = (options.spec,) if options.spec else _own_specs(cluster, options)
    filling = Filling(cluster, options, keep_going)
    for spec in specs:
        require_possible(filling.request(spec))
        if not (spec.memory_mib or spec.vcpus or spec.disk_mib):
            raise BadRequest("An instance without memory, processors and disk fits without end")
    if options.limit is not None and options.limit < 0:
        raise BadRequest(f"A limit of {options.limit} instances is impossible")
    before = resources(filling.placer.usage, 0, options.all_nodes)
    if options.tiered:
        failures = Tiers(filling).all_of(specs)
    else:
        failures = filling.fill(specs[0], options.limit)
    return Capacity(
        fitted=tuple(filling.fitted),
        count=len(filling.placements),
        failures=dict(failures),
        before=before,
        after=resources(filling.placer.usage, len(filling.placements), options.all_nodes),
        placements=tuple(filling.placements),
    )


def _own_specs(cluster: Cluster, options: CapacityOptions) -> tuple[Spec, ...]:
    """The standard size of the policy, or the largest of each range, the largest first (as they
    stand in the policy for ``hspace``)."""
    policy = cluster.facts.policy
    if not options.tiered:
        return (policy.std,)
    largest = [high for _, high in policy.ranges]
    if options.as_hspace:
        return tuple(largest)
    return tuple(sorted(largest, key=lambda one: -one.memory_mib))
