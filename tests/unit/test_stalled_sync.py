"""A synchronisation that stands still is told: where a job waits for it, and by verification."""

from __future__ import annotations

import msgspec
import pytest

from clusterd.steps.disks import waiting_for
from storage.volume import Health, Link, VolumeStatus

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
