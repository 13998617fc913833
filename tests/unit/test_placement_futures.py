"""What if, rolling reboots, powering nodes up and down, health."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterd.placement import model
from clusterd.placement.check import check
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import ClusterFacts, InstanceFacts, NodeFacts
from clusterd.placement.options import Change, RebootOptions, Request, SqueezeOptions
from clusterd.placement.reboots import reboot_plan
from clusterd.placement.squeeze import squeeze
from clusterd.placement.what_if import what_if
from tests.bench.clusters import generate
from tests.unit.placement_clusters import any_cluster
from tests.unit.test_placement_allocate import cluster_of, node

ALL_OF_IT = settings(max_examples=40, deadline=None)


def one(name: str, primary: str, secondary: str = "", **more: object) -> InstanceFacts:
    fields = {
        "name": name,
        "memory_mib": 1000,
        "disk_mib": 1000,
        "vcpus": 1,
        "primary": primary,
        "secondary": secondary,
        "template": "drbd" if secondary else "rbd",
    }
    return msgspec.convert(fields | more, InstanceFacts)


def used(name: str, memory: int, disk: int = 0, **more: object) -> NodeFacts:
    fields = {"memory_free_mib": 8000 - memory, "disk_free_mib": 90000 - disk}
    return node(name, **(fields | more))


def rack() -> ClusterFacts:
    """Two racks of two nodes."""
    return cluster_of(
        used("n1", 3000, 2000, tags=["rack:1"]),
        used("n2", 1000, 1000, tags=["rack:1"]),
        used("n3", 6500, 2000, tags=["rack:2"]),
        used("n4", 0, 0, tags=["rack:2"]),
        instances=(
            one("web", "n1", "n3"),
            one("shared", "n1"),
            one("local", "n1", template="plain"),
            one("twin", "n2", "n1"),
            one("big", "n3", memory_mib=6500),
            one("behind", "n4", "n3", memory_mib=10, status="ADMIN_down"),
        ),
    )


def test_the_loss_of_a_node_restarts_what_can() -> None:
    found = what_if(model.build(rack()), Change(lose_nodes=("n1",)))
    assert [(each.instance, each.node, each.how) for each in found.restarts] == [
        ("web", "n3", "failover"),
        ("shared", "n4", "start"),
    ]
    assert [(each.instance, each.why) for each in found.lost] == [
        ("local", "its disks are on n1 only")
    ]
    assert found.degraded == ("web", "twin"), "one on its former mirror, one that lost its own"
    assert found.score_after > found.score_before


def test_the_loss_of_a_rack_takes_mirrors_along() -> None:
    found = what_if(model.build(rack()), Change(lose_node_tags=("rack:2",)))
    assert found.degraded == ("web",)
    assert [each.instance for each in found.restarts] == ["big"]
    lost = what_if(model.build(rack()), Change(lose_nodes=("n1", "n3")))
    assert {each.instance: each.why for each in lost.lost}["web"] == (
        "its mirror on n3 is lost or offline, too"
    )
    with pytest.raises(BadRequest, match="No node has the tag rack:9"):
        what_if(model.build(rack()), Change(lose_node_tags=("rack:9",)))
    with pytest.raises(BadRequest, match="no node n9"):
        what_if(model.build(rack()), Change(lose_nodes=("n9",)))


def test_what_does_not_fit_is_told_with_the_shortage() -> None:
    facts = cluster_of(
        used("n1", 3000, 1000),
        used("n2", 7500, 1000),
        instances=(one("web", "n1", "n2", memory_mib=3000), one("full", "n2", memory_mib=7500)),
    )
    found = what_if(model.build(facts), Change(lose_nodes=("n1",)))
    assert found.restarts == ()
    assert found.lost[0].why == "its mirror n2 cannot run it: memory short by 2500 MiB"


def test_forty_of_a_flavour_and_new_nodes() -> None:
    more = tuple(node(f"new{row}") for row in range(8))
    like = Request(name="f", memory_mib=512, vcpus=1, disk_sizes_mib=(2000,))
    flavour = [msgspec.structs.replace(like, name=f"f{row}") for row in range(40)]
    small = what_if(model.build(rack()), Change(add_instances=tuple(flavour)))
    large = what_if(model.build(rack()), Change(add_instances=tuple(flavour), add_nodes=more))
    assert sum(bool(each.nodes) for each in small.allocations) < 40
    assert all(each.nodes for each in large.allocations)
    assert {name for each in large.allocations for name in each.nodes} & {"new0", "new7"}


@ALL_OF_IT
@given(st.integers(0, 100000))
def test_everything_that_ran_restarts_or_is_told_as_lost(number: int) -> None:
    facts = any_cluster(number)
    cluster = model.build(facts)
    found = what_if(cluster, Change(lose_nodes=("n0",)))
    ran = {
        each.name
        for row, each in enumerate(facts.instances)
        if each.primary == "n0" and cluster.instances.memory_used[row] > 0
    }
    told = [each.instance for each in (*found.restarts, *found.lost)]
    assert sorted(told) == sorted(ran)
    assert all(each.node != "n0" for each in found.restarts)


@ALL_OF_IT
@given(st.integers(0, 100000), st.booleans())
def test_no_batch_holds_an_instance_and_its_mirror(number: int, maintenance: bool) -> None:
    facts = any_cluster(number)
    options = RebootOptions(offline_maintenance=maintenance, ignore_non_redundant=True)
    plan = reboot_plan(model.build(facts), options)
    online = {each.name for each in facts.nodes if not each.offline}
    seen = [name for batch in plan.batches for name in batch]
    assert sorted(seen + [name for name, _ in plan.skipped]) == sorted(online)
    for batch in plan.batches:
        for each in facts.instances:
            assert not {each.primary, each.secondary} <= set(batch)
        if not maintenance:
            pairs = {
                (each.primary, each.secondary)
                for each in facts.instances
                if each.primary in batch and each.secondary
            }
            assert len({second for _, second in pairs}) == len(pairs), "two fail onto one"
    if seen and "n0" in seen:
        assert plan.batches[-1][-1] == "n0", "the master goes last"


def test_what_is_shared_leaves_before_its_node_goes_down() -> None:
    plan = reboot_plan(model.build(rack()))
    assert ("n1", "instance local has its disks on this node only") in plan.skipped
    moved = {move.instance for batch in plan.moves for move in batch}
    assert "big" in moved
    one_step = reboot_plan(model.build(rack()), RebootOptions(one_step_only=True))
    assert len(one_step.batches) == 1
    tagged = reboot_plan(
        model.build(rack()), RebootOptions(node_tags=("rack:2",), ignore_non_redundant=True)
    )
    assert {name for batch in tagged.batches for name in batch} <= {"n3", "n4"}


def test_spare_nodes_are_powered_down_and_up() -> None:
    nodes = [used(f"n{row}", 1000 if row < 2 else 0, master=row == 0) for row in range(6)]
    facts = cluster_of(*nodes, instances=(one("a", "n0"), one("b", "n1")))
    down = squeeze(model.build(facts), SqueezeOptions(minimal_resources=1, target_resources=10))
    assert down.action == "power_down"
    assert "n0" not in down.nodes
    assert 1 <= len(down.nodes) < 6
    tight = cluster_of(
        used("n0", 7990, master=True),
        used("n1", 0, offline=True, tags=["htools:standby:auto"]),
        instances=(one("a", "n0", memory_mib=7000), one("b", "n0", memory_mib=990)),
    )
    up = squeeze(model.build(tight), SqueezeOptions(minimal_resources=1, target_resources=2))
    assert (up.action, up.nodes) == ("power_up", ("n1",))
    with pytest.raises(BadRequest, match="must not exceed"):
        squeeze(model.build(tight), SqueezeOptions(minimal_resources=3, target_resources=2))


def test_health_is_counted_as_hcheck_does() -> None:
    cluster = model.build(generate(20, 200, "mild"))
    found = check(cluster)
    group = found.groups[0]
    assert not found.healthy
    assert len(group.n1_failing) > 0
    assert group.needs_rebalance
    assert group.after is not None
    assert group.after.components_after["n1_cnt"] == 0
    good = check(model.build(generate(20, 200, "even")), simulate=False)
    assert good.groups[0].n1_failing == ()
    assert good.groups[0].after is None


@ALL_OF_IT
@given(st.integers(0, 100000))
def test_health_names_what_is_on_offline_nodes(number: int) -> None:
    facts = any_cluster(number)
    offline = {each.name for each in facts.nodes if each.offline}
    found = check(model.build(facts), simulate=False)
    told = sorted(name for group in found.groups for name in group.offline_primary)
    assert told == sorted(each.name for each in facts.instances if each.primary in offline)
    assert found.split == ()
