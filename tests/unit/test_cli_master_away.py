"""A command that follows a job while the master dies, comes back, or is another node afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.exits import Exit
from cli.jobs import LOOKS
from tests.unit.cli_stage import Failed, Stage, job_answers, log, stage_in

WHEN = time.ctime(1_700_000_000)
NO_MASTER = Exit.NOT_CLUSTER
"""What a command without a master says on a stage, which has no settings of a cluster."""

AWAY = "The master is away; job 12 goes on when it is back"
THERE = "Job 12 is in the queue: follow it with 'gnt-job watch 12' on the master"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as made:
        made.pauses = 1000
        yield made


def in_turn(stage: Stage, *answers: Any) -> Any:
    """One after the other; None: the master dies with the question."""
    left = list(answers)

    def answer(*_args: Any) -> Any:
        following = left.pop(0)
        if following is None:
            stage.responder.hang_up()
        if isinstance(following, Failed):
            raise following
        return following

    return answer


def test_a_job_is_followed_through_the_death_of_the_master(stage: Stage) -> None:
    nobody = Failed("NotMaster", "This node is not the master, and nobody is at the moment")
    stage.answer(
        **job_answers()
        | {
            "WaitForJobChange": in_turn(
                stage,
                [["running"], [log(1, "begun")]],
                None,
                None,
                nobody,
                [["success"], [log(2, "done")]],
            ),
            "QueryJobs": in_turn(stage, None, [["success", ["success"], [None]]]),
        }
    )
    ended = stage.run("node", "remove", "n2")
    assert ended.code == Exit.SUCCESS
    assert ended.out == [f"{WHEN} {word}" for word in ("begun", "done")]
    assert ended.err == [AWAY, AWAY]
    assert len(stage.responder.of("SubmitJob")) == 1
    assert stage.responder.of("WaitForJobChange")[-1][2:4] == [["running"], 1]


def test_where_a_job_can_be_followed_when_another_node_is_master(stage: Stage) -> None:
    other = Failed(
        "NotMaster",
        "This node is not the master, please connect to node 'n2' and rerun the command",
    )
    stage.answer(**job_answers() | {"WaitForJobChange": in_turn(stage, None, other)})
    ended = stage.run("node", "remove", "n2")
    assert ended.code == Exit.NOT_MASTER
    assert ended.err[:2] == [AWAY, THERE]
    assert "please connect to node 'n2'" in ended.err[2]


def test_a_master_that_does_not_come_back_is_not_waited_for_for_ever(stage: Stage) -> None:
    stage.answer(**job_answers() | {"WaitForJobChange": in_turn(stage, *[None] * LOOKS)})
    ended = stage.run("node", "remove", "n2")
    assert ended.code == NO_MASTER
    assert ended.err[:2] == [AWAY, THERE]
    assert len(stage.responder.of("WaitForJobChange")) == LOOKS


def test_a_submission_is_not_repeated(stage: Stage) -> None:
    stage.answer(SubmitJob=in_turn(stage, None))
    ended = stage.run("node", "remove", "n2")
    assert ended.code == NO_MASTER
    assert len(stage.responder.of("SubmitJob")) == 1
