"""Masters that take over by themselves: several candidates, one store, everything may break."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from clusterd.opcodes.instance_create import InstanceCreate
from clusterd.opcodes.test_delay import TestDelay as Delay
from clusterd.simulation.scenarios import create
from clusterd.simulation.succession import CandidateCluster
from jobqueue.job import Status
from jobqueue.live import Job

RECOVERY_S = 10.0
"""Within which another node accepts the next job."""


def jobs(cluster: CandidateCluster) -> list[Job]:
    return cluster.master.queue.jobs()


def settle(cluster: CandidateCluster) -> None:
    """Until somebody is master and no job runs or waits."""

    def quiet() -> bool:
        acting = cluster.acting()
        if acting is None:
            return False
        cluster.process = acting  # type: ignore[assignment]
        return cluster.quiet()

    assert cluster.clock.run_until(quiet, 3600.0), [str(job.status) for job in jobs(cluster)]


def busy(cluster: CandidateCluster) -> list[int]:
    """Jobs that are under way for a while; their numbers."""
    cluster.chosen()
    cluster.wait_for_nodes()
    work: list[InstanceCreate | Delay] = [
        create("drbd"),
        create("plain", instance_name="web2", pnode="node3"),
        Delay(duration=20.0, on_nodes=("node2", "node3")),
        Delay(duration=15.0, on_master=True),
    ]
    numbers = [cluster.submit(one) for one in work]
    assert None not in numbers
    return [number for number in numbers if number is not None]


def check(cluster: CandidateCluster, numbers: list[int]) -> None:
    assert cluster.wrong == []
    acting = cluster.acting()
    assert acting is not None
    assert cluster.addressed == {acting.name}
    found = {job.id: job.status for job in jobs(cluster) if job.id in numbers}
    assert found == dict.fromkeys(numbers, Status.SUCCESS)
    assert acting.master.configuration.node(acting.name).uuid == (
        acting.master.configuration.cluster.master_node
    )


def test_a_master_without_power_is_followed_and_its_jobs_go_on(tmp_path: Path) -> None:
    cluster = CandidateCluster(tmp_path)
    first = cluster.chosen()
    numbers = busy(cluster)
    cluster.clock.run(3.0)
    running = [job.id for job in jobs(cluster) if job.status is Status.RUNNING]
    assert running
    died = cluster.clock.seconds()
    cluster.power_off(first)
    second = cluster.chosen()
    assert second != first
    number = cluster.submit(Delay(duration=0.1, on_master=True))
    assert number is not None
    assert cluster.clock.seconds() - died < RECOVERY_S
    cluster.clock.run(30.0)
    cluster.power_on(first)
    settle(cluster)
    check(cluster, [*numbers, number])


@pytest.mark.parametrize("for_s", [1.0, 7.0, 30.0])
def test_a_master_that_is_cut_off_stops_before_another_begins(tmp_path: Path, for_s: float) -> None:
    cluster = CandidateCluster(tmp_path)
    first = cluster.chosen()
    numbers = busy(cluster)
    cluster.clock.run(2.0)
    cluster.isolate(first)
    cluster.clock.run(for_s)
    cluster.rejoin(first)
    settle(cluster)
    check(cluster, numbers)
    assert (cluster.chosen() == first) == (for_s < 5.0)


def test_a_master_that_reaches_nodes_but_not_the_store_changes_nothing(tmp_path: Path) -> None:
    cluster = CandidateCluster(tmp_path)
    first = cluster.chosen()
    numbers = busy(cluster)
    cluster.clock.run(2.0)
    cluster.uplinks[first].cut()
    cluster.clock.run(30.0)
    assert cluster.chosen() != first
    settle(cluster)
    cluster.uplinks[first].mend()
    cluster.clock.run(10.0)
    check(cluster, numbers)


@pytest.mark.parametrize(
    "clocks",
    [
        {"node1": (-86400.0, 1.0), "node2": (86400.0, 1.0)},
        {"node1": (0.0, 0.92), "node2": (0.0, 1.08)},
        {"node1": (3600.0, 1.08), "node3": (-3600.0, 0.92)},
    ],
)
def test_clocks_that_are_wrong_make_no_second_master(
    tmp_path: Path, clocks: dict[str, tuple[float, float]]
) -> None:
    cluster = CandidateCluster(tmp_path, clocks=clocks)
    first = cluster.chosen()
    numbers = busy(cluster)
    cluster.uplinks[first].cut()
    cluster.clock.run(30.0)
    cluster.uplinks[first].mend()
    settle(cluster)
    check(cluster, numbers)


def test_the_check_finds_a_clock_that_is_worse_than_the_margin(tmp_path: Path) -> None:
    """So that the tests above could fail."""
    cluster = CandidateCluster(tmp_path, clocks={"node1": (0.0, 0.5)})
    assert cluster.chosen() == "node1"
    cluster.uplinks["node1"].cut()
    cluster.clock.run(30.0)
    assert any("lease has ended" in text for text in cluster.wrong), cluster.wrong


def test_an_operator_moves_the_mastership_while_jobs_run(tmp_path: Path) -> None:
    cluster = CandidateCluster(tmp_path)
    first = cluster.chosen()
    numbers = busy(cluster)
    cluster.clock.run(2.0)
    wanted = cluster.names[2]
    asked: list[str] = []
    from twisted.internet.defer import Deferred

    asking = Deferred.fromCoroutine(cluster.candidates[wanted].candidacy.ask_for_it())
    asking.addCallback(asked.append)
    cluster.clock.run(3.0)
    assert asked == [f"{first} is asked to step down for {wanted}"]
    assert cluster.chosen() == wanted
    settle(cluster)
    check(cluster, numbers)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_breaks_one_writes_at_a_time_and_every_job_ends(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    cluster = CandidateCluster(tmp_path, seed=seed)
    numbers = busy(cluster)
    cut: set[str] = set()
    off: set[str] = set()
    for _ in range(dice.randrange(3, 9)):
        cluster.clock.run(dice.choice((0.3, 1.0, 3.0, 8.0)))
        acting = cluster.acting()
        name = acting.name if acting and dice.random() < 0.7 else dice.choice(cluster.names)
        if name in off:
            cluster.power_on(name)
            off.discard(name)
        elif name in cut:
            cluster.rejoin(name)
            cut.discard(name)
        else:
            what = dice.choice(("power", "isolate", "uplink", "daemon", "down"))
            if what == "power" and not off:
                cluster.power_off(name)
                off.add(name)
            elif what == "isolate" and not cut:
                cluster.isolate(name)
                cut.add(name)
            elif what == "uplink":
                cluster.uplinks[name].cut()
                cluster.clock.run(dice.choice((0.5, 2.0, 6.0)))
                cluster.uplinks[name].mend()
            elif what == "daemon":
                cluster.candidates[name].kill()
                cluster.clock.run(0.5)
                cluster.start_candidate(name)
            else:
                cluster.candidates[name].candidacy.step_down("dice")
    for name in sorted(off):
        cluster.power_on(name)
    for name in sorted(cut):
        cluster.rejoin(name)
    cluster.clock.run(60.0)
    settle(cluster)
    assert cluster.wrong == []
    ended = {job.id: job.status for job in jobs(cluster) if job.id in numbers}
    assert len(ended) == len(numbers)
    assert all(job.finished for job in jobs(cluster) if job.id in numbers), ended
