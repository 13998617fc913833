"""Getting instances away, and how much more fits."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.htools import simulated
from clusterd.placement import model
from clusterd.placement.capacity import capacity
from clusterd.placement.errors import BadRequest
from clusterd.placement.evacuate import change_group, evacuate, relocate
from clusterd.placement.facts import ClusterFacts, GroupFacts, Spec
from clusterd.placement.options import CapacityOptions, EvacuationMode, Options
from clusterd.placement.results import Evacuation, Fitted
from tests.acceptance import htools_data
from tests.bench.clusters import generate
from tests.unit.placement_clusters import any_cluster

MODES: tuple[EvacuationMode, ...] = ("primary-only", "secondary-only", "all")


def replay(found: Evacuation, places: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Where the instances are after the moves."""
    for move in found.moves:
        assert places[move.instance] == move.old
        assert len(set(move.new)) == len(move.new), "an instance on its own mirror"
        places[move.instance] = move.new
    return places


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100000), st.sampled_from(MODES))
def test_what_leaves_is_elsewhere_and_the_rest_says_why_not(
    number: int, mode: EvacuationMode
) -> None:
    facts = any_cluster(number)
    cluster = model.build(facts)
    wanted = [one.name for one in facts.instances if one.primary == "n0" or one.secondary == "n0"]
    found = evacuate(cluster, wanted, mode)
    assert found == evacuate(cluster, wanted, mode)
    before = {
        one.name: tuple(node for node in (one.primary, one.secondary) if node)
        for one in facts.instances
    }
    after = replay(found, dict(before))
    assert sorted(
        [name for name, *_ in found.placed] + [name for name, _ in found.failed]
    ) == sorted(wanted)
    for name, _, nodes in found.placed:
        assert after[name] == nodes
        assert nodes[0] != before[name][0] or mode == "secondary-only"
        assert mode == "primary-only" or set(nodes).isdisjoint(before[name][1:])
    for name, why in found.failed:
        assert after[name] == before[name]
        assert why


def test_relocation_leaves_the_secondary() -> None:
    facts = generate(20, 200, "even")
    cluster = model.build(facts)
    one = facts.instances[0]
    found = relocate(cluster, one.name, [one.secondary])
    assert found.placed[0][2][0] == one.primary
    assert found.placed[0][2][1] != one.secondary
    verdicts = {said.node: said for said in found.verdicts[one.name]}
    assert len(verdicts) == 20
    assert verdicts[found.placed[0][2][1]].verdict == "chosen"
    assert "present nodes" in verdicts[one.primary].sentence()
    with pytest.raises(BadRequest, match="can be relocated from"):
        relocate(cluster, one.name, [one.primary])


def test_evacuation_is_as_good_as_that_of_hail_3_0_2() -> None:
    facts = generate(20, 200, "even")
    first = facts.nodes[0].name
    leaving = [one.name for one in facts.instances if one.secondary == first]
    found = evacuate(model.build(facts), leaving, "secondary-only")
    assert not found.failed
    assert all(first not in nodes for _, _, nodes in found.placed)
    assert sum(len(one.moves) for one in found.job_sets) == len(found.moves)


def test_another_group_takes_over() -> None:
    facts = generate(20, 100, "even")
    groups = (facts.groups[0], GroupFacts(name="other", uuid="v"))
    nodes = [
        msgspec.structs.replace(one, name=f"x{row}", group="v", disk_free_mib=one.disk_total_mib)
        for row, one in enumerate(facts.nodes[:4])
    ]
    both = msgspec.structs.replace(facts, groups=groups, nodes=(*facts.nodes, *nodes))
    found = change_group(model.build(both), ["instance00001"])
    assert [(name, group) for name, group, _ in found.placed] == [("instance00001", "v")]
    assert [move.steps for move in found.moves][1] == ("f",)
    assert all(node.startswith("x") for node in found.placed[0][2])
    with pytest.raises(BadRequest, match="no other group"):
        change_group(model.build(facts), ["instance00001"])


