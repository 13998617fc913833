"""Where new instances go, and what is said of every node."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusterd.placement import model, score
from clusterd.placement.allocate import allocate, multi_allocate
from clusterd.placement.errors import BadRequest
from clusterd.placement.facts import (
    ClusterFacts,
    GroupFacts,
    InstanceFacts,
    NodeFacts,
    PolicyFacts,
)
from clusterd.placement.mirror import allocate_secondary
from clusterd.placement.model import NOWHERE
from clusterd.placement.options import Options, Request
from clusterd.placement.redundancy import failing_globally
from clusterd.placement.requests import item_of, knows
from clusterd.placement.results import Allocation
from clusterd.placement.usage import DISK, MEMORY, Usage
from tests.unit.placement_clusters import RANGE, any_cluster

LENIENT = Options(capacity_checks=False)


def node(name: str, free: int = 8000, **more: object) -> NodeFacts:
    fields = {
        "name": name,
        "group": "u",
        "memory_total_mib": 10000,
        "memory_node_mib": 10000 - free,
        "memory_free_mib": free,
        "disk_total_mib": 100000,
        "disk_free_mib": 90000,
        "cpus": 8,
        "spindles": 8,
    }
    return msgspec.convert(fields | more, NodeFacts)


def cluster_of(*nodes: NodeFacts, **more: object) -> ClusterFacts:
    groups = (GroupFacts(name="g", uuid="u"),)
    return msgspec.structs.replace(ClusterFacts(groups=groups, nodes=nodes), **more)


def want(**more: object) -> Request:
    request = Request(name="web9", memory_mib=2048, vcpus=1, disk_sizes_mib=(10240,))
    return msgspec.structs.replace(request, **more)


def reasons(found: Allocation, name: str) -> str:
    return next(one for one in found.verdicts if one.node == name).sentence()


def test_every_node_has_a_verdict() -> None:
    facts = cluster_of(
        node("n1"),
        node("n2"),
        node("n3", free=1536),
        node("n4", offline=True),
        node("n5", drained=True),
        node("n6", disk_free_mib=500),
    )
    found = allocate(model.build(facts), want())
    assert set(found.nodes) == {"n1", "n2"}
    assert {one.node: one.verdict for one in found.verdicts} == {
        "n1": "chosen",
        "n2": "chosen",
        **dict.fromkeys(("n3", "n4", "n5", "n6"), "refused"),
    }
    assert reasons(found, "n3") == (
        "n3: refused: as primary: memory short by 512 MiB; as secondary: memory short by 512 MiB"
    )
    assert reasons(found, "n4") == "n4: refused: offline"
    assert reasons(found, "n5") == "n5: refused: drained"
    assert "as primary: disk short by 9868 MiB" in reasons(found, "n6")


def tagged(name: str, primary: str, *tags: str, template: str = "plain") -> InstanceFacts:
    return InstanceFacts(
        name=name,
        memory_mib=100,
        disk_mib=100,
        vcpus=1,
        primary=primary,
        template=template,
        tags=tags,
    )


def test_an_exclusion_tag_names_who_has_it() -> None:
    facts = cluster_of(
        node("n1", memory_free_mib=7900, disk_free_mib=89900),
        node("n2"),
        instances=(tagged("web3", "n1", "db"),),
        tags=("htools:iextags:db",),
    )
    found = allocate(model.build(facts), want(template="plain", tags=("db",)), LENIENT)
    assert found.nodes == ("n2",)
    assert reasons(found, "n1") == "n1: refused: excluded by tag db with web3"


def test_instances_of_one_request_exclude_each_other() -> None:
    facts = cluster_of(node("n1"), node("n2"), tags=("htools:iextags:db",))
    asked = [want(name=f"db{row}", template="plain", tags=("db",)) for row in range(3)]
    found = multi_allocate(model.build(facts), asked, LENIENT)
    assert sorted(one.nodes for one in found.allocations) == [(), ("n1",), ("n2",)]
    assert found.failed == ("db2",)
    assert "an instance of the same request" in reasons(found.allocations[2], "n1")


def test_what_would_break_n1_is_said_with_the_peer() -> None:
    facts = cluster_of(
        node("n1", memory_free_mib=8000 - 3000, disk_free_mib=89000),
        node("n2", free=4000, disk_free_mib=89000),
        instances=(
            InstanceFacts(
                name="big",
                memory_mib=3000,
                disk_mib=1000,
                vcpus=1,
                primary="n1",
                secondary="n2",
            ),
        ),
    )
    found = allocate(model.build(facts), want(template="plain"), LENIENT)
    assert found.nodes == ("n1",)
    assert reasons(found, "n2") == (
        "n2: refused: not N+1: 1048 MiB short of the 3000 MiB kept for the failure of n1"
    )


def test_the_policy_and_the_network_close_whole_groups() -> None:
    policy = PolicyFacts(std=RANGE[0], ranges=(RANGE,), templates=("plain",))
    facts = cluster_of(
        node("a1"),
        node("b1", group="v"),
        node("c1", group="w"),
        node("d1", group="x"),
        groups=(
            GroupFacts(name="small", uuid="u", policy=policy, networks=("net",)),
            GroupFacts(name="offside", uuid="v"),
            GroupFacts(name="closed", uuid="w", alloc_policy="unallocable", networks=("net",)),
            GroupFacts(name="spare", uuid="x", alloc_policy="last_resort", networks=("net",)),
        ),
    )
    cluster = model.build(facts)
    found = allocate(cluster, want(template="rbd", networks=("net",)), LENIENT)
    assert (found.nodes, found.group) == (("d1",), "x")
    assert reasons(found, "a1").endswith("policy of group small: disk template rbd is not allowed")
    assert reasons(found, "b1").endswith("group offside is not connected to network net")
    assert reasons(found, "c1").endswith("group closed is unallocable")
    assert allocate(cluster, want(template="plain", networks=("net",)), LENIENT).group == "u"
    assert allocate(cluster, want(template="plain", group="closed"), LENIENT).nodes == ("c1",)
    too_big = allocate(cluster, want(memory_mib=64000, template="plain", group="spare"), LENIENT)
    assert "memory-size 64000 is not in 128 to 32768" in reasons(too_big, "d1")


def test_the_failure_of_any_node_must_stay_survivable() -> None:
    facts = cluster_of(node("n1"), node("n2"))
    full = allocate(model.build(facts), want(memory_mib=7000, template="rbd"))
    assert full.nodes
    two = multi_allocate(
        model.build(facts), [want(name=name, memory_mib=5000, template="rbd") for name in "ab"]
    )
    assert two.failed == ("b",)
    assert "could no longer be made up for" in two.allocations[1].verdicts[1].sentence()


def test_a_mirror_is_found_for_what_has_none() -> None:
    facts = cluster_of(
        node("n1", memory_free_mib=7900, disk_free_mib=89900),
        node("n2", free=50),
        node("n3"),
        instances=(tagged("web3", "n1"),),
    )
    found = allocate_secondary(model.build(facts), "web3")
    assert found.nodes == ("n3",)
    assert reasons(found, "n1").endswith("it is the primary node")
    assert "memory short by 50 MiB" in reasons(found, "n2")
    with pytest.raises(BadRequest, match="no instance nobody"):
        allocate_secondary(model.build(facts), "nobody")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (want(template="floppy"), "unknown disk template 'floppy'"),
        (want(memory_mib=-1), "memory -1 is no possible size"),
        (want(disk_sizes_mib=(1 << 60,)), "disk .* is no possible size"),
        (want(group="nowhere"), "There is no group nowhere"),
    ],
)
def test_impossible_requests_are_refused(request_: Request, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        allocate(model.build(cluster_of(node("n1"))), request_)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100000), st.sampled_from(("drbd", "plain", "rbd")), st.booleans())
def test_what_is_chosen_is_best_and_breaks_nothing(
    number: int, template: str, capacity: bool
) -> None:
    cluster = model.build(any_cluster(number))
    request = want(template=template, tags=("db:a",), spindles=1)
    found = allocate(cluster, request, Options(capacity_checks=capacity))
    assert found == allocate(cluster, request, Options(capacity_checks=capacity))
    if not found.nodes:
        assert all(one.verdict != "chosen" for one in found.verdicts)
        return
    known = knows(cluster, [request])
    usage = Usage(known)
    rows = [cluster.node(name) for name in found.nodes]
    assert len(set(rows)) == len(rows) == (2 if template == "drbd" else 1)
    failing = usage.failing.copy()
    usage.put(item_of(known, request), rows[0], rows[1] if len(rows) > 1 else NOWHERE, 1)
    assert found.score == pytest.approx(score.weighed(score.components_of(usage)), abs=1e-6)
    assert all(usage.amounts[MEMORY, row] > 0 for row in rows)
    assert template == "rbd" or all(usage.amounts[DISK, row] > 0 for row in rows)
    assert all(cluster.nodes.usable[row] for row in rows)
    assert not (usage.failing & ~failing)[rows].any()
    assert not capacity or not failing_globally(usage)
    fits = [one.score for one in found.verdicts if one.score is not None]
    assert capacity or min(fits) == pytest.approx(found.score)
    assert {one.node for one in found.verdicts} == set(cluster.nodes.names)
    assert np.isfinite(fits).all()
