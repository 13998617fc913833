"""A synchronisation that stands still is told: where a job waits for it, by verification, and in
what `gnt-instance info` shows."""

from __future__ import annotations

import msgspec
import pytest

from clusterd.queries.instance_detail import detail
from clusterd.steps.disks import waiting_for
from storage.volume import Health, Link, VolumeStatus
from tests.unit.small_cluster import WEB1, SmallCluster

RUNS = VolumeStatus(
    uuid="d1",
    present=True,
    path="/dev/drbd0",
    link=Link.SYNCING,
    health=Health.OK,
    peer_health=Health.SYNC,
    sync_percent=40.0,
    sync_seconds_left=3725,
)


def test_a_wait_says_how_long_it_takes() -> None:
    assert waiting_for(RUNS, synced=True) == "synchronising, 40 % done, about 1:02:00 left"
    soon = msgspec.structs.replace(RUNS, sync_seconds_left=75)
    assert waiting_for(soon, synced=True).endswith("about 0:01:15 left")
    assert waiting_for(RUNS, synced=False) == ""


def test_a_wait_says_that_nothing_goes_on() -> None:
    stands = msgspec.structs.replace(RUNS, sync_stalled=True)
    said = waiting_for(stands, synced=True)
    assert said.startswith("synchronising, 40 % done, but it stands still")
    assert "network" in said


@pytest.mark.parametrize(
    ("own", "peer", "said"),
    [
        (Health.FAULTY, Health.OK, "this node's copy is not up to date"),
        (Health.OK, Health.FAULTY, "the peer's copy is not up to date"),
        (Health.UNKNOWN, Health.OK, "it is not known yet which copy is up to date"),
        (Health.OK, Health.OK, ""),
    ],
)
def test_connected_copies_are_complete_when_both_are(own: Health, peer: Health, said: str) -> None:
    """A new copy under a running guest is connected before its synchronisation begins."""
    connected = msgspec.structs.replace(
        RUNS, link=Link.CONNECTED, health=own, peer_health=peer, sync_percent=None
    )
    assert waiting_for(connected, synced=True) == said
    assert waiting_for(connected, synced=False) == ""


def seen(small: SmallCluster, node: str, *volumes: VolumeStatus) -> None:
    """What a node tells of the volumes that are watched."""
    sights = small.watch.sights
    observation = msgspec.structs.replace(sights[node].observation, volumes=volumes)
    sights[node] = msgspec.structs.replace(sights[node], observation=observation)


def test_the_details_of_an_instance_say_so_of_each_disk() -> None:
    small = SmallCluster()
    moving = msgspec.structs.replace(RUNS, uuid="d0")
    stuck = msgspec.structs.replace(RUNS, uuid="d1", path="/dev/drbd1", sync_stalled=True)
    seen(small, "n1.example.com", moving, msgspec.structs.replace(stuck, sync_stalled=False))
    seen(small, "n2.example.com", moving, stuck)
    disks = detail(small.view(), WEB1, static=False)["disks"]
    assert [disk["sync_stalled"] for disk in disks] == [False, True]
    # seven places, as programs that were written for Ganeti take them apart
    assert disks[0]["pstatus"] == ["/dev/drbd0", 147, 0, 40.0, 3725, True, 1]
    static = detail(small.view(), WEB1, static=True)["disks"]
    assert [disk["sync_stalled"] for disk in static] == [None, None]


@pytest.mark.parametrize(
    ("health", "number"),
    [(Health.OK, 1), (Health.SYNC, 2), (Health.UNKNOWN, 3), (Health.FAULTY, 4)],
)
def test_the_state_of_local_data_has_ganetis_number(health: Health, number: int) -> None:
    small = SmallCluster()
    status = msgspec.structs.replace(RUNS, uuid="d0", health=health)
    seen(small, "n1.example.com", status)
    assert detail(small.view(), WEB1, static=False)["disks"][0]["pstatus"][-1] == number