def test_a_group_without_its_networks_is_passed_over() -> None:
    facts = generate(20, 100, "even")
    groups = (
        facts.groups[0],
        GroupFacts(name="apart", uuid="v"),
        GroupFacts(name="wired", uuid="w", alloc_policy="last_resort", networks=("net",)),
    )
    nodes = [
        msgspec.structs.replace(
            one, name=f"x{row}", group="v" if row % 2 else "w", disk_free_mib=one.disk_total_mib
        )
        for row, one in enumerate(facts.nodes[:6])
    ]
    first, *rest = facts.instances
    wired = msgspec.structs.replace(first, networks=("net",))
    both = msgspec.structs.replace(
        facts, groups=groups, nodes=(*facts.nodes, *nodes), instances=(wired, *rest)
    )
    cluster = model.build(both)
    found = change_group(cluster, [first.name])
    assert [group for _name, group, _nodes in found.placed] == ["w"]
    apart = [one for one in found.verdicts[first.name] if one.group == "apart"]
    assert {one.refusals[0].reason for one in apart} == {"network"}
    assert len(apart) == 3
    kept = change_group(cluster, [first.name], ["apart"])
    assert kept.failed == ((first.name, "group apart is not connected to network net"),)
    assert not kept.moves


HSPACE_STANDARD = 624
HSPACE_TIERED = (
    "32768,994048,8,12=1 32768,983808,8,12=1 32768,953088,8,12=2 32768,932608,8,12=1"
    " 32768,922368,8,12=1 32768,881408,8,12=1 31680,881408,8,12=1 30144,871168,8,12=1"
    " 30144,840448,8,12=1 7104,20480,8,12=1 7104,10240,8,12=1 6656,1024,8,12=1 4544,1024,8,12=1"
    " 2560,1024,8,12=1 2048,1024,8,12=1 1472,1024,8,12=1"
)
"""What it prints as HTS_TSPEC: memory, disk, CPUs, spindles, count."""


def told(fitted: tuple[Fitted, ...]) -> str:
    return " ".join(
        f"{one.spec.memory_mib},{one.spec.disk_mib},{one.spec.vcpus},{one.spec.spindles}"
        f"={one.count}"
        for one in fitted
    )


def test_as_much_fits_as_hspace_3_0_2_says() -> None:
    cluster = model.build(generate(20, 200, "even"))
    standard = capacity(cluster)
    assert standard.count == HSPACE_STANDARD
    assert standard.before.instances == 200
    assert standard.after.instances == 200 + HSPACE_STANDARD
    assert standard.after.memory_free < standard.before.memory_free
    same = capacity(cluster, CapacityOptions(tiered=True, as_hspace=True))
    assert told(same.fitted) == HSPACE_TIERED
    further = capacity(cluster, CapacityOptions(tiered=True))
    assert told(further.fitted).startswith(HSPACE_TIERED), "the same sizes, and then more"
    assert further.count >= same.count


def test_sizes_between_ranges_groups_and_limits() -> None:
    """Each range of the policy is begun with; a closed group gets nothing; a limit is kept."""
    facts = generate(20, 200, "even")
    small = Spec(memory_mib=512, vcpus=1, disk_mib=2048, disks=16, nics=8, spindles=12)
    low, high = facts.policy.ranges[0]
    policy = msgspec.structs.replace(facts.policy, ranges=((low, small), (low, high)))
    groups = tuple(msgspec.structs.replace(one, policy=policy) for one in facts.groups)
    facts = msgspec.structs.replace(facts, groups=groups, policy=policy)
    cluster = model.build(facts)
    options = CapacityOptions(tiered=True, limit=30)
    assert capacity(cluster, options).fitted[0].spec.memory_mib > small.memory_mib
    same = capacity(cluster, msgspec.structs.replace(options, as_hspace=True))
    assert same.fitted == (Fitted(small, 30),), "hspace begins with the first range"
    closed = msgspec.structs.replace(options, closed_groups=("group-uuid",))
    assert capacity(cluster, closed).count == 0
    greedy = msgspec.structs.replace(options, spindle_use=100)
    assert capacity(cluster, greedy).failures == {"exclusive": 20 * 19}


