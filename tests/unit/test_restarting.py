"""Which guests are to be started again, and how soon."""

from __future__ import annotations

import msgspec
import pytest

from clusterd.master.pauses import FIRST_PAUSE_S, LONGEST_PAUSE_S, pause_s
from clusterd.master.restarting import FORGOTTEN_S, Restarts, asleep
from clusterd.observation import Sighting
from tests.unit.small_cluster import SmallCluster, instance

N1 = "n1.example.com"


@pytest.fixture
def small() -> SmallCluster:
    return SmallCluster()


def sleepers(small: SmallCluster) -> list[str]:
    view = small.view()
    found = view.configuration.instances()
    return [one.name.removesuffix(".example.com") for one in found if asleep(view, one)]


def test_who_should_run_and_runs_nowhere(small: SmallCluster) -> None:
    """Not who is stopped, runs elsewhere, is being made, or whose node is offline."""
    assert sleepers(small) == ["down1"]
    view = small.view()
    reason = asleep(view, view.configuration.instance("down1.example.com"))
    assert reason == "it should run on n1.example.com and does not"


def test_nobody_whose_node_or_hypervisor_does_not_answer(small: SmallCluster) -> None:
    seen = small.watch.sights[N1]
    small.watch.sights[N1] = msgspec.structs.replace(seen, connected=False)
    assert sleepers(small) == []
    assert seen.observation is not None
    blind = msgspec.structs.replace(seen.observation, guests={"memory": ()})
    small.watch.sights[N1] = msgspec.structs.replace(seen, observation=blind)
    assert sleepers(small) == []
    small.watch.sights[N1] = Sighting(connected=True)
    assert sleepers(small) == []


def test_nobody_who_may_stop_himself() -> None:
    params = {"user_shutdown": True}
    assert sleepers(SmallCluster(instance("shy.example.com", hvparams=params))) == ["down1"]
    assert sleepers(SmallCluster(instance("bold.example.com"))) == ["bold", "down1"]


def test_nobody_while_the_watcher_is_paused(small: SmallCluster) -> None:
    now = small.view().now
    for until, expected in ((now + 1, []), (now - 1, ["down1"])):
        cluster = small.configuration.cluster
        small.commit(small.configuration.changed(cluster, now, watcher_pause=until))
        assert sleepers(small) == expected


def test_pauses_grow_and_are_forgotten() -> None:
    restarts = Restarts()
    now, pauses = 1000.0, []
    for _ in range(9):
        assert restarts.may("web1", now)
        restarts.begun("web1", now)
        began = now
        while not restarts.may("web1", now):
            now += 1.0
        pauses.append(now - began)
    assert pauses == [min(FIRST_PAUSE_S * 2**n, LONGEST_PAUSE_S) for n in range(9)]
    assert restarts.may("web2", now)
    now += FORGOTTEN_S
    restarts.begun("web1", now)
    assert not restarts.may("web1", now + FIRST_PAUSE_S - 1)
    assert restarts.may("web1", now + FIRST_PAUSE_S)


def test_a_guest_that_ends_for_months_is_no_reason_to_stop() -> None:
    assert pause_s(5000) == LONGEST_PAUSE_S
