"""What jobs draw at the same moment differs, and what was not stored is given up."""

from __future__ import annotations

from typing import Any

import pytest

from clusterd import address_pool
from clusterd.claims import Claims
from clusterd.model import Disk, DrbdPair, Network, Nic
from clusterd.opcodes import network_add
from clusterd.opcodes.network_add import NetworkAdd
from clusterd.steps.drawing import Drawing
from jobqueue.errors import Refused
from tests.unit.small_cluster import SmallCluster

MIRROR = Disk(
    uuid="",
    template="drbd",
    size_mib=1,
    drbd=DrbdPair(nodes=("n1-uuid", "n2-uuid"), minors=(-1, -1), port=0, secret=""),
)
NET = Network(uuid="small-uuid", name="small", network="192.0.2.0/29", mac_prefix="aa:00:77")
POOLED = Nic(uuid="", mac="", ip=address_pool.POOL, network=NET.uuid)


class Numbers:
    """Counts instead of drawing by chance, and begins with what was drawn before."""

    def __init__(self) -> None:
        self._count = 0

    def uuid(self) -> str:
        self._count += 1
        return f"uuid-{self._count}"

    def token(self, length_bytes: int) -> str:
        return "00" * length_bytes

    def below(self, bound: int) -> int:
        self._count += 1
        # the first two MAC addresses are the same
        return max(0, self._count - 7) % bound


class Place:
    """All of the world that drawing touches."""

    def __init__(self) -> None:
        self.configuration = SmallCluster(NET).configuration
        self.random = Numbers()


def drawing(place: Any, job: int) -> Drawing:
    return Drawing(place, job)


def test_jobs_that_draw_at_the_same_moment_draw_different_things() -> None:
    place = Place()
    drawn = []
    for job in (1, 2):
        with drawing(place, job) as mine:
            (disk,) = mine.disks((MIRROR,))
            assert disk.drbd is not None
            (card,) = mine.cards((POOLED,), f"owner-{job}")
            drawn.append((disk.drbd.port, disk.drbd.minors, card.ip, card.mac))
    first, second = drawn
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert (first[2], second[2]) == ("192.0.2.1", "192.0.2.2")
    assert first[3].startswith("aa:00:77:")


def test_a_job_that_draws_again_or_fails_gives_up_what_it_had() -> None:
    place = Place()
    with drawing(place, 1) as mine:
        (before,) = mine.cards((POOLED,), "owner")
    with drawing(place, 1) as mine:
        (again,) = mine.cards((POOLED,), "owner")
    assert again.ip == before.ip
    with pytest.raises(Refused, match="no free address"), drawing(place, 1) as mine:
        mine.cards((POOLED,) * 7, "owner")
    with drawing(place, 2) as mine:
        found = mine.cards((POOLED,) * 6, "other")
    assert [card.ip for card in found] == [f"192.0.2.{number}" for number in range(1, 7)]


def test_what_is_named_may_have_been_taken_meanwhile() -> None:
    place = Place()
    mac = "aa:00:00:12:34:56"
    asked = Nic(uuid="", mac=mac, ip="192.0.2.3", network=NET.uuid)
    with drawing(place, 1) as mine:
        mine.cards((asked,), "owner")
    for card, says in (
        (asked, mac),
        (Nic(uuid="", mac="", ip="192.0.2.3", network=NET.uuid), "192.0.2.3"),
    ):
        with pytest.raises(Refused, match=says), drawing(place, 2) as mine:
            mine.cards((card,), "other")


def test_what_a_card_gives_up_is_kept_until_the_job_ends() -> None:
    place = Place()
    old = Nic(uuid="a", mac="aa:00:00:12:34:56", ip="192.0.2.1", network=NET.uuid)
    with drawing(place, 1) as mine:
        (new,) = mine.cards((Nic(uuid="a", mac=old.mac, ip="192.0.2.5", network=NET.uuid),), "x")
        mine.hold((old,), (new,))
    with drawing(place, 2) as mine:
        assert mine.cards((POOLED,), "y")[0].ip == "192.0.2.2"
    place.configuration.claims.give_up(1)
    with drawing(place, 2) as mine:
        assert mine.cards((POOLED,), "y")[0].ip == "192.0.2.1"


def test_claims_end_once_they_are_stored() -> None:
    claims = Claims()
    claims.take(("minor", "n1", 3), 1)
    claims.take(("minor", "n2", 4), 1)
    claims.take(("port", 11000), 2)
    assert claims.numbers("minor", "n1") == {3}
    claims.stored(("minor", "n1", 3))
    claims.stored(("minor", "n1", 9))
    assert ("minor", "n1", 3) not in claims
    claims.give_up(1)
    assert (claims.numbers("minor", "n2"), claims.numbers("port")) == (frozenset(), {11000})


def test_addresses_of_nodes_are_kept_from_instances() -> None:
    view = SmallCluster().view()
    asked = NetworkAdd(network_name="x", network="192.0.2.0/29", gateway="192.0.2.6")
    found = network_add.draft(asked, view)
    assert address_pool.reserved_addresses(found) == [
        "192.0.2.0",
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "192.0.2.6",
        "192.0.2.7",
    ]
    assert address_pool.lowest_free(found, {address_pool.as_number("192.0.2.4")}) == "192.0.2.5"
    told = [str(step) for step in network_add.plan(asked, view)]
    assert "n1.example.com" in told[0]
    assert "192.0.2.1" in told[0]
    careless = NetworkAdd(network_name="x", network="192.0.2.0/29", conflicts_check=False)
    assert address_pool.lowest_free(network_add.draft(careless, view)) == "192.0.2.1"


def test_the_widest_pool_is_searched_to_its_end() -> None:
    wide = Network(uuid="w", name="w", network="10.0.0.0/16")
    taken = range(address_pool.as_number("10.0.0.0"), address_pool.as_number("10.0.255.254"))
    assert address_pool.lowest_free(wide, taken) == "10.0.255.254"
    assert address_pool.lowest_free(wide, range(2**32)) is None
    assert address_pool.place(wide, "10.1.0.0") is None
    assert address_pool.place(wide, "node1") is None