def test_capacity_ends_where_asked() -> None:
    cluster = model.build(generate(20, 200, "even"))
    assert capacity(cluster, CapacityOptions(limit=7)).count == 7
    spec = Spec(memory_mib=512, vcpus=1, disk_mib=1024)
    asked = iter((True, True, True, False))
    found = capacity(cluster, CapacityOptions(spec=spec, limit=50), lambda: next(asked))
    assert found.count == 3
    shared = CapacityOptions(spec=spec, template="rbd", limit=3, options=Options())
    assert [len(nodes) for nodes in capacity(cluster, shared).placements] == [1, 1, 1]
    with pytest.raises(BadRequest, match="impossible"):
        capacity(cluster, CapacityOptions(limit=-1))


def test_many_nodes_are_filled_by_rounds_that_keep_to_the_limits() -> None:
    cluster = model.build(generate(80, 800, "even"))
    found = capacity(cluster, CapacityOptions(limit=200))
    assert found.count == 200
    assert found.after.score < found.before.score
    assert found.after.memory_available > 0


def test_a_limited_answer_about_many_nodes_is_that_of_hspace_3_0_2() -> None:
    """``hspace --simulate p,256,100g,4g,4 --standard-alloc 20g,1500m,1 -l 3`` by DRBD."""
    cluster = model.build(simulated.facts(["p,256,100g,4g,4"]))
    spec = Spec(memory_mib=1500, vcpus=1, disk_mib=20480)
    found = capacity(cluster, CapacityOptions(spec=spec, limit=3, as_hspace=True, all_nodes=True))
    assert found.count == 3
    assert found.after.score == pytest.approx(0.76856887, abs=1e-8)


def exclusive() -> ClusterFacts:
    facts = htools_data.cluster(5, 10, 3)
    return msgspec.structs.replace(
        facts,
        nodes=tuple(
            msgspec.structs.replace(one, exclusive_storage=True, spindles=40, spindles_free=30)
            for one in facts.nodes
        ),
        instances=tuple(msgspec.structs.replace(one, spindles=1) for one in facts.instances),
    )


def test_mirrors_on_exclusive_storage_are_counted_by_hspace_and_refused_by_ganeti() -> None:
    options = CapacityOptions(limit=4, as_hspace=True, all_nodes=True)
    strict = capacity(model.build(exclusive()), options)
    assert (strict.count, list(strict.failures)) == (0, ["exclusive"])
    like_hspace = model.build(exclusive(), model.Tuning(exclusive_mirrors=True))
    found = capacity(like_hspace, options)
    assert found.count == 4
    assert found.after.score == pytest.approx(1.78654481, abs=1e-8), "that of hspace 3.0.2"


@pytest.mark.parametrize(
    ("shape", "tiers"),
    [
        ((4, 8, 5, 0), "32768,1048576=3 29632,920576=1 28608,920576=1"),
        ((4, 12, 6, 1), "32768,1048576=3 27072,900096=1 25536,900096=1 4096,30720=1"),
        (
            (6, 30, 1, 0),
            "32768,1048576=5 28096,930816=1 27072,910336=1 26560,879616=1 1536,859136=1"
            " 1536,695296=1",
        ),
    ],
)
def test_tiers_of_plain_disks_are_those_of_hspace_3_0_2(
    shape: tuple[int, int, int, int], tiers: str
) -> None:
    """Which depend on how it empties nodes, and on offline nodes being places to it."""
    nodes, instances, seed, offline = shape
    facts = htools_data.cluster(nodes, instances, seed, offline=offline)
    cluster = model.build(htools_data.unmirrored(facts, "plain"))
    asked = CapacityOptions(
        template="plain", tiered=True, as_hspace=True, options=Options(as_htools=True)
    )
    found = capacity(cluster, asked)
    told = [f"{one.spec.memory_mib},{one.spec.disk_mib}={one.count}" for one in found.fitted]
    assert " ".join(told) == tiers
