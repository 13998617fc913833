"""Which group's policy counts when an instance moves."""

from __future__ import annotations

import msgspec
import pytest

from clusterd import ipolicy
from clusterd.model import Group, MinMax, Policy
from jobqueue.errors import Refused
from tests.unit.small_cluster import WEB1, SmallCluster, instance, node

STRICT = Group(
    uuid="g3-uuid",
    name="small",
    ipolicy=Policy(
        minmax=(MinMax(min={"cpu-count": 1}, max={"cpu-count": 1}),),
        disk_templates=("drbd",),
    ),
)
ELSEWHERE = node(4, group="g3-uuid")


def test_a_move_within_a_group_asks_for_no_policy() -> None:
    view = SmallCluster(STRICT, ELSEWHERE).view()
    ipolicy.require_on(view, WEB1, view.configuration.node("n2.example.com"))


def test_a_move_to_another_group_meets_its_policy() -> None:
    view = SmallCluster(STRICT, ELSEWHERE).view()
    with pytest.raises(Refused, match=r"group small.*cpu-count value 2 is not in range \[1, 1\]"):
        ipolicy.require_on(view, WEB1, ELSEWHERE)
    one = msgspec.structs.replace(WEB1, beparams={"vcpus": 1})
    ipolicy.require_on(view, one, ELSEWHERE)


def test_a_template_that_the_group_does_not_take() -> None:
    view = SmallCluster(STRICT, ELSEWHERE).view()
    with pytest.raises(Refused, match="Disk template diskless is not allowed"):
        ipolicy.require_on(view, instance("web2.example.com"), ELSEWHERE)
