"""No plan leaves a node over its limits, or an instance on one node with its own mirror.

Clusters of all sorts, drawn by a number; nodes that are over a limit already may not get worse.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterd.placement import model
from clusterd.placement.allocate import multi_allocate
from clusterd.placement.balance import balance
from clusterd.placement.capacity import capacity
from clusterd.placement.evacuate import change_group, evacuate
from clusterd.placement.facts import INTERNAL_MIRROR, ClusterFacts, Spec
from clusterd.placement.options import (
    BalanceOptions,
    CapacityOptions,
    Options,
    RebootOptions,
    Request,
    SqueezeOptions,
)
from clusterd.placement.reboots import reboot_plan
from clusterd.placement.requests import item_of, knows
from clusterd.placement.results import Move
from clusterd.placement.squeeze import squeeze
from clusterd.placement.usage import CPU, DISK, MEMORY, Usage
from tests.unit.placement_clusters import any_cluster

SOME = settings(max_examples=25, deadline=None)
NUMBERS = st.integers(0, 100000)


class Watched:
    """A state that plans are carried out on, looked at after each change."""

    def __init__(self, cluster: model.Cluster) -> None:
        self.cluster = cluster
        self.usage = Usage(cluster)
        self.places = {
            one.name: tuple(node for node in (one.primary, one.secondary) if node)
            for one in cluster.facts.instances
        }

    def moves(self, moves: Iterable[Move]) -> None:
        """Do them; ``force``: soft limits may be overstepped by what leaves offline nodes."""
        for move in moves:
            assert self.places[move.instance] == move.old
            assert len(set(move.new)) == len(move.new), "on its own mirror"
            numbers = [self.cluster.node_number[node] for node in move.new]
            assert self.cluster.nodes.usable[numbers[0]], "a primary on an unusable node"
            before = self.usage.copy()
            row = self.cluster.instance_number[move.instance]
            self.usage.move(row, numbers[0], (*numbers, model.NOWHERE)[1])
            forced = not all(
                self.cluster.nodes.usable[self.cluster.node_number[node]] for node in move.old
            )
            self.judged(before, soft=not forced)
            self.places[move.instance] = move.new

    def judged(self, before: Usage, *, soft: bool = True) -> None:
        """No usable node is worse off beyond a limit."""
        nodes, now = self.cluster.nodes, self.usage.amounts
        for row in (MEMORY, DISK):
            worse = now[row] < before.amounts[row]
            where = nodes.usable & worse & ~(nodes.exclusive & (row == DISK))
            assert (now[row][where] > 0).all(), row
        if soft:
            more = now[CPU] > before.amounts[CPU]
            assert (now[CPU] <= nodes.vcpu_ratio * nodes.cpus + 1e-6)[more & nodes.usable].all()
            fresh = self.usage.failing & ~before.failing
            assert not fresh.any(), "not N+1 any more"
            assert (np.maximum(self.usage.tags - 1, 0) <= np.maximum(before.tags - 1, 0)).all()


def requests_for(facts: ClusterFacts, template: str) -> list[Request]:
    taken = {one.name for one in facts.instances}
    names = [name for name in (f"new{row}" for row in range(6)) if name not in taken]
    return [
        Request(
            name=name,
            memory_mib=1024 * (1 + row % 4) ** 2,
            vcpus=1 + row % 3,
            disk_sizes_mib=(10240,),
            template=template,
            tags=("db:a",) if row % 2 else (),
        )
        for row, name in enumerate(names)
    ]


@SOME
@given(NUMBERS, st.sampled_from(("drbd", "plain", "rbd")))
def test_several_new_instances(number: int, template: str) -> None:
    facts = any_cluster(number)
    asked = requests_for(facts, template)
    found = multi_allocate(model.build(facts), asked, Options())
    watched = Watched(knows(model.build(facts), asked))
    for request, one in zip(asked, found.allocations, strict=True):
        if not one.nodes:
            assert one.info
            continue
        assert len(set(one.nodes)) == len(one.nodes) == (2 if template == "drbd" else 1)
        numbers = [watched.cluster.node_number[node] for node in one.nodes]
        assert watched.cluster.nodes.usable[numbers].all()
        before = watched.usage.copy()
        item = item_of(watched.cluster, request)
        watched.usage.put(item, numbers[0], (*numbers, model.NOWHERE)[1], 1)
        watched.judged(before)


@settings(max_examples=8, deadline=None)
@given(NUMBERS, st.sampled_from(("drbd", "plain", "rbd")), st.booleans())
def test_filling(number: int, template: str, tiered: bool) -> None:
    facts = any_cluster(number)
    cluster = model.build(facts)
    options = CapacityOptions(template=template, tiered=tiered, limit=30)
    found = capacity(cluster, options)
    watched = Watched(cluster)
    specs: list[Spec] = [one.spec for one in found.fitted for _ in range(one.count)]
    assert len(specs) == len(found.placements) == found.count <= 30
    for spec, nodes in zip(specs, found.placements, strict=True):
        before = watched.usage.copy()
        request = Request(
            name="new", memory_mib=spec.memory_mib, vcpus=spec.vcpus,
            disk_sizes_mib=(spec.disk_mib,), disk_mib=spec.disk_mib, template=template,
            spindles=spec.spindles,
        )  # fmt: skip
        assert len(set(nodes)) == len(nodes) == (2 if template == INTERNAL_MIRROR else 1)
        numbers = [cluster.node_number[node] for node in nodes]
        watched.usage.put(item_of(cluster, request), numbers[0], (*numbers, model.NOWHERE)[1], 1)
        watched.judged(before)
    wide = capacity(cluster, msgspec.structs.replace(options, limit=None, tiered=True))
    same = capacity(
        cluster, msgspec.structs.replace(options, limit=None, tiered=True, as_hspace=True)
    )
    assert wide.fitted[: len(same.fitted) - 1] == same.fitted[:-1], "the same way, but further"
    assert wide.count >= same.count


@SOME
@given(NUMBERS, st.sampled_from(("primary-only", "secondary-only", "all")))
def test_evacuation_and_balance(number: int, mode: str) -> None:
    facts = any_cluster(number)
    cluster = model.build(facts)
    leaving = [one.name for one in facts.instances if "n0" in (one.primary, one.secondary)]
    Watched(cluster).moves(evacuate(cluster, leaving, mode).moves)  # type: ignore[arg-type]
    for group in facts.groups:
        Watched(cluster).moves(balance(cluster, BalanceOptions(group=group.uuid)).moves)


@SOME
@given(NUMBERS)
def test_another_group(number: int) -> None:
    facts = any_cluster(number)
    if len(facts.groups) < 2:
        return
    cluster = model.build(facts)
    group = {node.name: node.group for node in facts.nodes}
    leaving = [one.name for one in facts.instances if group[one.primary] == "u0"]
    found = change_group(cluster, leaving, ["u1"])
    watched = Watched(cluster)
    # on the way an instance spans two groups; what counts is where it ends
    for move in found.moves:
        assert len(set(move.new)) == len(move.new)
        watched.places[move.instance] = move.new
    for name, uuid, nodes in found.placed:
        assert watched.places[name] == nodes
        assert {group[node] for node in nodes} == {uuid} == {"u1"}
    ended = [one for one in facts.instances if one.name in dict(found.failed)]
    assert all(watched.places[one.name][0] == one.primary for one in ended)


@SOME
@given(NUMBERS)
def test_squeezing_and_reboots(number: int) -> None:
    facts = any_cluster(number)
    cluster = model.build(facts)
    plan = squeeze(cluster, SqueezeOptions(minimal_resources=0.5, target_resources=1))
    if plan.action == "power_down":
        smaller = model.without(cluster, plan.nodes)
        watched = Watched(smaller)
        for one in plan.plans:
            watched.moves(one.moves)
        movable = cluster.instances.movable
        for row, one in enumerate(facts.instances):
            assert not movable[row] or not set(watched.places[one.name]) & set(plan.nodes)
    for full in (False, True):
        reboots = reboot_plan(
            cluster, RebootOptions(full_evacuation=full, ignore_non_redundant=True)
        )
        for batch, moves in zip(reboots.batches, reboots.moves, strict=True):
            ended = {}
            for move in moves:
                assert len(set(move.new)) == len(move.new)
                ended[move.instance] = move.new
            for name, nodes in ended.items():
                away = set(nodes) if full else {nodes[0]}
                assert not away & set(batch), f"{name} is left on a node that goes down"
