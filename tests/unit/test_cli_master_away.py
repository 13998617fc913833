"""A command that follows a job while the master dies, comes back, or is another node afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.exits import Exit
from cli.submission import AGAIN, LOOKS
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


def names_of(stage: Stage, method: str = "SubmitJob") -> list[str]:
    return [name for _jobs, name in stage.responder.of(method)]


def test_a_request_whose_answer_is_lost_is_repeated_under_its_name(stage: Stage) -> None:
    lost = Failed("GenericError", "etcd does not answer", "store_away")
    nobody = Failed("NotMaster", "This node is not the master, and nobody is at the moment")
    stage.answer(**job_answers() | {"SubmitJob": in_turn(stage, None, nobody, lost, 12)})
    ended = stage.run("node", "remove", "n2")
    assert (ended.code, ended.err) == (Exit.SUCCESS, [AGAIN])
    assert names_of(stage) == ["drawn-1"] * 4


def test_several_requests_whose_answer_is_lost_are_repeated_under_their_name(stage: Stage) -> None:
    made = [[True, 12], [True, 13]]
    stage.answer(SubmitManyJobs=in_turn(stage, None, made), QueryInstances=[["web1"], ["web2"]])
    words = ("--all", "--force-multiple", "--submit", "--idempotency-key=mine")
    ended = stage.run("instance", "reboot", *words)
    assert ended.out == ["12: web1", "13: web2"]
    assert names_of(stage, "SubmitManyJobs") == ["mine"] * 2


def test_how_to_ask_again_where_another_node_is_master(stage: Stage) -> None:
    other = Failed(
        "NotMaster",
        "This node is not the master, please connect to node 'n2' and rerun the command",
    )
    stage.answer(SubmitJob=in_turn(stage, None, other))
    ended = stage.run("node", "remove", "n2")
    assert ended.code == Exit.NOT_MASTER
    assert ended.err[0] == AGAIN
    assert "--idempotency-key=drawn-1 never submits it twice" in ended.err[1]
    assert "please connect to node 'n2'" in ended.err[2]


def test_a_request_is_not_repeated_for_ever(stage: Stage) -> None:
    stage.answer(SubmitJob=in_turn(stage, *[None] * LOOKS))
    ended = stage.run("node", "remove", "n2")
    assert ended.code == NO_MASTER
    assert "It is not known whether the request was submitted" in ended.err[1]
    assert len(names_of(stage)) == LOOKS


@pytest.mark.parametrize(
    "refusal",
    [
        Failed("NotMaster", "This node is not the master, and nobody is at the moment"),
        Failed("OpPrereqError", "Node 'n2' not known", "unknown_entity"),
        Failed("GenericError", "internal error"),
    ],
)
def test_what_is_certainly_not_submitted_is_not_repeated(stage: Stage, refusal: Failed) -> None:
    stage.answer(SubmitJob=in_turn(stage, refusal))
    ended = stage.run("node", "remove", "n2")
    assert ended.code != Exit.SUCCESS
    assert len(names_of(stage)) == 1


def test_a_verdict_on_the_repeated_request_is_told(stage: Stage) -> None:
    drained = Failed("JobQueueDrainError", "The job queue is drained")
    stage.answer(SubmitJob=in_turn(stage, None, drained))
    ended = stage.run("node", "remove", "n2")
    assert ended.code == Exit.FAILURE
    assert ended.err[0] == AGAIN
    assert "drained" in ended.err[1]
