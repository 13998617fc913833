"""Guests that should run and do not are started again, but for those that should not be."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from clusterd.master.pauses import FIRST_PAUSE_S
from clusterd.master.restarting import CALM_S, FORGOTTEN_S, SOURCE
from clusterd.opcodes.instance_startup import InstanceStartup
from jobqueue.job import Status
from jobqueue.live import Job
from tests.stories.operator import LINK_LOST_S, Operator

SOON_S = CALM_S + 30.0
"""After it a guest that may be started has been."""


@pytest.mark.parametrize("on", ["node2", "node2:node3"], ids=["plain", "mirrored"])
def test_after_a_power_cut_of_their_host(tmp_path: Path, on: str) -> None:
    operator = Operator(tmp_path)
    operator.expect_success(operator.creates("web1", on=on))
    operator.expect_success(operator.creates("web2", on=on, start=False))
    operator.pulls_the_plug("node2")
    operator.waits(SOON_S)
    operator.expect(not starts(operator), "nothing is started while the host is away")
    operator.powers_on("node2")
    operator.waits(SOON_S)
    operator.expect_running("web1", "node2")
    job = starts(operator)[-1]
    operator.expect(job.opcodes[0].reason[0][0] == SOURCE, "the job says who asked for it")
    operator.expect(operator.cluster.runs_on("web2") == (), "what was stopped stays so")
    operator.goes_home()


def test_not_while_the_watcher_is_paused(tmp_path: Path) -> None:
    operator = with_web1(tmp_path)
    master, clock = operator.cluster.master, operator.cluster.clock
    master.by_the_way(master.desk().set_watcher_pause(clock.seconds() + 3600.0))
    operator.cluster.room.crash_guest("node2", "web1")
    operator.waits(600.0)
    operator.expect(not starts(operator), "nothing is started")
    master.by_the_way(master.desk().set_watcher_pause(None))
    operator.waits(SOON_S)
    operator.expect_running("web1", "node2")
    operator.goes_home()


def test_not_on_a_node_that_is_marked_offline(tmp_path: Path) -> None:
    operator = with_web1(tmp_path)
    operator.expect_success(operator.marks_offline("node2"))
    operator.cluster.room.crash_guest("node2", "web1")
    operator.waits(SOON_S)
    operator.expect(not starts(operator), "nothing is started")
    operator.expect_success(operator.marks_offline("node2", offline=False))
    operator.waits(LINK_LOST_S + SOON_S)
    operator.expect_running("web1", "node2")
    operator.goes_home()


def test_one_that_ends_again_and_again_is_started_ever_more_seldom(tmp_path: Path) -> None:
    operator = with_web1(tmp_path)
    for _ in range(5 * 60):
        if operator.cluster.runs_on("web1"):
            operator.cluster.room.crash_guest("node2", "web1")
        operator.waits(60.0)
    times = [job.received for job in starts(operator)]
    pauses = [later - former for former, later in itertools.pairwise(times)]
    assert len(times) in range(8, 12), times
    assert pauses == sorted(pauses)
    assert pauses[0] >= FIRST_PAUSE_S
    operator.waits(FORGOTTEN_S + 3600.0)
    operator.expect_running("web1", "node2")
    operator.cluster.room.crash_guest("node2", "web1")
    operator.waits(SOON_S)
    operator.expect_running("web1", "node2")
    operator.goes_home()


def test_what_was_stopped_meanwhile_stays_so(tmp_path: Path) -> None:
    operator = with_web1(tmp_path)
    operator.expect_success(operator.stops("web1"))
    job = operator.does(InstanceStartup(instance_name="web1", only_up=True))
    operator.expect_success(job)
    operator.expect("to be down by now" in operator.logged(job), "the log says why not")
    operator.expect(operator.cluster.runs_on("web1") == (), "it is not started")
    operator.goes_home()


def with_web1(directory: Path) -> Operator:
    """web1 runs on node2."""
    operator = Operator(directory)
    operator.expect_success(operator.creates("web1", on="node2"))
    return operator


def starts(operator: Operator) -> list[Job]:
    """The jobs that start an instance."""
    jobs = operator.cluster.master.queue.jobs()
    found = [job for job in jobs if isinstance(job.opcodes[0], InstanceStartup)]
    assert all(job.status is Status.SUCCESS for job in found)
    return found
