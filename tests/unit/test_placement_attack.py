"""Bad input at every entry: files cut short or garbled, impossible sizes, unknown words, policies
that contradict. Each is refused with a sentence, or understood; nothing else may come out."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.htools import mond, simulated
from clusterd.iallocator import answers, builtin, reading, render
from clusterd.iallocator.requests import (
    Allocate,
    AllocateSecondary,
    ChangeGroup,
    MultiAllocate,
    NewInstance,
    NodeEvacuate,
    Relocate,
)
from clusterd.placement import model, text_format
from clusterd.placement.balance import balance
from clusterd.placement.capacity import capacity
from clusterd.placement.check import check
from clusterd.placement.errors import BadCluster, BadRequest
from clusterd.placement.facts import DEFAULT_POLICY, ClusterFacts, PolicyFacts
from clusterd.placement.options import BalanceOptions, CapacityOptions, Change, RebootOptions
from clusterd.placement.reboots import reboot_plan
from clusterd.placement.score import total
from clusterd.placement.squeeze import squeeze
from clusterd.placement.what_if import what_if
from jobqueue.errors import Refused
from tests.acceptance import htools_data
from tests.unit.placement_clusters import any_cluster

SOME = settings(max_examples=60, deadline=None)
ODD = ("", "-1", "-", "?", "x", "1e308", "nan", "inf", "-inf", "99999999999999999999", "0", "é",
       "1.5", "|", ",", ";", "Y", "N", " 7", "\u0661")  # fmt: skip
ODD_JSON: tuple[Any, ...] = (
    None, -1, 10**18, 10**40, 1.5, "", "x", [], {}, [None], True, "nosuch", -(2**63), 2**63,
)  # fmt: skip


def sentence(refused: Exception, told: str = "") -> None:
    """It says something."""
    assert str(refused)
    assert told in str(refused)


def garbled(text: str, seed: int) -> str:
    """The file with a few fields, lines or sections changed."""
    chance = random.Random(seed)
    lines = [line.split("|") for line in text.split("\n")]
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        match chance.randrange(5):
            case 0 | 1:
                lines[at][chance.randrange(len(lines[at]))] = chance.choice(ODD)
            case 2:
                lines[at] = lines[at][: chance.randrange(len(lines[at]))] or [""]
            case 3:
                lines.insert(at, list(chance.choice(lines)))
            case _:
                del lines[at:]
                lines.append([""])
    return "\n".join("|".join(fields) for fields in lines)


def used(facts: ClusterFacts) -> None:
    """Everything that is asked of a cluster; only Refused may come out."""
    cluster = model.build(facts)
    questions: tuple[Callable[[], Any], ...] = (
        lambda: total(cluster),
        lambda: check(cluster, simulate=False),
        lambda: balance(cluster, BalanceOptions(group=facts.groups[0].uuid, max_moves=2)),
        lambda: capacity(cluster, CapacityOptions(limit=2)),
        lambda: capacity(cluster, CapacityOptions(tiered=True, limit=1, template="rbd")),
        lambda: what_if(cluster, Change(lose_nodes=(facts.nodes[0].name,))),
        lambda: reboot_plan(cluster, RebootOptions(ignore_non_redundant=True)),
        lambda: squeeze(cluster),
    )
    for ask in questions:
        try:
            ask()
        except (BadRequest, BadCluster) as refused:
            sentence(refused)


@SOME
@given(st.integers(0, 400), st.integers(0, 1_000_000))
def test_a_garbled_file_is_refused_by_line_or_object_or_understood(number: int, seed: int) -> None:
    text = garbled(text_format.render(any_cluster(number)), seed)
    try:
        facts = text_format.parse(text)
    except BadCluster as refused:
        sentence(refused)
        return
    if facts.groups and facts.nodes:
        used(facts)


@SOME
@given(st.text(max_size=60))
def test_words_that_are_no_specification(text: str) -> None:
    for read in (
        simulated.size_mib,
        lambda one: simulated.facts([one]),
        mond.parse,
        text_format.parse,
        text_format.parse_utilisation,
        reading.read,
    ):
        try:
            read(text)
        except Refused as refused:
            sentence(refused)


def asked(kind: int) -> dict[str, Any]:
    facts = htools_data.cluster(4, 8, 5)
    first = facts.instances[0]
    requests: tuple[dict[str, Any], ...] = (
        htools_data.new_instance("new1"),
        {"type": "multi-allocate", "instances": [htools_data.new_instance("new1")]},
        {"type": "relocate", "name": first.name, "relocate_from": [first.secondary]},
        {"type": "node-evacuate", "evac_mode": "all", "instances": [first.name]},
        {"type": "change-group", "target_groups": [], "instances": [first.name]},
        {"type": "allocate-secondary", "name": first.name},
    )
    return htools_data.request(facts, requests[kind % len(requests)])


def places_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path]
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        if isinstance(child, dict | list):
            found += places_of(child, (*path, key))
        else:
            found.append((*path, key))
    return found


@SOME
@given(st.integers(0, 5), st.integers(0, 1_000_000))
def test_a_garbled_request_is_answered(kind: int, seed: int) -> None:
    chance, body = random.Random(seed), asked(kind)
    for _ in range(chance.randint(1, 2)):
        *way, last = chance.choice(places_of(body)[1:])
        spot: Any = body
        try:
            for key in way:
                spot = spot[key]
            if chance.random() < 0.3:
                del spot[last]
            else:
                spot[last] = chance.choice(ODD_JSON)
        except (KeyError, IndexError, TypeError):
            continue
    try:
        facts, request = reading.read(json.dumps(body))
        answer = builtin.answer(facts, request)
    except Refused as refused:
        sentence(refused)
        return
    json.loads(render.answer_text(request, answer))


NEW = NewInstance(
    name="new1", disk_template="drbd", vcpus=1, memory_mib=512, disk_sizes_mib=(1024,),
    disk_total_mib=1152, required_nodes=2,
)  # fmt: skip
REQUESTS = (
    Allocate(instance=NEW),
    MultiAllocate(instances=(NEW,)),
    Relocate(name="web1", relocate_from=("n2",), disk_total_mib=1152),
    AllocateSecondary(name="web1"),
    NodeEvacuate(instances=("web1",), mode="all"),
    ChangeGroup(instances=("web1",)),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(REQUESTS), VALUES, st.integers(0, 1))
def test_whatever_an_allocator_answers_is_read_or_refused(
    request: Any, result: Any, whole: int
) -> None:
    reply = {"success": True, "info": "", "result": result} if whole else result
    try:
        found = answers.read("mine", request, 0, json.dumps(reply), "")
    except Refused as refused:
        sentence(refused, "'mine'")
        return
    assert all(isinstance(node, str) for node in found.nodes)


def contradicting() -> PolicyFacts:
    low, high = DEFAULT_POLICY.ranges[0]
    return msgspec.structs.replace(DEFAULT_POLICY, ranges=((high, low),))


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (contradicting(), "group g0"),
        (msgspec.structs.replace(DEFAULT_POLICY, vcpu_ratio=-1.0), "ratio"),
        (msgspec.structs.replace(DEFAULT_POLICY, vcpu_ratio=float("nan")), "ratio"),
        (msgspec.structs.replace(DEFAULT_POLICY, spindle_ratio=float("inf")), "ratio"),
        (msgspec.structs.replace(DEFAULT_POLICY, templates=("nosuch",)), "nosuch"),
        (msgspec.structs.replace(DEFAULT_POLICY, ranges=()), "g0"),
    ],
)
def test_policies_that_make_no_sense_are_refused(policy: PolicyFacts, told: str) -> None:
    facts = any_cluster(1)
    groups = tuple(msgspec.structs.replace(one, policy=policy) for one in facts.groups)
    with pytest.raises(BadCluster, match=told):
        model.build(msgspec.structs.replace(facts, groups=groups))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"memory_mib": -1}, "memory_mib -1"),
        ({"vcpus": -3}, "-3"),
        ({"disk_mib": 10**16}, "disk"),
        ({"template": "nosuch"}, "nosuch"),
        ({"spindle_use": -2}, "spindle"),
        ({"primary": "nosuch"}, "nosuch"),
        ({"secondary": "n0", "primary": "n0", "template": "drbd"}, "the same, n0"),
        ({"status": "asleep"}, "asleep"),
    ],
)
def test_impossible_instances_are_refused_by_name(change: dict[str, Any], told: str) -> None:
    facts = any_cluster(1)
    first, *rest = facts.instances
    wrong = msgspec.structs.replace(first, **change)
    with pytest.raises(BadCluster) as refused:
        model.build(msgspec.structs.replace(facts, instances=(wrong, *rest)))
    assert first.name in str(refused.value)
    assert told in str(refused.value)
