"""Old jobs leave the queue, by themselves too; all that there are are listed a page at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from clusterd.master import tidying
from clusterd.opcodes.cluster_set_params import ClusterSetParams
from clusterd.simulation.cluster import SimulatedCluster
from jobqueue import keys
from jobqueue.archive import PART_BYTES
from jobqueue.job import Status
from tests.unit.asked import Asked, Make
from tests.unit.driving import now
from tests.unit.test_executor import Play
from tests.unit.toy_cluster import PutAll

HOURS_S = 3600.0


def kinds(play: Play) -> list[str]:
    """What of jobs is in the store."""
    prefixes = ("job", "journal", "finished", "archive")
    return sorted({key.split("/")[0] for key in play.disk.keys if key.split("/")[0] in prefixes})


def test_many_are_archived_in_few_transactions() -> None:
    play = Play()
    numbers = play.submit(*[[PutAll(names=("a",))] for _ in range(60)])
    play.settle()
    before = play.disk.revision
    assert now(play.master.queue.auto_archive(None)) == (60, 0)
    assert play.disk.revision - before <= 6
    assert kinds(play) == ["archive"]
    play.begin()
    found = [now(play.master.queue.find_archived(number)) for number in numbers]
    assert {job.status for job in found if job is not None} == {Status.SUCCESS}
    assert len([job for job in found if job is not None]) == 60
    assert play.submit([PutAll(names=("b",))]) == [numbers[-1] + 1]


def test_only_old_ones_go_and_large_ones_as_well() -> None:
    play = Play()
    (large,) = play.submit([PutAll(names=("x" * (PART_BYTES // 2),) * 2)])
    (long,) = play.submit([PutAll(names=tuple(f"n{at}" for at in range(150)))])
    play.settle()
    play.clock.run(HOURS_S)
    (young,) = play.submit([PutAll(names=("a",))])
    play.settle(1.0)
    queue = play.master.queue
    assert now(queue.auto_archive(HOURS_S)) == (2, 0)
    assert [job.id for job in queue.jobs()] == [young]
    for number in (large, long):
        archived = now(queue.find_archived(number))
        assert archived is not None
        assert archived.status is Status.SUCCESS
    left = [key for key in play.disk.keys if key.startswith(keys.JOURNAL)]
    assert left == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(3))
def test_a_master_that_dies_while_a_long_job_is_archived_leaves_no_line(
    at: int, after: bool
) -> None:
    play = Play()
    (long,) = play.submit([PutAll(names=tuple(f"n{number}" for number in range(150)))])
    play.settle()
    play.begin(die_at=at, after=after)
    Deferred.fromCoroutine(play.master.queue.archive(long))
    play.begin()
    archived = now(play.master.queue.find_archived(long))
    if archived is None:
        assert now(play.master.queue.archive(long))
        archived = now(play.master.queue.find_archived(long))
    assert archived is not None
    assert archived.status is Status.SUCCESS
    assert kinds(play) == ["archive"]


def test_it_stops_when_time_is_up_and_goes_on_later() -> None:
    play = Play()
    play.submit(*[[PutAll(names=("a",))] for _ in range(30)])
    play.settle()
    looks = iter([True] * 20 + [False])
    assert now(play.master.queue.auto_archive(None, lambda: next(looks))) == (20, 10)
    assert now(play.master.queue.auto_archive(None)) == (10, 0)


def test_two_who_archive_at_once_do_each_other_no_harm() -> None:
    play = Play()
    numbers = play.submit(*[[PutAll(names=("a",))] for _ in range(3)])
    play.settle()
    queue = play.master.queue

    def other_comes_first() -> bool:
        if len(queue) == 3:
            assert now(queue.archive(numbers[1]))
        return True

    assert now(queue.auto_archive(None, other_comes_first)) == (2, 0)
    assert len(queue) == 0


@pytest.fixture
def cluster(tmp_path: Path) -> SimulatedCluster:
    """A simulated one with a job that has ended."""
    made = SimulatedCluster(tmp_path)
    made.wait_for_nodes()
    return made


def live(cluster: SimulatedCluster) -> int:
    return len(cluster.master.queue)


def test_the_master_archives_by_itself(cluster: SimulatedCluster) -> None:
    cluster.run(ClusterSetParams(job_archive_age=600.0))
    cluster.clock.run(550.0)
    assert live(cluster) == 1
    cluster.clock.run(50.0 + tidying.EVERY_S)
    assert live(cluster) == 0
    archived = now(cluster.master.queue.find_archived(1))
    assert archived is not None
    assert archived.summary == ["CLUSTER_SET_PARAMS"]


def test_not_while_it_is_switched_off_or_paused(cluster: SimulatedCluster) -> None:
    cluster.run(ClusterSetParams(job_archive_age=0.0))
    cluster.clock.run(2 * tidying.EVERY_S)
    assert live(cluster) == 1
    cluster.run(ClusterSetParams(job_archive_age=1.0))
    until = cluster.clock.seconds() + 2 * tidying.EVERY_S
    now(cluster.master.desk().set_watcher_pause(until))
    cluster.clock.run(2 * tidying.EVERY_S - 1.0)
    assert live(cluster) == 2
    cluster.clock.run(tidying.EVERY_S)
    assert live(cluster) == 0


def test_all_jobs_are_listed_some_at_a_time() -> None:
    asked = Asked()
    count = 1200
    now(asked.queue.submit([[Make(name=f"n{at}")] for at in range(count)], "uid:0"))
    found = now(asked.answers.query("job", ["id", "archived"], None))["data"]
    assert [row[0][1] for row in found] == list(range(1, count + 1))
    assert asked.breaths == 2
    assert len(now(asked.answers.job_rows(None, ["id"]))) == count
    assert asked.breaths == 4
    few = now(asked.answers.query("job", ["id"], ["=", "id", 7]))["data"]
    assert [row[0][1] for row in few] == [7]
    assert asked.breaths == 4
